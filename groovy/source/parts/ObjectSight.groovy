import groovy.transform.CompileStatic
import qupath.lib.images.servers.LabeledImageServer
import qupath.lib.images.servers.TileRequest
import qupath.lib.objects.PathObject
import qupath.lib.regions.RegionRequest
import qupath.lib.roi.interfaces.ROI

/**
 * Which objects leave a pixel, and what covers the others; the same answers as qpmask.engines.native.seenobjects.
 * Here each object is drawn once more by itself, in one tile after the other, until a pixel of it is found that
 * has its label in the mask.
 */
@CompileStatic
class ObjectSight {
    private static final int MOST_AT_ONCE = 65535
    private static final int MOST_ROUNDS = 64
    private final LabeledImageServer server
    private final DrawnObjects drawn
    private final Map<PathObject, Integer> positions = new IdentityHashMap<>()
    final boolean[] hasPixel, isLeft  // of each drawn object: alone; with its label in the mask

    ObjectSight(LabeledImageServer server, DrawnObjects drawn) {
        this.server = server
        this.drawn = drawn
        hasPixel = new boolean[drawn.size()]
        isLeft = new boolean[drawn.size()]
        for (int at = 0; at < drawn.size(); at++)
            positions.put(drawn.objects[at], at)
    }

    /** Look for the objects of a tile; tiles may come at the same time. */
    void look(TileRequest request, LabelTile tile) {
        ObjectPen pen = null
        for (int at : inTile(request)) {
            int label = drawn.labels[at]
            if (isLeft[at] || hasPixel[at] && tile.label >= 0 && tile.label != label)
                continue
            pen = pen ?: new ObjectPen(request)
            ROI roi = drawn.rois[at]
            int[] span = pen.span(roi)
            pen.draw(roi, 1)
            for (int y = span[2]; y < span[3] && !isLeft[at]; y++)
                for (int x = span[0]; x < span[1]; x++)
                    if (pen.isSet(x, y)) {
                        hasPixel[at] = true
                        if (tile.at(x, y) == label) {
                            isLeft[at] = true
                            break
                        }
                    }
            pen.clear(span)
        }
        pen?.close()
    }

    /** Labels upon each object that has pixels and left none, the commonest first; by its position. */
    Map<Integer, List<Integer>> coveredBy() {
        Map<Integer, List<Integer>> found = [:]
        List<Integer> hidden = (0..<drawn.size()).findAll { int at -> hasPixel[at] && !isLeft[at] }
        // Objects that cover one another are taken apart in rounds: those on top first.
        for (int round = 0; round < MOST_ROUNDS && hidden; round++) {
            for (List<Integer> part : hidden.collate(MOST_AT_ONCE)) {
                Map<Integer, Map<Integer, Long>> upon = [:]
                eachTile(part) { TileRequest request, List<Integer> there ->
                    jointly(request, there) { int at -> at + 1 }.each { Integer number, Map<Integer, Long> pixels ->
                        add(upon.computeIfAbsent(number - 1, { [:] as LinkedHashMap<Integer, Long> }), pixels)
                    }
                }
                upon.each { Integer at, Map<Integer, Long> pixels -> found.put(at, commonest(pixels)) }
            }
            hidden = hidden.findAll { int at -> !found.containsKey(at) }
        }
        return found
    }

    /** Classes of which more than half is covered: label, pixels alone and left, and labels upon them. */
    List<Map> shares(Map<Integer, Long> leftPx, double downsample) {
        List<Map> found = []
        Map<Integer, List<Integer>> byLabel = new TreeMap<>()
        for (int at = 0; at < drawn.size(); at++)
            if (hasPixel[at])
                byLabel.computeIfAbsent(drawn.labels[at], { [] as List<Integer> }).add(at)
        byLabel.each { Integer label, List<Integer> objects ->
            long left = leftPx.get(label) ?: 0L
            if (2 * left >= mostPixels(objects, downsample))
                return
            Map<Integer, Long> pixels = new LinkedHashMap<>()
            eachTile(objects) { TileRequest request, List<Integer> there ->
                add(pixels, jointly(request, there) { int at -> 1 }.get(1))
            }
            long alone = (long) pixels.values().sum(0L)
            if (2 * left < alone)
                found << ([label: label, drawn_px: alone, left_px: left, by: commonest(pixels) - label] as Map)
        }
        return found
    }

