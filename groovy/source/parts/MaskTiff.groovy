import groovy.transform.CompileStatic
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicLongArray
import ome.codecs.CodecOptions
import ome.codecs.LZWCodec

/**
 * Writes a mask: header and directories at the front, then the tiles of all levels. A level is every
 * second pixel of the one before, never an average of labels. Equal tiles share their bytes; none is left out.
 */
@CompileStatic
class MaskTiff implements Closeable {
    private final File path
    private final RandomAccessFile file
    private final int tile, bits, planes
    private final List<int[]> sizes
    private final TiffDirectories directories
    private final long[][][] places  // by plane and level: offset and length of each tile
    private final Map<String, long[]> segments = new ConcurrentHashMap<>()
    private final Map<Integer, long[]> constantPlaces = new ConcurrentHashMap<>()
    private final AtomicLongArray counts = new AtomicLongArray(65536)
    private byte[] front
    private long end

    MaskTiff(File path, ImagePlan plan, int tile, String description) {
        this.path = path
        this.tile = tile
        bits = plan.bits
        planes = plan.planes
        sizes = levels(plan.width, plan.height, tile)
        directories = new TiffDirectories(sizes: sizes, tile: tile, bits: bits, planes: planes, pixelSize: plan.pixelSize,
                description: description)
        places = new long[planes][sizes.size()][]
        for (int plane = 0; plane < planes; plane++)
            for (int level = 0; level < sizes.size(); level++)
                places[plane][level] = new long[2 * columns(level) * rows(level)]
        file = new RandomAccessFile(path, 'rw')
        file.setLength(0L)
        // Room for BigTIFF's directories, which are the longer ones.
        end = directories.pack(places, true).length
    }

    static int ceil(int a, int b) {
        return (a + b - 1).intdiv(b)
    }

    /** Sizes of the levels: each half of the one before, rounded up, until one fits into a tile. */
    static List<int[]> levels(int width, int height, int tile) {
        List<int[]> sizes = []
        sizes << ([width, height] as int[])
        while (sizes[-1][0] > tile || sizes[-1][1] > tile)
            sizes << ([ceil(sizes[-1][0], 2), ceil(sizes[-1][1], 2)] as int[])
        return sizes
    }

    private int columns(int level) { return ceil(sizes[level][0], tile) }

    private int rows(int level) { return ceil(sizes[level][1], tile) }

    /** Take all tiles from the label image; returns pixels by label. */
    Map<Integer, Long> write(LabelImage image) {
        for (int plane = 0; plane < planes; plane++)
            build(image, plane, sizes.size() - 1, 0, 0)
        front = directories.pack(places, end > 0xffffffffL)
        file.seek(0L)
        file.write(front)
        file.getFD().sync()
        Map<Integer, Long> found = new TreeMap<>()
        for (int label = 0; label < 65536; label++)
            if (counts.get(label) > 0L)
                found[label] = counts.get(label)
        return found
    }

    @Override
    void close() { file.close() }

    /** Store a tile of a level and all tiles that it stands for. */
    private LabelTile build(LabelImage image, int plane, int level, int row, int column) {
        int width = Math.min(tile, sizes[level][0] - column * tile)
        int height = Math.min(tile, sizes[level][1] - row * tile)
        if (level == 0)
            return base(image, plane, row, column)
        LabelTile[] parts = new LabelTile[4]
        List<Integer> quarters = [0, 1, 2, 3].findAll { int i ->
            2 * row + (i >> 1) < rows(level - 1) && 2 * column + (i & 1) < columns(level - 1)
        }
        quarters.parallelStream().forEach { Integer i ->
            parts[i] = build(image, plane, level - 1, 2 * row + (i >> 1), 2 * column + (i & 1))
        }
        LabelTile made = new LabelTile(width: width, height: height)
        int first = parts[0].label
        if (first >= 0 && quarters.every { int i -> parts[i].label == first }) {
            made.label = first
            place(plane, level, row, column, constantPlace(first))
            return made
        }
        int[] pixels = new int[width * height]
        int half = tile >> 1
        for (int i : quarters) {
            int[] from = parts[i].pixels
            int label = parts[i].label
            int partWidth = parts[i].width
            int partHeight = parts[i].height
            for (int y = 0; y < partHeight; y += 2) {
                int at = ((i >> 1) * half + (y >> 1)) * width + (i & 1) * half
                for (int x = 0; x < partWidth; x += 2)
                    pixels[at++] = label >= 0 ? label : from[y * partWidth + x]
            }
        }
        made.pixels = pixels
        place(plane, level, row, column, segment(encoded(made)))
        return made
    }

