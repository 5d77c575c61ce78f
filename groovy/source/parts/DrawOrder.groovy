import groovy.transform.CompileStatic
import org.locationtech.jts.geom.Coordinate
import org.locationtech.jts.geom.Geometry
import org.locationtech.jts.geom.LineString
import org.locationtech.jts.geom.Polygon
import qupath.lib.geom.Point2
import qupath.lib.objects.PathObject
import qupath.lib.objects.PathObjectTools
import qupath.lib.objects.classes.PathClass
import qupath.lib.objects.hierarchy.PathObjectHierarchy
import qupath.lib.roi.EllipseROI
import qupath.lib.roi.PolygonROI
import qupath.lib.roi.RectangleROI
import qupath.lib.roi.interfaces.ROI

/** Drawing by area: larger objects first, whatever their class. As qpmask.engines.drawn, to the last bit. */
@CompileStatic
class DrawOrder {
    static final int CELLS = 1024

    /**
     * Give each object that is drawn a class that says its layer and its label; QuPath draws class after class.
     * Objects of one layer do not overlap or have one label. Returns the classes with their labels, in order.
     */
    static Map<PathClass, Integer> layered(PathObjectHierarchy hierarchy, ImagePlan plan, ExportTask task) {
        int width = (int) plan.entry.get('width')
        int height = (int) plan.entry.get('height')
        double margin = 4d * task.downsample
        Map<String, Integer> places = [:]
        Map<String, Integer> labels = [:]
        plan.rules.eachWithIndex { Object rule, int place ->
            List pair = (List) rule
            places.put((String) pair[0], place)  // the name may be null, which Groovy 5 takes for no key in []
            labels.put((String) pair[0], (Integer) pair[1])
        }
        List<PathObject> objects = []
        List<long[]> keys = []  // area, place of the class, position in the file
        List<Integer> drawn = []
        List<ROI> rois = []
        hierarchy.getRootObject().getDescendantObjects(null).each { PathObject object ->
            boolean wanted = task.isKind(object)
            PathClass pathClass = object.getPathClass()
            String name = pathClass == null || pathClass == PathClass.NULL_CLASS ? null : pathClass.toString()
            ROI roi = PathObjectTools.getROI(object, task.objects == 'nuclei')
            object.resetPathClass()
            if (!wanted || roi == null || !labels.containsKey(name))
                return
            keys << ([twiceArea(roi), places.get(name) as long, objects.size() as long] as long[])
            objects << object
            drawn << labels.get(name)
            rois << roi
        }
        keys.sort { long[] a, long[] b -> b[0] <=> a[0] ?: a[1] <=> b[1] ?: a[2] <=> b[2] }
        double cell = Math.max(1d, Math.max(width, height) / (double) CELLS)
        int columns = (int) Math.floor(width / cell) + 1
        int rows = (int) Math.floor(height / cell) + 1
        int[] top = new int[rows * columns]
        int[] labelOnTop = new int[rows * columns]
        Arrays.fill(top, -1)
        Arrays.fill(labelOnTop, -1)
        TreeMap<Integer, TreeSet<Integer>> found = new TreeMap<>()
        int[] layers = new int[objects.size()]
        for (long[] key : keys) {
            int at = (int) key[2]
            ROI roi = rois[at]
            int label = drawn[at]
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
            found.computeIfAbsent(layer, { new TreeSet<Integer>() }).add(label)
        }
        Map<PathClass, Integer> classes = new LinkedHashMap<>()
        found.each { Integer layer, TreeSet<Integer> there ->
            there.each { Integer label -> classes[made(layer, label)] = label }
        }
        for (int at = 0; at < objects.size(); at++)
            objects[at].setPathClass(made(layers[at], drawn[at]))
        return classes
    }

    private static PathClass made(int layer, int label) {
        return PathClass.fromString("qpmask layer ${layer} label ${label}".toString())
    }

    private static int clip(double value, int size) {
        return (int) Math.max(0d, Math.min((double) size - 1, Math.floor(value)))
    }

    /** Twice the area in steps of (1/100 pixel)^2, in whole numbers; 0 for lines and points. */
    static long twiceArea(ROI roi) {
        if (roi.isLine() || roi.isPoint())
            return 0L
        double box = roi.getBoundsWidth() * roi.getBoundsHeight()
        if (roi instanceof RectangleROI)
            return (long) Math.floor(box * 2e4d + 0.5d)
        if (roi instanceof EllipseROI)
            return (long) Math.floor(box * (Math.PI * 5e3d) + 0.5d)
        if (roi instanceof PolygonROI) {
            List<Point2> points = roi.getAllPoints()
            return Math.abs(ring(points.collect { Point2 p -> p.getX() }, points.collect { Point2 p -> p.getY() }))
        }
        return Math.abs(geometry(roi.getGeometry()))
    }

    private static long geometry(Geometry whole) {
        long sum = 0L
        if (whole instanceof Polygon) {
            sum = Math.abs(ring(whole.getExteriorRing()))
            for (int i = 0; i < whole.getNumInteriorRing(); i++)
                sum -= Math.abs(ring(whole.getInteriorRingN(i)))
        } else if (whole.getNumGeometries() > 1 || whole.getGeometryN(0) != whole) {
            for (int i = 0; i < whole.getNumGeometries(); i++)
                sum += geometry(whole.getGeometryN(i))
        }
        return sum
    }

    private static long ring(LineString line) {
        Coordinate[] points = line.getCoordinates()
        return ring(points.collect { Coordinate c -> c.x }, points.collect { Coordinate c -> c.y })
    }

    private static long ring(List<Double> xs, List<Double> ys) {
        long sum = 0L
        int n = xs.size()
        for (int i = 0; i < n; i++) {
            int j = i + 1 < n ? i + 1 : 0
            sum += step(xs[i]) * step(ys[j]) - step(xs[j]) * step(ys[i])
        }
        return sum
    }

    private static long step(double value) {
        return Math.round(value / 0.01d)
    }
}