    /** At least as many pixels as objects can have. */
    private double mostPixels(List<Integer> objects, double downsample) {
        double most = 0d
        for (int at : objects) {
            ROI roi = drawn.rois[at]
            most += RoiArea.twice(roi) / (RoiArea.STEPS_PX2 * downsample * downsample) + 1 +
                    2 * (roi.getBoundsWidth() + roi.getBoundsHeight()) / downsample
        }
        return most
    }

    /** Call this with each tile, in order, and those of the objects that take part in it. */
    private void eachTile(List<Integer> objects, Closure what) {
        Set<Integer> wanted = new HashSet<>(objects)
        double d = server.getDownsampleForResolution(0)
        int around = (int) Math.ceil(4 * d)
        Set<TileRequest> tiles = Collections.newSetFromMap(new IdentityHashMap<TileRequest, Boolean>())
        for (int at : objects) {
            ROI roi = drawn.rois[at]
            tiles.addAll(server.getTileRequestManager().getTileRequests(RegionRequest.createInstance(server.getPath(), d,
                    (int) roi.getBoundsX() - around, (int) roi.getBoundsY() - around, (int) roi.getBoundsWidth() + 2 * around,
                    (int) roi.getBoundsHeight() + 2 * around, roi.getZ(), roi.getT())))
        }
        List<TileRequest> inOrder = tiles.sort(false) { TileRequest a, TileRequest b ->
            a.getT() <=> b.getT() ?: a.getZ() <=> b.getZ() ?: a.getTileY() <=> b.getTileY() ?: a.getTileX() <=> b.getTileX()
        }
        for (TileRequest tile : inOrder) {
            List<Integer> there = inTile(tile).findAll { int at -> wanted.contains(at) }
            if (there)
                what.call(tile, there)
        }
    }

    /** Objects are drawn in their order, each with a number: pixels by number and label of the mask. */
    private Map<Integer, Map<Integer, Long>> jointly(TileRequest request, List<Integer> objects, Closure<Integer> number) {
        int[] numbers = new ObjectPen(request).withCloseable { ObjectPen pen ->
            for (int at : objects.sort(false) { int i -> drawn.order[i] })
                pen.draw(drawn.rois[at], number.call(at))
            return pen.numbers()
        }
        LabelTile tile = LabelTile.of(server.readRegion(request.getRegionRequest()))
        Map<Integer, Map<Integer, Long>> found = new TreeMap<>()
        for (int i = 0; i < numbers.length; i++)
            if (numbers[i] != 0) {
                Map<Integer, Long> pixels = found.computeIfAbsent(numbers[i], { new TreeMap<Integer, Long>() })
                int label = tile.at(i % tile.width, i.intdiv(tile.width))
                pixels.put(label, (pixels.get(label) ?: 0L) + 1L)
            }
        return found
    }

    private static void add(Map<Integer, Long> sum, Map<Integer, Long> pixels) {
        pixels?.each { Integer label, Long n -> sum.put(label, (sum.get(label) ?: 0L) + n) }
    }

    private static List<Integer> commonest(Map<Integer, Long> pixels) {
        return pixels.keySet().toList().sort { Integer a, Integer b -> pixels.get(b) <=> pixels.get(a) }
    }

    private List<Integer> inTile(TileRequest request) {
        List<Integer> found = []
        for (PathObject object : server.getObjectsForRegion(request.getRegionRequest())) {
            Integer at = positions.get(object)
            if (at != null)
                found << at
        }
        return found
    }
}
