import qupath.lib.images.servers.ImageServers

/**
 * Where an image lies in its file: the chain of servers that QuPath wraps around it, as a matrix a to f
 * from pixels of the image to those of the file, (a x + b y + c, d x + e y + f). Builders that are not
 * known here give none. The same as qpmask/project/serverchain.py, number by number.
 */
class ImageFrame {
    private static final List<String> IN_PLACE = ['pyramidize', 'color', 'swapRedBlue', 'color_deconvolved', 'normalized',
            'typeConvert', 'channels', 'z_projected', 'sliced']
    private static final Map NOTES = [sliced: "Its slices and time points are some of the file's.",
            channels: 'Further images give it channels.', z_projected: "Its pixels are a projection of the file's slices."]
    private static final Map READERS = [OpenslideServerBuilder: 'OpenSlide', BioFormatsServerBuilder: 'Bio-Formats',
            ImageJServerBuilder: 'ImageJ']

    double[] matrix = [1, 0, 0, 0, 1, 0] as double[]
    List<Integer> size
    String unknown
    List<String> steps = []
    List<String> notes = []
    Map file

    static ImageFrame read(Map builder, List<Integer> size) {
        def frame = new ImageFrame(size: size)
        try {
            frame.follow(builder)
        } catch (MaskStop why) {
            frame.matrix = null
            frame.unknown = why.message
        }
        return frame
    }

    /** Width and height, or null if they are none that QuPath could hold. */
    static List<Integer> sizeIn(data) {
        if (!(data instanceof Map))
            return null
        def found = [data.width, data.height].collect {
            def n = it instanceof Number ? it.doubleValue() : 0d
            Double.isFinite(n) && n == Math.rint(n) && n >= 1 && n < 2147483648d ? n as int : null
        }
        return found.contains(null) ? null : found
    }

    /** For a sidecar and a mask's OME-XML; of a mask drawn at a downsample. */
    Map record(double downsample) {
        def scaled = matrix == null ? null : product(matrix, [downsample, 0, 0, 0, downsample, 0] as double[])
        return [mask_to_file: scaled?.collect { it + 0.0d }, unknown: unknown, steps: steps, notes: notes,
                file: file?.name, reader: file?.reader, series: file?.series, series_name: file?.seriesName,
                read_px0: file?.size, origin: file?.origin]
    }

    /** Counted from the file's level 0, where the slide is there: only the slide knows what part of it was scanned. */
    ImageFrame located(String slide) {
        if (slide == 'missing' || matrix == null || file.origin == 'level 0')
            return this
        List<Integer> full, bounds
        try {
            ImageServers.buildServer(new File(slide).toURI(), '--classname', 'OpenslideServerBuilder', '--no-crop').withCloseable { server ->
                full = [server.getWidth(), server.getHeight()]
                def said = Json.parse(server.dumpMetadata()) as Map
                bounds = ['x', 'y', 'width', 'height'].collect { said["openslide.bounds-${it}".toString()]?.toInteger() }
            }
        } catch (Exception ignored) {
            return this
        }
        if (bounds.contains(null) || bounds[2] <= 0 || bounds[3] <= 0)
            bounds = null
        def part = bounds?.takeRight(2)
        def places = bounds == null || file.origin != 'scanned part' || file.size == full && full != part ? [[full, 0, 0]] : []
        if (bounds != null)
            places << [part, bounds[0], bounds[1]]
        if (file.size != null)
            places = places.findAll { it[0] == file.size }
        def corners = places.collect { it.drop(1) } as Set
        if (corners.size() != 1)
            return this
        def (x, y) = corners[0]
        def found = new ImageFrame(matrix: product([1, 0, x, 0, 1, y] as double[], matrix), size: size, notes: notes, steps: steps,
                file: file + [size: full, origin: 'level 0'])
        if (x || y)
            found.steps += String.format(Locale.ROOT, 'cut to %,d x %,d pixels at x %,d, y %,d (what was scanned)', *part, x, y)
        return found
    }

