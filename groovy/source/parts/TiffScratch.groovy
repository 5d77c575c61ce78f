import groovy.transform.CompileStatic
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.channels.FileChannel
import java.nio.file.StandardOpenOption
import qupath.lib.images.writers.ome.OMEPyramidWriter

/** The BigTIFF that OMEPyramidWriter wrote: where its tiles are. A lost tile is an error. */
@CompileStatic
class TiffScratch {
    final FileChannel channel
    final ByteOrder order
    private final List<long[]> offsets = []
    private final List<long[]> lengths = []

    TiffScratch(File file, int bits, int width, int height, int tile, int planes) {
        channel = FileChannel.open(file.toPath(), StandardOpenOption.READ)
        try {
            ByteBuffer header = read(0L, 16)
            order = header.get(0) == (byte) 0x4d ? ByteOrder.BIG_ENDIAN : ByteOrder.LITTLE_ENDIAN
            header.order(order)
            if (header.getShort(2) != (short) 43)
                throw new MaskStop("QuPath's file ${file} is no BigTIFF. Please report this with the QuPath version.")
            int nTiles = MaskTiff.ceil(width, tile) * MaskTiff.ceil(height, tile)
            for (long place = header.getLong(8); place != 0L;)
                place = readDirectory(place, nTiles, [256: width as long, 257: height as long, 258: bits as long,
                                                      259: 5L, 277: 1L, 322: tile as long, 323: tile as long])
            if (offsets.size() != planes)
                throw new MaskStop("QuPath wrote ${offsets.size()} plane(s) instead of ${planes}. Please report this.")
        } catch (Throwable error) {
            channel.close()
            throw error
        }
    }

    private long readDirectory(long place, int nTiles, Map<Integer, Long> expected) {
        int n = (int) read(place, 8).order(order).getLong(0)
        ByteBuffer entries = read(place + 8L, 20 * n + 8).order(order)
        long[] tileOffsets = null
        long[] tileLengths = null
        for (int i = 0; i < n; i++) {
            int tag = entries.getShort(20 * i) & 0xffff
            int type = entries.getShort(20 * i + 2)
            int count = (int) entries.getLong(20 * i + 4)
            int width = type == 3 ? 2 : type == 4 ? 4 : type == 16 ? 8 : 0
            if (width == 0 || !(tag == 324 || tag == 325 || expected.containsKey(tag)))
                continue
            ByteBuffer values = count * width <= 8 ? read(place + 8L + 20L * i + 12L, 8)
                    : read(entries.getLong(20 * i + 12), count * width)
            values.order(order)
            long[] numbers = new long[count]
            for (int k = 0; k < count; k++)
                numbers[k] = width == 2 ? values.getShort(2 * k) & 0xffff
                        : width == 4 ? values.getInt(4 * k) & 0xffffffffL : values.getLong(8 * k)
            if (tag == 324)
                tileOffsets = numbers
            else if (tag == 325)
                tileLengths = numbers
            else if (numbers[0] != expected[tag])
                throw new MaskStop("QuPath wrote ${numbers[0]} in tag ${tag} of its file instead of ${expected[tag]}. " +
                        'Please report this with the QuPath version.')
        }
        if (tileOffsets == null || tileLengths == null || tileOffsets.length != nTiles || tileLengths.length != nTiles)
            throw new MaskStop('QuPath\'s file does not list all its tiles. Is the disk full?')
        int lost = 0
        for (int k = 0; k < nTiles; k++)
            if (tileOffsets[k] == 0L || tileLengths[k] == 0L)
                lost++
        if (lost > 0)
            throw new MaskStop("QuPath lost ${lost} of ${nTiles} tiles; the log says why. Is there too little memory, or " +
                    'is the disk full?')
        offsets << tileOffsets
        lengths << tileLengths
        return entries.getLong(20 * n)
    }

    byte[] tile(int plane, int index) {
        return read(offsets[plane][index], (int) lengths[plane][index]).array()
    }

    private ByteBuffer read(long place, int n) {
        ByteBuffer buffer = ByteBuffer.allocate(n)
        while (buffer.hasRemaining())
            if (channel.read(buffer, place + buffer.position()) < 0)
                throw new MaskStop("QuPath's file is incomplete. Is the disk full?")
        return (ByteBuffer) buffer.rewind()
    }
}
