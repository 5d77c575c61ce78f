import groovy.transform.CompileStatic
import qupath.lib.objects.classes.PathClass
import qupath.lib.roi.interfaces.ROI

/** What covers what, in terms of QuPath's label images, which draw class after class. As qpmask.engines.draworder. */
@CompileStatic
class DrawOrder {
    static final int CELLS = 1024

    /** Give each object that is drawn a class that says its layer and its label. Returns these classes in order. */
    static Map<PathClass, Integer> classes(DrawnObjects drawn, int width, int height, double margin) {
        List<Integer> layers = drawn.isByArea ? layers(drawn, width, height, margin).toList() : drawn.places
        TreeMap<Integer, TreeSet<Integer>> found = new TreeMap<>()
        for (int at = 0; at < drawn.size(); at++) {
            found.computeIfAbsent(layers[at], { new TreeSet<Integer>() }).add(drawn.labels[at])
            drawn.objects[at].setPathClass(made(layers[at], drawn.labels[at]))
        }
        Map<PathClass, Integer> classes = new LinkedHashMap<>()
        found.each { Integer layer, TreeSet<Integer> labels ->
            labels.each { Integer label -> classes.put(made(layer, label), label) }
        }
        return classes
    }

    /** Layers for drawing by area: objects of one layer do not overlap or have one label. */
    private static int[] layers(DrawnObjects drawn, int width, int height, double margin) {
        double cell = Math.max(1d, Math.max(width, height) / (double) CELLS)
        int columns = (int) Math.floor(width / cell) + 1
        int rows = (int) Math.floor(height / cell) + 1
        int[] top = new int[rows * columns]
        int[] labelOnTop = new int[rows * columns]
        Arrays.fill(top, -1)
        Arrays.fill(labelOnTop, -1)
        int[] layers = new int[drawn.size()]
        for (int at : drawn.inOrder()) {
            ROI roi = drawn.rois[at]
            int label = drawn.labels[at]
            int x = clip((roi.getBoundsX() - margin) / cell, columns)
            int y = clip((roi.getBoundsY() - margin) / cell, rows)
            int x2 = clip((roi.getBoundsX() + roi.getBoundsWidth() + margin) / cell, columns)
            int y2 = clip((roi.getBoundsY() + roi.getBoundsHeight() + margin) / cell, rows)
            int layer = 0
            for (int row = y; row <= y2; row++)
                for (int column = x; column <= x2; column++) {
                    int i = row * columns + column
                    layer = Math.max(layer, labelOnTop[i] == label ? top[i] : top[i] + 1)
                }
            for (int row = y; row <= y2; row++)
                for (int column = x; column <= x2; column++) {
                    top[row * columns + column] = layer
                    labelOnTop[row * columns + column] = label
                }
            layers[at] = layer
        }
        return layers
    }

    private static PathClass made(int layer, int label) {
        return PathClass.fromString("qpmask layer ${layer} label ${label}".toString())
    }

    private static int clip(double value, int size) {
        return (int) Math.max(0d, Math.min((double) size - 1, Math.floor(value)))
    }
}
