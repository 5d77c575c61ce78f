import groovy.transform.CompileStatic
import java.awt.image.BufferedImage

/** A tile, cropped to the image: one label, or pixels row by row. */
@CompileStatic
class LabelTile {
    int width, height
    int label = -1
    int[] pixels

    /** Of labels that QuPath drew. */
    static LabelTile of(BufferedImage drawn) {
        int[] pixels = drawn.getRaster().getSamples(0, 0, drawn.getWidth(), drawn.getHeight(), 0, (int[]) null)
        int first = pixels[0]
        for (int pixel : pixels)
            if (pixel != first)
                return new LabelTile(width: drawn.getWidth(), height: drawn.getHeight(), pixels: pixels)
        return new LabelTile(width: drawn.getWidth(), height: drawn.getHeight(), label: first)
    }

    int at(int x, int y) {
        return label >= 0 ? label : pixels[y * width + x]
    }
}
