import groovy.transform.CompileStatic
import loci.common.ByteArrayHandle
import loci.common.RandomAccessOutputStream
import loci.formats.tiff.IFD
import loci.formats.tiff.TiffRational
import loci.formats.tiff.TiffSaver
import java.nio.charset.StandardCharsets

/**
 * Header and directories of a mask, plane by plane and level by level, packed by Bio-Formats. The levels
 * are both the main chain and the SubIFDs of the first directory, since readers look in one place or the
 * other (with several planes the chain is the planes).
 */
@CompileStatic
class TiffDirectories {
    List<int[]> sizes  // of the levels
    int tile, bits, planes
    List<Double> pixelSize
    String description

    /** `places` holds offset and length of each tile, by plane and level. */
    byte[] pack(long[][][] places, boolean isBig) {
        int nLevels = sizes.size()
        long[] starts = new long[planes * nLevels]
        byte[] packed = null
        // The second round knows where the directories are.
        for (int round = 0; round < 2; round++) {
            ByteArrayHandle bytes = new ByteArrayHandle()
            RandomAccessOutputStream out = new RandomAccessOutputStream(bytes)
            TiffSaver saver = new TiffSaver(out, bytes)
            saver.setLittleEndian(true)
            saver.setBigTiff(isBig)
            saver.writeHeader()
            for (int i = 0; i < starts.length; i++) {
                int plane = i.intdiv(nLevels)
                int level = i % nLevels
                starts[i] = out.getFilePointer()
                IFD directory = directory(places[plane][level], level)
                if (i == 0)
                    directory[IFD.IMAGE_DESCRIPTION] = even(description)
                if (level == 0 && nLevels > 1)
                    directory[IFD.SUB_IFD] = Arrays.copyOfRange(starts, i + 1, i + nLevels)
                int next = planes == 1 ? i + 1 : level == 0 ? i + nLevels : starts.length
                saver.writeIFD(directory, next < starts.length ? starts[next] : 0L)
            }
            packed = Arrays.copyOf(bytes.getBytes(), (int) bytes.length())
            saver.close()
        }
        return packed
    }

    private IFD directory(long[] places, int level) {
        long[] offsets = new long[places.length >> 1]
        long[] lengths = new long[places.length >> 1]
        for (int i = 0; i < offsets.length; i++) {
            offsets[i] = places[2 * i]
            lengths[i] = places[2 * i + 1]
        }
        IFD tags = new IFD()
        tags[IFD.NEW_SUBFILE_TYPE] = level > 0 ? 1L : 0L     // without this mark OpenSlide sees one level
        tags[IFD.IMAGE_WIDTH] = (long) sizes[level][0]
        tags[IFD.IMAGE_LENGTH] = (long) sizes[level][1]
        tags[IFD.BITS_PER_SAMPLE] = bits
        tags[IFD.COMPRESSION] = 5                            // LZW
        tags[IFD.PHOTOMETRIC_INTERPRETATION] = 1             // grayscale: a palette makes readers give colours
        tags[IFD.SAMPLES_PER_PIXEL] = 1
        tags[IFD.X_RESOLUTION] = resolution(0, level)
        tags[IFD.Y_RESOLUTION] = resolution(1, level)
        tags[IFD.PLANAR_CONFIGURATION] = 1
        tags[IFD.RESOLUTION_UNIT] = pixelSize == null ? 1 : 3
        tags[IFD.SOFTWARE] = even("qpmask ${ExportTask.VERSION}")
        tags[IFD.TILE_WIDTH] = (long) tile
        tags[IFD.TILE_LENGTH] = (long) tile
        tags[IFD.TILE_OFFSETS] = offsets
        tags[IFD.TILE_BYTE_COUNTS] = lengths
        tags[IFD.SAMPLE_FORMAT] = 1
        return tags
    }

    /** Text that takes an even number of bytes with the zero after it, so that what follows is in its place. */
    private static String even(String text) {
        return text.getBytes(StandardCharsets.UTF_8).length % 2 == 0 ? text + '\n' : text
    }

    /** Pixels per centimetre as a fraction of 32 bits. */
    private TiffRational resolution(int axis, int level) {
        if (pixelSize == null)
            return new TiffRational(1L, 1L)
        double most = 4294967295d
        double perCm = 1e4d / (pixelSize[axis] * (1L << level))
        double under = Math.max(1d, Math.min(most, Math.floor(most / perCm)))
        return new TiffRational((long) Math.max(1d, Math.min(most, Math.rint(perCm * under))), (long) under)
    }
}
