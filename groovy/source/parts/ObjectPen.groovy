import groovy.transform.CompileStatic
import java.awt.BasicStroke
import java.awt.Color
import java.awt.Graphics2D
import java.awt.image.BufferedImage
import java.awt.image.DataBufferInt
import qupath.lib.geom.Point2
import qupath.lib.images.servers.TileRequest
import qupath.lib.roi.interfaces.ROI

/** Draws objects alone into a tile, as LabeledImageServer draws them all. */
@CompileStatic
class ObjectPen implements Closeable {
    private final TileRequest request
    private final BufferedImage image
    private final Graphics2D graphics
    private final int[] pixels

    ObjectPen(TileRequest request) {
        this.request = request
        image = new BufferedImage(request.getTileWidth(), request.getTileHeight(), BufferedImage.TYPE_INT_RGB)
        pixels = ((DataBufferInt) image.getRaster().getDataBuffer()).getData()
        graphics = image.createGraphics()
        graphics.setClip(0, 0, image.getWidth(), image.getHeight())
        double scale = 1d / request.getRegionRequest().getDownsample()
        graphics.scale(scale, scale)
        graphics.translate(-request.getRegionRequest().getX(), -request.getRegionRequest().getY())
        graphics.setStroke(new BasicStroke((float) request.getDownsample()))
    }

    /** Give the pixels of an object a number. */
    void draw(ROI roi, int number) {
        graphics.setColor(new Color(number))
        if (roi.isArea())
            graphics.fill(roi.getShape())
        else if (roi.isLine())
            graphics.draw(roi.getShape())
        else
            for (Point2 point : roi.getAllPoints()) {
                int x = (int) ((point.getX() - request.getRegionRequest().getX()) / request.getRegionRequest().getDownsample())
                int y = (int) ((point.getY() - request.getRegionRequest().getY()) / request.getRegionRequest().getDownsample())
                if (x >= 0 && x < image.getWidth() && y >= 0 && y < image.getHeight())
                    image.setRGB(x, y, number)
            }
    }

    /** The numbers of all pixels, row by row. */
    int[] numbers() {
        int[] found = pixels.clone()
        for (int i = 0; i < found.length; i++)
            found[i] &= 0xffffff
        return found
    }

    /** Part of the tile where an object can have pixels: first and end column, first and end row. */
    int[] span(ROI roi) {
        double x = request.getRegionRequest().getX()
        double y = request.getRegionRequest().getY()
        double d = request.getRegionRequest().getDownsample()
        int margin = 3
        return [(int) Math.max(0d, Math.floor((roi.getBoundsX() - x) / d) - margin),
                (int) Math.min((double) image.getWidth(), Math.ceil((roi.getBoundsX() + roi.getBoundsWidth() - x) / d) + margin),
                (int) Math.max(0d, Math.floor((roi.getBoundsY() - y) / d) - margin),
                (int) Math.min((double) image.getHeight(), Math.ceil((roi.getBoundsY() + roi.getBoundsHeight() - y) / d) + margin)] as int[]
    }

    boolean isSet(int x, int y) {
        return (pixels[y * image.getWidth() + x] & 0xffffff) != 0
    }

    void clear(int[] span) {
        for (int y = span[2]; y < span[3] && span[0] < span[1]; y++)
            Arrays.fill(pixels, y * image.getWidth() + span[0], y * image.getWidth() + span[1], 0)
    }

    @Override
    void close() { graphics.dispose() }
}
