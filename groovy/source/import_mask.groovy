/*
 * import_mask.groovy: a label mask becomes annotations of the image that is open.
 *
 * Run it     Automate > Script editor > Run, with the image open. To keep the annotations, save the
 *            image afterwards. Without a window: QuPath script -p project.qpproj -i IMAGE --save
 *            --args mask.ome.tif import_mask.groovy
 * In         A mask with a class table, as qpmask and export_masks.groovy write them: by default the
 *            one that was made of the open image, found by its sidecar in the output folder.
 * Out        Annotations with the classes of the table. Exported again with the same class map they
 *            give the same mask. Pixels of unclassified objects become annotations without a class.
 * QuPath     0.4 to 0.7.
 *
 * QuPath's ContourTracing traces the mask tile by tile and merges the pieces, so memory depends on
 * the outlines and not on the number of pixels.
 */

import com.google.gson.JsonParser
import java.nio.charset.StandardCharsets
import javax.xml.parsers.DocumentBuilderFactory
import loci.formats.tiff.TiffParser
import org.locationtech.jts.geom.util.AffineTransformation
import qupath.lib.analysis.images.ContourTracing
import qupath.lib.images.servers.ImageServerBuilder.ServerBuilder
import qupath.lib.images.servers.ImageServerMetadata
import qupath.lib.images.servers.ImageServers
import qupath.lib.io.GsonTools
import qupath.lib.objects.PathObjects
import qupath.lib.objects.classes.PathClass
import qupath.lib.regions.ImagePlane
import qupath.lib.regions.RegionRequest
import qupath.lib.roi.GeometryTools
import qupath.lib.scripting.QP

// ---- settings -----------------------------------------------------------------------------------

def maskFile = null          // path of the mask; null: the mask of the open image in maskFolder
def maskFolder = 'masks'     // a relative path begins in the project's folder
def replaceAll = false       // true: remove the annotations that are there first
def splitPieces = true       // true: each connected piece an annotation; false: one for each class

// ---- nothing to change below --------------------------------------------------------------------

def stop = { message -> throw new IllegalStateException(message.toString()) }

(binding.hasVariable('args') && args != null ? args as List<String> : []).each {
    if (it == 'replaceAll=true')
        replaceAll = true
    else if (it == 'splitPieces=false')
        splitPieces = false
    else
        maskFile = it
}
def imageData = QP.getCurrentImageData()
if (imageData == null)
    stop('No image is open. Open the image that the mask belongs to.')

// -- which mask
def file = maskFile == null ? null : new File(maskFile)
if (file == null) {
    def entry = QP.getProjectEntry()
    def projectFile = QP.getProject()?.getPath()?.toFile()
    if (entry == null || projectFile == null)
        stop('No project is open, so name the mask in the setting maskFile.')
    def folder = new File(maskFolder)
    folder = folder.absolute ? folder : new File(projectFile.parentFile, maskFolder)
    def sidecar = (folder.listFiles() ?: []).find {
        if (!it.name.endsWith('.ome.tif.json'))
            return false
        try {
            def image = JsonParser.parseString(it.getText('UTF-8')).getAsJsonObject().getAsJsonObject('image')
            return image.get('entry_id').getAsString() == entry.getID() && image.get('name').getAsString() == entry.getImageName()
        } catch (Exception ignored) {
            return false
        }
    }
    if (sidecar == null)
        stop("There is no mask of ${entry.getImageName()} in ${folder}. Export it, or name it in the setting maskFile.")
    file = new File(sidecar.path[0..<-5])
}
if (!file.isFile())
    stop("There is no mask ${file}.")

// -- its class table
def parser = new TiffParser(file.path)
def xml
try {
    xml = parser.getComment()
} finally {
    parser.getStream().close()
}
def factory = DocumentBuilderFactory.newInstance()
factory.setFeature('http://apache.org/xml/features/disallow-doctype-decl', true)
def classes = new TreeMap()
def notes = [:]
try {
    def annotations = factory.newDocumentBuilder().parse(new ByteArrayInputStream(xml.trim().getBytes(StandardCharsets.UTF_8)))
            .getElementsByTagName('MapAnnotation')
    for (int i = 0; i < annotations.length; i++) {
        def rows = annotations.item(i).getElementsByTagName('M')
        for (int k = 0; k < rows.length; k++) {
            def key = rows.item(k).getAttribute('K')
            if (annotations.item(i).getAttribute('Namespace') == 'qpmask/classes')
                classes[key as int] = JsonParser.parseString(rows.item(k).textContent).getAsJsonObject()
            else
                notes[key] = rows.item(k).textContent
        }
    }
} catch (Exception error) {
    stop("${file} has no class table that can be read (${error.message}). It must be a mask of qpmask.")
}
if (!classes || notes.kind != 'classes')
    stop("${file} has no class table: it is no mask of classes by qpmask.")