    List<String> findings() {
        def words = [*steps]
        if (file?.seriesName != null)
            words << "series '${file.seriesName}'".toString()
        else if (file?.series)
            words << "series ${file.series}".toString()
        def said = unknown != null ? ["Where the image lies in its file is not known (${unknown}): the mask fits the image as " +
                'QuPath shows it, and no file is to be put under it.']
                : words ? ["QuPath shows the file ${words.join(', ')}: the mask fits what QuPath shows. Its sidecar holds the " +
                "matrix to the file's pixels (frame)."] : []
        return (said + notes)*.toString()
    }

    private void follow(Map builder) {
        for (int i = 0; i < 64; i++) {
            size = agreed(size, sizeIn(builder.metadata))
            def kind = builder.builderType
            if (kind == 'uri') {
                readFile(builder)
                return
            }
            step(kind, builder)
            if (NOTES[kind])
                notes << NOTES[kind]
            if (!(builder.builder instanceof Map))
                throw new MaskStop("the project has no image below its '${kind}' builder")
            builder = builder.builder as Map
        }
        throw new MaskStop('it is wrapped more than 64 times')
    }

    private void step(kind, Map builder) {
        if (kind in IN_PLACE)
            return
        if (kind == 'cropped')
            crop(builder.region instanceof Map ? builder.region : [:])
        else if (kind == 'affine')
            transform(builder.transform instanceof Map ? builder.transform : [:])
        else if (kind == 'rotated')
            rotate(builder.rotation)
        else if (kind == 'flipped')
            flip(builder.flip)
        else if (kind in ['sparse', 'z_concatenated'])
            throw new MaskStop('QuPath composes it of several images')
        else if (kind == null)
            throw new MaskStop('the project does not say how it is made')
        else
            throw new MaskStop("QuPath makes it by '${kind}', which this version of qpmask does not know")
    }

    private void crop(Map region) {
        def corner = [region.x, region.y].collect { it instanceof Number ? it.doubleValue() : null }
        def part = sizeIn(region)
        if (corner.contains(null) || part == null)
            throw new MaskStop('its crop has no region')
        agreed(size, part)
        apply([1, 0, corner[0], 0, 1, corner[1]])
        steps << String.format(Locale.ROOT, 'cropped to %,d x %,d pixels at x %,.0f, y %,.0f', part[0], part[1], corner[0], corner[1])
        size = null
    }

    private void transform(Map raw) {
        def m = ['m00', 'm01', 'm02', 'm10', 'm11', 'm12'].collect {
            raw[it] instanceof Number && Double.isFinite(raw[it].doubleValue()) ? raw[it].doubleValue() : null
        }
        if (m.contains(null))
            throw new MaskStop('its transform has no six numbers')
        // QuPath's transform leads from the inner image to the outer one.
        double area = m[0] * m[4] - m[1] * m[3]
        if (!Double.isFinite(area) || area == 0)
            throw new MaskStop('its transform cannot be inverted')
        double a = m[4] / area + 0.0d, b = -m[1] / area + 0.0d, d = -m[3] / area + 0.0d, e = m[0] / area + 0.0d
        apply([a, b, -(a * m[2] + b * m[5]) + 0.0d, d, e, -(d * m[2] + e * m[5]) + 0.0d])
        if (m != [1d, 0d, 0d, 0d, 1d, 0d])
            steps << 'transformed'
        size = null
    }

    /** QuPath turns clockwise; the inner image is turned back. */
    private void rotate(rotation) {
        if (rotation == 'ROTATE_NONE')
            return
        if (!(rotation in ['ROTATE_90', 'ROTATE_180', 'ROTATE_270']))
            throw new MaskStop("its rotation is '${rotation}'")
        if (size == null)
            throw new MaskStop('the project does not say how large what it rotates is')
        def (width, height) = size
        apply(rotation == 'ROTATE_90' ? [0, 1, 0, -1, 0, width] : rotation == 'ROTATE_180' ? [-1, 0, width, 0, -1, height]
                : [0, -1, height, 1, 0, 0])
        if (rotation != 'ROTATE_180')
            size = [height, width]
        steps << "rotated by ${rotation - 'ROTATE_'} degrees".toString()
    }

