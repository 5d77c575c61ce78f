import org.locationtech.jts.geom.util.AffineTransformation
import qupath.lib.analysis.images.ContourTracing
import qupath.lib.images.servers.ImageServerMetadata
import qupath.lib.images.servers.ImageServers
import qupath.lib.objects.PathObject
import qupath.lib.objects.PathObjects
import qupath.lib.objects.classes.PathClass
import qupath.lib.regions.ImagePlane
import qupath.lib.regions.RegionRequest
import qupath.lib.roi.GeometryTools

/** QuPath's ContourTracing makes annotations of a mask's labels, tile by tile. */
class MaskTracing {
    static List<PathObject> annotations(ClassTable table, boolean splitPieces) {
        def pathClasses = table.classes.collectEntries { label, row ->
            Integer color = row.color ? Integer.decode(row.color) | 0xff000000 as int : null
            [(label): row.name == 'Unclassified' ? PathClass.NULL_CLASS : PathClass.fromString(row.name, color)]
        }
        def thresholds = pathClasses.keySet().collect { ContourTracing.ChannelThreshold.create(it) } as ContourTracing.ChannelThreshold[]
        def scale = AffineTransformation.scaleInstance(table.downsample, table.downsample)
        def made = []
        ImageServers.buildServer(table.file.toURI()).withCloseable { mask ->
            // In an image of classifications a threshold stands for a label.
            mask.setMetadata(new ImageServerMetadata.Builder(mask.getMetadata()).classificationLabels(pathClasses)
                    .channelType(ImageServerMetadata.ChannelType.CLASSIFICATION).build())
            [0..<mask.nTimepoints(), 0..<mask.nZSlices()].combinations { t, z ->
                def region = RegionRequest.createInstance(mask.getPath(), 1.0d, 0, 0, mask.getWidth(), mask.getHeight(), z, t)
                ContourTracing.traceGeometries(mask, region, null, thresholds).each { label, geometry ->
                    if (geometry == null || geometry.isEmpty())
                        return
                    if (table.downsample != 1)
                        geometry = scale.transform(geometry)
                    def pathClass = pathClasses[label] == PathClass.NULL_CLASS ? null : pathClasses[label]
                    def pieces = splitPieces ? (0..<geometry.getNumGeometries()).collect { geometry.getGeometryN(it) } : [geometry]
                    pieces.each {
                        made << PathObjects.createAnnotationObject(GeometryTools.geometryToROI(it, ImagePlane.getPlane(z, t)), pathClass)
                    }
                }
            }
        }
        return made
    }
}