// -- where the open image lies in its file
/** What QuPath does to the file, outermost first, in the words of the mask's frame. */
def shownAs = { server ->
    def words = []
    def builder = GsonTools.getInstance().toJsonTree(server.getBuilder(), ServerBuilder).getAsJsonObject()
    for (int i = 0; i < 64 && builder != null; i++) {
        switch (builder.get('builderType')?.getAsString()) {
            case 'rotated':
                def rotation = builder.get('rotation').getAsString()
                if (rotation != 'ROTATE_NONE')
                    words << "rotated by ${rotation - 'ROTATE_'} degrees".toString()
                break
            case 'flipped':
                def flip = builder.get('flip').getAsString()
                if (flip != 'NONE')
                    words << "flipped (${flip.toLowerCase(Locale.ROOT)})".toString()
                break
            case 'cropped':
                def r = builder.getAsJsonObject('region')
                words << String.format(Locale.ROOT, 'cropped to %,d x %,d pixels at x %,d, y %,d',
                        *['width', 'height', 'x', 'y'].collect { r.get(it).getAsInt() })
                break
            case 'affine':
                def m = builder.getAsJsonObject('transform')
                if (['m00', 'm10', 'm01', 'm11', 'm02', 'm12'].collect { m.get(it).getAsDouble() } != [1d, 0d, 0d, 1d, 0d, 0d])
                    words << 'transformed'
                break
        }
        builder = builder.has('builder') ? builder.getAsJsonObject('builder') : null
    }
    return words
}

// -- trace
def server = imageData.getServer()
def mask = ImageServers.buildServer(file.toURI())
def made = []
try {
    double downsample = notes.downsample as double
    if (notes.image_width_px as int != server.getWidth() || notes.image_height_px as int != server.getHeight())
        stop("${file} was made of an image of ${notes.image_width_px} x ${notes.image_height_px} pixels; the open " +
                "one has ${server.getWidth()} x ${server.getHeight()}.")
    def frame = notes.frame ? JsonParser.parseString(notes.frame).getAsJsonObject() : null
    if (frame != null && !frame.get('mask_to_file').isJsonNull()) {
        def then = frame.getAsJsonArray('steps').collect { it.getAsString() }
                .findAll { !it.startsWith('cut to') && it != 'rotated by its arguments' }
        def now = shownAs(server)
        if (then != now)
            stop("${file} was made of an image that QuPath shows ${then.join(', ') ?: 'as its file is'}; the open one is shown " +
                    "${now.join(', ') ?: 'as its file is'}.")
    }
    def pathClasses = classes.collectEntries { label, row ->
        def name = row.get('name').getAsString()
        def color = row.has('color') ? Integer.decode(row.get('color').getAsString()) | 0xff000000 as int : null
        [(label): name == 'Unclassified' ? PathClass.NULL_CLASS : PathClass.fromString(name, color as Integer)]
    }
    // In an image of classifications a threshold stands for a label.
    mask.setMetadata(new ImageServerMetadata.Builder(mask.getMetadata()).classificationLabels(pathClasses)
            .channelType(ImageServerMetadata.ChannelType.CLASSIFICATION).build())
    def thresholds = classes.keySet().collect { ContourTracing.ChannelThreshold.create(it) } as ContourTracing.ChannelThreshold[]
    for (int t = 0; t < mask.nTimepoints(); t++) {
        for (int z = 0; z < mask.nZSlices(); z++) {
            def region = RegionRequest.createInstance(mask.getPath(), 1.0d, 0, 0, mask.getWidth(), mask.getHeight(), z, t)
            ContourTracing.traceGeometries(mask, region, null, thresholds).each { label, geometry ->
                if (geometry == null || geometry.isEmpty())
                    return
                if (downsample != 1)
                    geometry = AffineTransformation.scaleInstance(downsample, downsample).transform(geometry)
                def pathClass = pathClasses[label] == PathClass.NULL_CLASS ? null : pathClasses[label]
                def pieces = splitPieces ? (0..<geometry.getNumGeometries()).collect { geometry.getGeometryN(it) } : [geometry]
                pieces.each {
                    def roi = GeometryTools.geometryToROI(it, ImagePlane.getPlane(z, t))
                    made << PathObjects.createAnnotationObject(roi, pathClass)
                }
            }
        }
    }
} finally {
    mask.close()
}

// -- add
def hierarchy = imageData.getHierarchy()
if (replaceAll)
    hierarchy.removeObjects(hierarchy.getAnnotationObjects(), true)
hierarchy.addObjects(made)
println "qpmask: ${made.size()} annotation(s) of ${made*.getPathClass().unique().size()} class(es) from ${file}"