    /** A tile of level 0, counted. */
    private LabelTile base(LabelImage image, int plane, int row, int column) {
        LabelTile made = image.tile(plane, row, column)
        if (made.label >= 0) {
            counts.addAndGet(made.label, (long) made.width * made.height)
        } else {
            long[] local = new long[1 << bits]
            for (int label : made.pixels)
                local[label] = local[label] + 1L
            for (int label = 0; label < local.length; label++)
                if (local[label] > 0L)
                    counts.addAndGet(label, local[label])
        }
        place(plane, 0, row, column, made.label >= 0 ? constantPlace(made.label) : segment(encoded(made)))
        return made
    }

    private byte[] encoded(LabelTile part) {
        byte[] raw = new byte[tile * tile * (bits >> 3)]
        for (int y = 0; y < tile; y++)
            for (int x = 0; x < tile; x++) {
                int label = part.label >= 0 ? part.label : y < part.height && x < part.width ? part.pixels[y * part.width + x] : 0
                int at = y * tile + x
                if (bits == 8) {
                    raw[at] = (byte) label
                } else {
                    raw[2 * at] = (byte) label
                    raw[2 * at + 1] = (byte) (label >> 8)
                }
            }
        byte[] data = lzw(raw, raw.length, true)
        if (!Arrays.equals(lzw(data, raw.length, false), raw))
            throw new MaskStop('The LZW encoder of this QuPath made a tile that does not decode. Please report this.')
        return data
    }

    private static byte[] lzw(byte[] data, int maxBytes, boolean encode) {
        CodecOptions options = CodecOptions.getDefaultOptions()
        options.maxBytes = maxBytes
        return encode ? new LZWCodec().compress(data, options) : new LZWCodec().decompress(data, options)
    }

    /** Where the tile of one label is; padded with it as well, so that edge tiles share it. */
    private long[] constantPlace(int label) {
        long[] known = constantPlaces[label]
        if (known == null) {
            known = segment(encoded(new LabelTile(label: label)))
            constantPlaces[label] = known
        }
        return known
    }

    /** Offset and length of a tile's bytes, which are written if they are new. */
    private long[] segment(byte[] data) {
        String key = data.digest('SHA-256')
        synchronized (file) {
            long[] known = segments[key]
            if (known == null) {
                known = [end, data.length as long] as long[]
                file.seek(end)
                file.write(data)
                end += data.length
                segments[key] = known
            }
            return known
        }
    }

    private void place(int plane, int level, int row, int column, long[] segment) {
        int at = 2 * (row * columns(level) + column)
        places[plane][level][at] = segment[0]
        places[plane][level][at + 1] = segment[1]
    }

    /** Read the closed file back and compare every byte of it with what was written; returns its SHA-256. */
    String readBack() {
        RandomAccessFile again = new RandomAccessFile(path, 'r')
        try {
            byte[] head = new byte[front.length]
            again.readFully(head)
            if (!Arrays.equals(head, front) || again.length() != end)
                throw new MaskStop("${path} is not what was written. Is the disk full or faulty?")
            for (Map.Entry<String, long[]> entry : segments.entrySet()) {
                byte[] data = new byte[(int) entry.value[1]]
                again.seek(entry.value[0])
                again.readFully(data)
                if (data.digest('SHA-256') != entry.key)
                    throw new MaskStop("A tile of ${path} is not what was written. Is the disk full or faulty?")
            }
        } finally {
            again.close()
        }
        return Hash.sha256(path)
    }
}