    private void flip(how) {
        if (how == 'NONE')
            return
        if (!(how in ['HORIZONTAL', 'VERTICAL', 'BOTH']))
            throw new MaskStop("its flip is '${how}'")
        if (size == null)
            throw new MaskStop('the project does not say how large what it flips is')
        apply([how == 'VERTICAL' ? 1 : -1, 0, how == 'VERTICAL' ? 0 : size[0],
               0, how == 'HORIZONTAL' ? 1 : -1, how == 'HORIZONTAL' ? 0 : size[1]])
        steps << "flipped (${how.toLowerCase(Locale.ROOT)})".toString()
    }

    private void readFile(Map builder) {
        if (!(builder.uri instanceof String) || !builder.uri)
            throw new MaskStop('the project does not name its file')
        def className = builder.providerClassName
        def reader = className == null ? null : READERS["${className}".toString().tokenize('.')[-1]]
        if (className != null && reader == null)
            throw new MaskStop("${className} reads it, which qpmask does not know")
        List<String> args = builder.args instanceof List ? builder.args*.toString() : []
        boolean isCut = reader in ['OpenSlide', null] && !args.contains('--no-crop')
        def series = null
        def name = null
        if (reader in ['Bio-Formats', null]) {
            def text = option(args, ['--series', '-s'])
            if (text != null && !(text ==~ /-?\d{1,9}/))
                throw new MaskStop("its series is '${text}'")
            if (text != null && text.toInteger() >= 0)
                series = text.toInteger()
            else
                name = option(args, ['--name', '-n']) ?: null
            def dims = option(args, ['--dims'])
            if (dims && !dims.toUpperCase(Locale.ROOT).startsWith('XY'))
                throw new MaskStop("its arguments swap its dimensions (${dims})")
        }
        def turned = reader == null ? option(args, ['--rotate']) : null
        if (turned != null) {
            rotate(turned)
            if (turned != 'ROTATE_NONE')
                steps[-1] = 'rotated by its arguments'
        }
        file = [name: fileName(builder.uri as String), reader: reader, series: series, seriesName: name, size: size,
                origin: !isCut ? 'level 0' : reader == null ? 'unclear' : 'scanned part']
    }

    private static String fileName(String uri) {
        def name = uri.substring(uri.lastIndexOf('/') + 1)
        try {
            return URLDecoder.decode(name.replace('+', '%2B'), 'UTF-8')
        } catch (IllegalArgumentException ignored) {
            return name
        }
    }

    private static String option(List<String> args, List<String> names) {
        for (int i = 0; i < args.size(); i++) {
            int equals = args[i].indexOf('=')
            if ((equals < 0 ? args[i] : args[i].substring(0, equals)) in names)
                return equals >= 0 ? args[i].substring(equals + 1) : i + 1 < args.size() ? args[i + 1] : ''
        }
        return null
    }

    private static List<Integer> agreed(List<Integer> one, List<Integer> other) {
        if (one != null && other != null && one != other)
            throw new MaskStop(String.format(Locale.ROOT, 'the project contradicts itself: %,d x %,d pixels or %,d x %,d', *one, *other))
        return one ?: other
    }

    private void apply(List step) {
        matrix = product(step as double[], matrix)
    }

    private static double[] product(double[] s, double[] m) {
        return [s[0] * m[0] + s[1] * m[3], s[0] * m[1] + s[1] * m[4], s[0] * m[2] + s[1] * m[5] + s[2],
                s[3] * m[0] + s[4] * m[3], s[3] * m[1] + s[4] * m[4], s[3] * m[2] + s[4] * m[5] + s[5]] as double[]
    }
}
