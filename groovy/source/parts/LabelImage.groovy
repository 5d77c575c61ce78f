import groovy.transform.CompileStatic
import java.awt.image.BufferedImage
import qupath.lib.images.ImageData
import qupath.lib.images.servers.ImageChannel
import qupath.lib.images.servers.ImageServerMetadata
import qupath.lib.images.servers.LabeledImageServer
import qupath.lib.images.servers.PixelType
import qupath.lib.images.servers.TileRequest
import qupath.lib.objects.PathObject
import qupath.lib.objects.hierarchy.PathObjectHierarchy

/**
 * QuPath's label image of the objects of one image, tile by tile. The tiles are asked of the server itself:
 * OMEPyramidWriter logs what goes wrong with a tile and leaves it out. The slide is not opened.
 */
@CompileStatic
class LabelImage implements Closeable {
    final DrawnObjects drawn
    final ObjectSight sight
    private final LabeledImageServer server
    private final ImageData<BufferedImage> imageData
    private final ImagePlan plan
    private final TileRequest[][] tiles  // by plane, row by row
    private final int columns
    private final Thread owner = Thread.currentThread()

    LabelImage(ImagePlan plan, ExportTask task, String order) {
        this.plan = plan
        PathObjectHierarchy hierarchy = plan.data == null ? new PathObjectHierarchy() : (PathObjectHierarchy) DataFile.read(plan.data).get('hierarchy')
        drawn = new DrawnObjects(hierarchy, plan, task, order == 'area')
        int width = (int) plan.entry.get('width')
        int height = (int) plan.entry.get('height')
        ImageServerMetadata metadata = new ImageServerMetadata.Builder().width(width).height(height)
                .sizeZ((int) plan.entry.get('sizeZ')).sizeT((int) plan.entry.get('sizeT')).name((String) plan.entry.get('name'))
                .pixelType(PixelType.UINT8).channels(ImageChannel.getDefaultChannelList(1))
                .preferredTileSize(task.tilePx, task.tilePx).build()
        imageData = new ImageData<BufferedImage>(new SlideOfSize(metadata), hierarchy, ImageData.ImageType.OTHER)
        LabeledImageServer.Builder builder = new LabeledImageServer.Builder(imageData).downsample(task.downsample)
                .tileSize(task.tilePx).lineThickness(1f)
        if (task.objects == 'nuclei')
            builder.useCellNuclei()
        else
            builder.useFilter { PathObject object -> task.isKind(object) }
        builder.addLabels(DrawOrder.classes(drawn, width, height, 4d * task.downsample))
        server = builder.build()
        ImageServerMetadata.ImageResolutionLevel level = server.getMetadata().getLevel(0)
        if (level.getWidth() != plan.width || level.getHeight() != plan.height)
            throw new MaskStop("QuPath would draw ${plan.entry.get('label')} at ${level.getWidth()} x ${level.getHeight()} " +
                    "pixels instead of ${plan.width} x ${plan.height}. Please report this with the QuPath version.")
        columns = MaskTiff.ceil(plan.width, task.tilePx)
        tiles = new TileRequest[plan.planes][columns * MaskTiff.ceil(plan.height, task.tilePx)]
        for (TileRequest tile : server.getTileRequestManager().getTileRequestsForLevel(0))
            tiles[tile.getT() * server.nZSlices() + tile.getZ()][tile.getTileY().intdiv(task.tilePx) * columns +
                    tile.getTileX().intdiv(task.tilePx)] = tile
        sight = new ObjectSight(server, drawn)
    }

    /** A tile as QuPath draws it; meanwhile its objects are looked for. */
    LabelTile tile(int plane, int row, int column) {
        if (owner.isInterrupted())
            throw new InterruptedException()
        TileRequest request = tiles[plane][row * columns + column]
        BufferedImage image = server.readRegion(request.getRegionRequest())
        if (image == null || image.getWidth() != request.getTileWidth() || image.getHeight() != request.getTileHeight())
            throw new MaskStop("QuPath did not draw the tile in row ${row}, column ${column} of ${plan.entry.get('label')}; its log says why.")
        LabelTile tile = LabelTile.of(image)
        sight.look(request, tile)
        return tile
    }

    @Override
    void close() {
        server.close()
        if (imageData instanceof AutoCloseable)  // QuPath 0.6 and later
            ((AutoCloseable) imageData).close()
    }
}
