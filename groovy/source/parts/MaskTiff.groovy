import groovy.transform.CompileStatic
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.security.MessageDigest
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicLongArray
import ome.codecs.CodecOptions
import ome.codecs.LZWCodec

/** A tile, cropped to the image: one label, or pixels row by row. */
@CompileStatic
class LabelTile {
    int width, height
    int label = -1
    int[] pixels
}

/**
 * Writes a mask: header and directories at the front, then the tiles of all levels. The levels are both
 * the main chain and the SubIFDs of the first directory, since readers look in one place or the other
 * (with several planes the chain is the planes). Equal tiles share their bytes; none is left out.
 */
@CompileStatic
class MaskTiff {
    private final RandomAccessFile file
    private final File path
    private final int tile, bits, planes
    private final List<int[]> sizes
    private final List<Double> pixelSize
    private final byte[] description
    private final long[][][] places  // by plane and level: offset and length of each tile
    private final Map<String, long[]> segments = new ConcurrentHashMap<>()
    private final Map<String, Integer> constants = new ConcurrentHashMap<>()
    private final Map<Integer, long[]> constantPlaces = new ConcurrentHashMap<>()
    private final AtomicLongArray counts = new AtomicLongArray(65536)
    private byte[] front
    private long end

    MaskTiff(File path, ImagePlan plan, int tile, byte[] description) {
        this.path = path
        this.tile = tile
        this.description = description
        bits = plan.bits
        planes = plan.planes
        pixelSize = plan.pixelSize
        sizes = levels(plan.width, plan.height, tile)
        places = new long[planes][sizes.size()][]
        for (int plane = 0; plane < planes; plane++)
            for (int level = 0; level < sizes.size(); level++)
                places[plane][level] = new long[2 * columns(level) * rows(level)]
        file = new RandomAccessFile(path, 'rw')
        file.setLength(0L)
        // Room for BigTIFF's directories, which are the longer ones.
        end = directories(true).length
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

    /** Take all tiles from QuPath's file; returns pixels by label. */
    Map<Integer, Long> write(TiffScratch scratch) {
        try {
            int top = sizes.size() - 1
            for (int plane = 0; plane < planes; plane++)
                build(scratch, plane, top, 0, 0)
        } finally {
            scratch.channel.close()
        }
        front = directories(end > 0xffffffffL)
        file.seek(0L)
        file.write(front)
        file.getFD().sync()
        Map<Integer, Long> found = new TreeMap<>()
        for (int label = 0; label < 65536; label++)
            if (counts.get(label) > 0L)
                found[label] = counts.get(label)
        return found
    }

    void close() { file.close() }

    /** Store a tile of a level and all tiles that it stands for. */
    private LabelTile build(TiffScratch scratch, int plane, int level, int row, int column) {
        int width = Math.min(tile, sizes[level][0] - column * tile)
        int height = Math.min(tile, sizes[level][1] - row * tile)
        if (level == 0)
            return base(scratch, plane, row, column, width, height)
        LabelTile[] parts = new LabelTile[4]
        List<Integer> quarters = [0, 1, 2, 3].findAll { int i ->
            2 * row + (i >> 1) < rows(level - 1) && 2 * column + (i & 1) < columns(level - 1)
        }
        quarters.parallelStream().forEach { Integer i ->
            parts[i] = build(scratch, plane, level - 1, 2 * row + (i >> 1), 2 * column + (i & 1))
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

    /** A tile of level 0, as QuPath wrote it. */
    private LabelTile base(TiffScratch scratch, int plane, int row, int column, int width, int height) {
        byte[] data = scratch.tile(plane, row * columns(0) + column)
        String key = digest(data)
        LabelTile made = new LabelTile(width: width, height: height)
        Integer known = constants[key]
        if (known == null) {
            byte[] raw = lzw(data, tile * tile * (bits >> 3), false)
            if (raw.length < tile * tile * (bits >> 3))
                throw new MaskStop("QuPath's tile in row ${row}, column ${column} is incomplete. Please report this.")
            boolean isBig = scratch.order == ByteOrder.BIG_ENDIAN
            int[] pixels = new int[width * height]
            int label = value(raw, 0, isBig)
            int others = 0
            for (int y = 0; y < height; y++)
                for (int x = 0; x < width; x++) {
                    int found = value(raw, y * tile + x, isBig)
                    pixels[y * width + x] = found
                    if (found != label)
                        others++
                }
            if (others > 0) {
                made.pixels = pixels
            } else {
                made.label = label
                if (width == tile && height == tile)
                    constants[key] = label
            }
        } else {
            made.label = known
        }
        // The bytes of compressed uint8 do not depend on the byte order.
        long[] stored = made.label >= 0 ? constantPlace(made.label) : segment(bits == 8 ? data : encoded(made))
        place(plane, 0, row, column, stored)
        if (made.label >= 0) {
            counts.addAndGet(made.label, (long) width * height)
        } else {
            long[] local = new long[1 << bits]
            for (int label : made.pixels)
                local[label] = local[label] + 1L
            for (int label = 0; label < local.length; label++)
                if (local[label] > 0L)
                    counts.addAndGet(label, local[label])
        }
        return made
    }

    private int value(byte[] raw, int at, boolean isBig) {
        if (bits == 8)
            return raw[at] & 0xff
        int a = raw[2 * at] & 0xff
        int b = raw[2 * at + 1] & 0xff
        return isBig ? a << 8 | b : b << 8 | a
    }

    private byte[] encoded(LabelTile part) {
        byte[] raw = new byte[tile * tile * (bits >> 3)]
        int[] pixels = part.pixels
        int width = part.width
        int height = part.height
        int constant = part.label
        for (int y = 0; y < tile; y++)
            for (int x = 0; x < tile; x++) {
                int label = constant >= 0 ? constant : y < height && x < width ? pixels[y * width + x] : 0
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
        String key = digest(data)
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

    private static String digest(byte[] data) {
        return Hash.hex(MessageDigest.getInstance('SHA-256').digest(data))
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
                if (digest(data) != entry.key)
                    throw new MaskStop("A tile of ${path} is not what was written. Is the disk full or faulty?")
            }
        } finally {
            again.close()
        }
        return Hash.sha256(path)
    }

    // -- directories ------------------------------------------------------------------------------

    /** Header and all directories, little-endian, plane by plane and level by level. */
    private byte[] directories(boolean big) {
        int n = planes * sizes.size()
        long[] starts = new long[n]
        byte[][] packed = new byte[n][]
        // The second round knows where the others are.
        for (int round = 0; round < 2; round++) {
            long at = big ? 16L : 8L
            for (int i = 0; i < n; i++) {
                starts[i] = at
                packed[i] = directory(i, starts, big)
                at += packed[i].length
            }
        }
        ByteArrayOutputStream out = new ByteArrayOutputStream()
        ByteBuffer header = ByteBuffer.allocate(big ? 16 : 8).order(ByteOrder.LITTLE_ENDIAN)
        header.put('II'.getBytes('US-ASCII')).putShort((short) (big ? 43 : 42))
        if (big)
            header.putShort((short) 8).putShort((short) 0).putLong(starts[0])
        else
            header.putInt((int) starts[0])
        out.write(header.array())
        for (byte[] part : packed)
            out.write(part)
        return out.toByteArray()
    }

    private byte[] directory(int index, long[] starts, boolean big) {
        int nLevels = sizes.size()
        int plane = index.intdiv(nLevels)
        int level = index % nLevels
        long[] place = places[plane][level]
        long[] offsets = new long[place.length >> 1]
        long[] lengths = new long[place.length >> 1]
        for (int i = 0; i < offsets.length; i++) {
            offsets[i] = place[2 * i]
            lengths[i] = place[2 * i + 1]
        }
        Map<Integer, List> tags = new TreeMap<>()  // tag -> type, count, bytes
        tags[254] = longs(4, level > 0 ? 1L : 0L)     // without this mark OpenSlide sees one level
        tags[256] = longs(4, sizes[level][0] as long)
        tags[257] = longs(4, sizes[level][1] as long)
        tags[258] = longs(3, bits as long)
        tags[259] = longs(3, 5L)                      // LZW
        tags[262] = longs(3, 1L)                      // grayscale: a palette makes readers give colours
        if (index == 0)
            tags[270] = text(description)
        tags[277] = longs(3, 1L)
        tags[282] = resolution(0, level)
        tags[283] = resolution(1, level)
        tags[284] = longs(3, 1L)
        tags[296] = longs(3, pixelSize == null ? 1L : 3L)
        tags[305] = text("qpmask ${ExportTask.VERSION}".toString().getBytes('US-ASCII'))
        tags[322] = longs(4, tile as long)
        tags[323] = longs(4, tile as long)
        tags[324] = longs(big ? 16 : 4, offsets)
        tags[325] = longs(4, lengths)
        if (level == 0 && nLevels > 1)
            tags[330] = longs(big ? 18 : 13, Arrays.copyOfRange(starts, index + 1, index + nLevels))
        tags[339] = longs(3, 1L)

        int next = planes == 1 ? (level + 1 < nLevels ? index + 1 : -1)
                : (level == 0 && plane + 1 < planes ? index + nLevels : -1)
        int inline = big ? 8 : 4
        int tableBytes = (big ? 8 : 2) + tags.size() * (big ? 20 : 12) + inline
        int valueBytes = 0
        for (List tag : tags.values())
            valueBytes += pad(((byte[]) tag[2]).length, inline)
        int total = tableBytes + valueBytes
        ByteBuffer out = ByteBuffer.allocate(total + (8 - total % 8) % 8).order(ByteOrder.LITTLE_ENDIAN)
        if (big)
            out.putLong(tags.size() as long)
        else
            out.putShort((short) tags.size())
        int free = tableBytes
        for (Map.Entry<Integer, List> entry : tags.entrySet()) {
            byte[] data = (byte[]) entry.value[2]
            out.putShort(entry.key.shortValue()).putShort(((Integer) entry.value[0]).shortValue())
            number(out, ((Integer) entry.value[1]) as long, big)
            if (data.length <= inline) {
                out.put(Arrays.copyOf(data, inline))
            } else {
                number(out, starts[index] + free, big)
                for (int i = 0; i < data.length; i++)
                    out.put(free + i, data[i])
                free += pad(data.length, inline)
            }
        }
        number(out, next < 0 ? 0L : starts[next], big)
        return out.array()
    }

    private static int pad(int length, int inline) {
        return length <= inline ? 0 : length + (8 - length % 8) % 8
    }

    private static void number(ByteBuffer out, long value, boolean big) {
        if (big)
            out.putLong(value)
        else
            out.putInt((int) value)
    }

    private static List text(byte[] data) {
        return [2, data.length + 1, Arrays.copyOf(data, data.length + 1)]
    }

    private static List longs(int type, long... values) {
        int width = type == 3 ? 2 : type in [16, 18] ? 8 : 4
        ByteBuffer out = ByteBuffer.allocate(values.length * width).order(ByteOrder.LITTLE_ENDIAN)
        for (long value : values)
            if (width == 2)
                out.putShort((short) value)
            else if (width == 4)
                out.putInt((int) value)
            else
                out.putLong(value)
        return [type, values.length, out.array()]
    }

    /** Pixels per centimetre as a fraction: exact where it fits, as for all usual pixel sizes. */
    private List resolution(int axis, int level) {
        BigInteger most = BigInteger.valueOf(0xffffffffL)
        BigInteger over = BigInteger.ONE
        BigInteger under = BigInteger.ONE
        if (pixelSize != null) {
            BigDecimal um = new BigDecimal(pixelSize[axis].toString()) * BigDecimal.valueOf(1L << level)
            int scale = Math.max(0, um.scale())
            over = BigInteger.valueOf(10000L) * BigInteger.TEN.pow(scale)
            under = um.movePointRight(scale).toBigInteger()
            BigInteger common = over.gcd(under)
            over = over.divide(common)
            under = under.divide(common)
            if (over > most || under > most) {
                BigInteger denominator = most.multiply(under).divide(over).min(most).max(BigInteger.ONE)
                over = over.multiply(denominator).add(under.shiftRight(1)).divide(under).min(most).max(BigInteger.ONE)
                under = denominator
            }
        }
        List fraction = longs(4, over.longValue(), under.longValue())
        return [5, 1, fraction[2]]
    }
}
