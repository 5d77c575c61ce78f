import java.awt.image.BufferedImage
import qupath.lib.images.ImageData
import qupath.lib.images.servers.AbstractImageServer
import qupath.lib.images.servers.ImageChannel
import qupath.lib.images.servers.ImageServerBuilder
import qupath.lib.images.servers.ImageServerMetadata
import qupath.lib.images.servers.LabeledImageServer
import qupath.lib.images.servers.PixelType
import qupath.lib.images.writers.ome.OMEPyramidWriter
import qupath.lib.objects.hierarchy.PathObjectHierarchy
import qupath.lib.regions.RegionRequest

/** QuPath's label image of the objects of one image. The slide itself is not opened. */
class LabelImage {
    /** QuPath draws level 0 into a scratch file. */
    static void draw(ImagePlan plan, ExportTask task, String order, File data, File scratch) {
        def entry = plan.entry
        def hierarchy = data == null ? new PathObjectHierarchy() : DataFile.read(data).hierarchy
        ClassNames.bringToForm(hierarchy)
        def metadata = new ImageServerMetadata.Builder().width(entry.width).height(entry.height)
                .sizeZ(entry.sizeZ).sizeT(entry.sizeT).name(entry.name).pixelType(PixelType.UINT8)
                .channels(ImageChannel.getDefaultChannelList(1)).preferredTileSize(task.tilePx, task.tilePx).build()
        def imageData = new ImageData<BufferedImage>(new SlideOfSize(metadata), hierarchy, ImageData.ImageType.OTHER)
        def builder = new LabeledImageServer.Builder(imageData).downsample(task.downsample).tileSize(task.tilePx).lineThickness(1f)
        switch (task.objects) {
            case 'annotations': builder.useAnnotations(); break
            case 'detections': builder.useDetections(); break
            case 'cells': builder.useCells(); break
            case ExportTask.CORES: builder.useFilter { task.isKind(it) }; break
            default: builder.useCellNuclei()
        }
        if (order == 'area')
            DrawOrder.layered(hierarchy, plan, task).each { pathClass, label -> builder.addLabel(pathClass, label) }
        else
            plan.rules.each { name, label ->
                if (name == null)
                    builder.addUnclassifiedLabel(label)
                else
                    builder.addLabel(name, label)
            }
        def server = builder.build()
        try {
            def level = server.getMetadata().getLevel(0)
            if (level.getWidth() != plan.width || level.getHeight() != plan.height)
                throw new MaskStop("QuPath would draw ${entry.label} at ${level.getWidth()} x ${level.getHeight()} " +
                        "pixels instead of ${plan.width} x ${plan.height}. Please report this with the QuPath version.")
            new OMEPyramidWriter.Builder(server).tileSize(task.tilePx).bigTiff(true)
                    .compression(OMEPyramidWriter.CompressionType.LZW)
                    .parallelize(Runtime.runtime.availableProcessors()).build().writeSeries(scratch.path)
        } finally {
            server.close()
            if (imageData.metaClass.respondsTo(imageData, 'close'))  // QuPath 0.6 and later
                imageData.close()
        }
    }
}

/** A slide of which only the size is known: a label image needs no more. */
class SlideOfSize extends AbstractImageServer<BufferedImage> {
    private final ImageServerMetadata metadata

    SlideOfSize(ImageServerMetadata metadata) {
        super(BufferedImage)
        this.metadata = metadata
    }

    @Override
    ImageServerMetadata getOriginalMetadata() { return metadata }

    @Override
    Collection<URI> getURIs() { return [] }

    @Override
    String getServerType() { return 'qpmask' }

    @Override
    BufferedImage readRegion(RegionRequest request) { throw new UnsupportedOperationException('The slide is not open.') }

    @Override
    protected ImageServerBuilder.ServerBuilder<BufferedImage> createServerBuilder() { return null }

    @Override
    protected String createID() { return 'qpmask ' + UUID.randomUUID() }
}
