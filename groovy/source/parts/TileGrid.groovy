import groovy.transform.CompileStatic
import qupath.lib.images.servers.LabeledImageServer
import qupath.lib.images.servers.TileRequest
import qupath.lib.roi.interfaces.ROI

/** The tiles of a label image at full size, plane by plane and row by row. */
@CompileStatic
class TileGrid {
    private final List<TileRequest[]> planes = []
    private final int tilePx, columns, rows, sizeZ
    private final double downsample

    TileGrid(LabeledImageServer server, ImagePlan plan, int tilePx) {
        this.tilePx = tilePx
        columns = MaskTiff.ceil(plan.width, tilePx)
        rows = MaskTiff.ceil(plan.height, tilePx)
        sizeZ = server.nZSlices()
        downsample = server.getDownsampleForResolution(0)
        for (int plane = 0; plane < plan.planes; plane++)
            planes << new TileRequest[columns * rows]
        for (TileRequest request : server.getTileRequestManager().getTileRequestsForLevel(0))
            planes[plane(request.getZ(), request.getT())][request.getTileY().intdiv(tilePx) * columns +
                    request.getTileX().intdiv(tilePx)] = request
    }

    TileRequest at(int plane, int row, int column) {
        return planes[plane][row * columns + column]
    }

    /** Tiles in which one of these may have pixels. */
    List<TileRequest> touchedBy(Collection<ROI> rois) {
        BitSet touched = new BitSet()
        for (ROI roi : rois) {
            int plane = plane(roi.getZ(), roi.getT())
            if (roi.getZ() < 0 || roi.getZ() >= sizeZ || plane < 0 || plane >= planes.size())
                continue
            int first = near(roi.getBoundsX(), -1, columns)
            int last = near(roi.getBoundsX() + roi.getBoundsWidth(), 1, columns)
            for (int row = near(roi.getBoundsY(), -1, rows); row <= near(roi.getBoundsY() + roi.getBoundsHeight(), 1, rows); row++)
                touched.set((plane * rows + row) * columns + first, (plane * rows + row) * columns + last + 1)
        }
        return touched.stream().mapToObj { int i -> planes[i.intdiv(rows * columns)][i % (rows * columns)] }.toList() as List<TileRequest>
    }

    private int plane(int z, int t) {
        return t * sizeZ + z
    }

    /** Tile of a coordinate, and of a few pixels before or after it. */
    private int near(double px0, int side, int count) {
        return (int) Math.max(0d, Math.min((double) count - 1, Math.floor((px0 / downsample + 4 * side) / tilePx)))
    }
}
