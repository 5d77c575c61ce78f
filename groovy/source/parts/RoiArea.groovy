import groovy.transform.CompileStatic
import org.locationtech.jts.geom.Coordinate
import org.locationtech.jts.geom.Geometry
import org.locationtech.jts.geom.LineString
import org.locationtech.jts.geom.Polygon
import qupath.lib.geom.Point2
import qupath.lib.roi.EllipseROI
import qupath.lib.roi.PolygonROI
import qupath.lib.roi.RectangleROI
import qupath.lib.roi.interfaces.ROI

/** Areas in whole numbers, so that this and qpmask.engines.draworder come to one order, to the last bit. */
@CompileStatic
class RoiArea {
    static final double STEPS_PX2 = 2e4d

    /** Twice the area in steps of (1/100 pixel)^2, in whole numbers; 0 for lines and points. */
    static long twice(ROI roi) {
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
