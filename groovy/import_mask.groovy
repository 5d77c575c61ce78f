/*
 * import_mask.groovy: a label mask becomes annotations of the image that is open.
 *
 * Run it     Automate > Script editor > Run, with the image open. To keep the annotations, save the
 *            image afterwards. Without a window: QuPath script -p project.qpproj -i IMAGE --save
 *            --args mask.ome.tif import_mask.groovy
 * In         A mask with a class table, as qpmask and export_masks.groovy write them: by default the
 *            one that was made of the open image, found by its sidecar in the output folder.
 * Out        Annotations with the classes of the table. Exported again with the same class map they
 *            give the same mask. Pixels of unclassified objects become annotations without a class.
 *            They carry the name of the mask in their metadata ('qpmask import'; QuPath 0.5 and
 *            later), so that a second import is noticed and can take the place of the first.
 * QuPath     0.4 to 0.7.
 *
 * QuPath's ContourTracing traces the mask tile by tile and merges the pieces, so memory depends on
 * the outlines and not on the number of pixels.
 */
// Put together from groovy/source of qpmask: change it there.

import com.google.gson.Gson
import com.google.gson.GsonBuilder
import com.google.gson.ToNumberPolicy
import groovy.xml.XmlSlurper
import loci.formats.tiff.TiffParser
import org.locationtech.jts.geom.util.AffineTransformation
import qupath.lib.analysis.images.ContourTracing
import qupath.lib.images.servers.ImageServer
import qupath.lib.images.servers.ImageServerBuilder.ServerBuilder
import qupath.lib.images.servers.ImageServerMetadata
import qupath.lib.images.servers.ImageServers
import qupath.lib.io.GsonTools
import qupath.lib.objects.PathObject
import qupath.lib.objects.PathObjects
import qupath.lib.objects.classes.PathClass
import qupath.lib.objects.hierarchy.PathObjectHierarchy
import qupath.lib.projects.Project
import qupath.lib.regions.ImagePlane
import qupath.lib.regions.RegionRequest
import qupath.lib.roi.GeometryTools
import qupath.lib.scripting.QP

// ---- settings -----------------------------------------------------------------------------------

def settings = [
    maskFile   : null,     // path of the mask; null: the mask of the open image in maskFolder
    maskFolder : 'masks',  // a relative path begins in the project's folder
    replace    : 'none',   // what goes: none; class: annotations of the same classes; all; imported: what came
                           // from a mask of the same name before
    again      : false,    // true: import a mask once more beside what came of it before
    addClasses : false,    // true: add classes that the project's list lacks
    splitPieces: true      // true: each connected piece an annotation; false: one for each class
]

// ---- what it does -------------------------------------------------------------------------------

(binding.hasVariable('args') && args != null ? args as List<String> : []).each {
    if (!GivenSetting.take(settings, it))
        settings.maskFile = it
}
def imageData = QP.getCurrentImageData()
if (imageData == null)
    throw new MaskStop('No image is open. Open the image that the mask belongs to.')

// The mask says which class each label is, and of which image it was made.
def file = settings.maskFile == null ? MaskSearch.ofOpenImage(settings.maskFolder) : new File(settings.maskFile)
def table = ClassTable.read(file)
table.refuseOtherImage(imageData.getServer())

// QuPath traces each label.
def made = MaskTracing.annotations(table, settings.splitPieces)

// The same rules as those of 'qpmask import'.
def hierarchy = imageData.getHierarchy()
def gone = ImportRules.makeRoom(hierarchy, made, file.name, settings)
ImportRules.mark(made, file.name)
hierarchy.addObjects(made)
def missing = ImportRules.newClasses(QP.getProject(), made, settings.addClasses)
if (missing)
    println "qpmask: the project's class list ${settings.addClasses ? 'has got' : 'lacks'} ${Words.quoted(missing, ', ')}"
println "qpmask: ${made.size()} annotation(s) of ${made*.getPathClass().unique().size()} class(es) from ${file}" +
        (gone ? ", ${Words.objects(gone)} removed" : '')

// ---- what it needs ------------------------------------------------------------------------------

// ---- the mask -----------------------------------------------------------------------------------

/** Finds the mask that was made of the open image, by its sidecar. */
class MaskSearch {
    static File ofOpenImage(String maskFolder) {
        def entry = QP.getProjectEntry()
        def projectFile = QP.getProject()?.getPath()?.toFile()
        if (entry == null || projectFile == null)
            throw new MaskStop('No project is open, so name the mask in the setting maskFile.')
        def folder = new File(maskFolder)
        folder = folder.absolute ? folder : new File(projectFile.parentFile, maskFolder)
        def sidecar = (folder.listFiles() ?: []).find {
            def image = it.name.endsWith('.ome.tif.json') ? Json.read(it)?.image : null
            image instanceof Map && image.entry_id == entry.getID() && image.name == entry.getImageName()
        }
        if (sidecar == null)
            throw new MaskStop("There is no mask of ${entry.getImageName()} in ${folder}. Export it, or name it in the setting maskFile.")
        return new File(sidecar.path[0..<-5])
    }
}

/** What a mask says about itself: its classes, and the image that it was made of. */
class ClassTable {
    final File file
    final SortedMap<Integer, Map> classes = new TreeMap<>()  // name and colour of each label
    final Map<String, String> notes = [:]                    // such as kind, downsample, frame

    static ClassTable read(File file) {
        if (!file.isFile())
            throw new MaskStop("There is no mask ${file}.")
        return new ClassTable(file)
    }

    private ClassTable(File file) {
        this.file = file
        def parser = new TiffParser(file.path)
        try {
            new XmlSlurper().parseText(parser.getComment().trim()).StructuredAnnotations.MapAnnotation.each { table ->
                table.Value.M.each { row ->
                    if (table.@Namespace == 'qpmask/classes')
                        classes[row.@K.text() as int] = Json.parse(row.text()) as Map
                    else
                        notes[row.@K.text()] = row.text()
                }
            }
        } catch (Exception error) {
            throw new MaskStop("${file} has no class table that can be read (${error.message}). It must be a mask of qpmask.")
        } finally {
            parser.getStream().close()
        }
        if (!classes || notes.kind != 'classes')
            throw new MaskStop("${file} has no class table: it is no mask of classes by qpmask.")
    }

    double getDownsample() {
        return notes.downsample as double
    }

    /** The open image has to be of the size and to lie in its file as the one that the mask was made of. */
    void refuseOtherImage(ImageServer server) {
        if (notes.image_width_px as int != server.getWidth() || notes.image_height_px as int != server.getHeight())
            throw new MaskStop("${file} was made of an image of ${notes.image_width_px} x ${notes.image_height_px} pixels; the open " +
                    "one has ${server.getWidth()} x ${server.getHeight()}.")
        def frame = notes.frame ? Json.parse(notes.frame) : null
        if (frame?.mask_to_file == null)
            return
        def builder = Json.parse(GsonTools.getInstance().toJson(server.getBuilder(), ServerBuilder)) as Map
        def said = { steps -> steps.findAll { !it.startsWith('cut to') && it != 'rotated by its arguments' }.join(', ') }
        def (then, now) = [said(frame.steps), said(ImageFrame.read(builder, null).steps)]
        if (then != now)
            throw new MaskStop("${file} was made of an image that QuPath shows ${then ?: 'as its file is'}; the open one is shown " +
                    "${now ?: 'as its file is'}.")
    }
}

/** QuPath's ContourTracing makes annotations of a mask's labels, tile by tile. */
class MaskTracing {
    static List<PathObject> annotations(ClassTable table, boolean splitPieces) {
        def pathClasses = table.classes.collectEntries { label, row ->
            Integer color = row.color ? Integer.decode(row.color) | 0xff000000 as int : null
            [(label): row.name == 'Unclassified' ? PathClass.NULL_CLASS : PathClass.fromString(row.name, color)]
        }
        def thresholds = pathClasses.keySet().collect { ContourTracing.ChannelThreshold.create(it) } as ContourTracing.ChannelThreshold[]
        def scale = AffineTransformation.scaleInstance(table.downsample, table.downsample)
        def made = []
        ImageServers.buildServer(table.file.toURI()).withCloseable { mask ->
            // In an image of classifications a threshold stands for a label.
            mask.setMetadata(new ImageServerMetadata.Builder(mask.getMetadata()).classificationLabels(pathClasses)
                    .channelType(ImageServerMetadata.ChannelType.CLASSIFICATION).build())
            [0..<mask.nTimepoints(), 0..<mask.nZSlices()].combinations { t, z ->
                def region = RegionRequest.createInstance(mask.getPath(), 1.0d, 0, 0, mask.getWidth(), mask.getHeight(), z, t)
                ContourTracing.traceGeometries(mask, region, null, thresholds).each { label, geometry ->
                    if (geometry == null || geometry.isEmpty())
                        return
                    if (table.downsample != 1)
                        geometry = scale.transform(geometry)
                    def pathClass = pathClasses[label] == PathClass.NULL_CLASS ? null : pathClasses[label]
                    def pieces = splitPieces ? (0..<geometry.getNumGeometries()).collect { geometry.getGeometryN(it) } : [geometry]
                    pieces.each {
                        made << PathObjects.createAnnotationObject(GeometryTools.geometryToROI(it, ImagePlane.getPlane(z, t)), pathClass)
                    }
                }
            }
        }
        return made
    }
}

// ---- its place ----------------------------------------------------------------------------------

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

/** What 'qpmask import' does too: where objects came from, what goes before they come, new classes. */
class ImportRules {
    static final String MARK = 'qpmask import'  // the metadata that say where an object came from
    static final List<String> REPLACE = ['none', 'class', 'all', 'imported']

    /** QuPath 0.4 keeps metadata of objects to itself: there nothing is marked. */
    private static Map<String, String> metadata(PathObject object) {
        return object.metaClass.respondsTo(object, 'getMetadata') ? object.getMetadata() : null
    }

    static void mark(Collection<PathObject> made, String source) {
        made.each { metadata(it)?.put(MARK, source) }
    }

    /** Take out what is to go; gives how many objects that were. */
    static int makeRoom(PathObjectHierarchy hierarchy, Collection<PathObject> made, String source, Map settings) {
        if (!(settings.replace in REPLACE))
            throw new MaskStop("replace is '${settings.replace}'; it is ${Words.quoted(REPLACE, ' or ')}.")
        def all = hierarchy.getFlattenedObjectList(null).findAll { !it.isRootObject() }
        def same = all.findAll { metadata(it)?.get(MARK) == source }
        def classes = made.collect { it.getPathClass() } as Set
        def gone = [
            none    : [],
            class   : all.findAll { it.isAnnotation() && it.getPathClass() in classes },
            all     : all.findAll { !it.isTMACore() },
            imported: same
        ][settings.replace]
        if (same && settings.replace == 'none' && !settings.again)
            throw new MaskStop("The image holds ${Words.objects(same.size())} that were imported from '${source}' before. " +
                    "replace=imported puts the new ones in their place, with what was changed since; again=true adds them once more.")
        hierarchy.removeObjects(gone, true)
        return gone.size()
    }

    /** Classes that the project's list lacks; added to it where that is asked for. */
    static List<PathClass> newClasses(Project project, Collection<PathObject> made, boolean add) {
        if (project == null)
            return []
        def listed = project.getPathClasses()
        def missing = made.collect { it.getPathClass() }.findAll { it != null && !(it in listed) }.unique()
        if (add && missing)
            project.setPathClasses(listed + missing)
        return missing
    }
}

// ---- small tools --------------------------------------------------------------------------------

/** A setting that is given to a script as name=value. */
class GivenSetting {
    /** Puts it among the settings; false if the text is none. */
    static boolean take(Map settings, String text) {
        def found = text =~ /^(\w+)=(.*)$/
        if (!found.matches())
            return false
        def (name, value) = [found.group(1), found.group(2)]
        if (!settings.containsKey(name))
            throw new MaskStop("There is no setting '${name}' (${text}). There are: ${settings.keySet().join(', ')}.")
        settings[name] = value in ['', 'null'] ? null : settings[name] instanceof Boolean ? value == 'true' : value
        return true
    }
}

/** Something that the user can do something about; no stack trace. */
class MaskStop extends RuntimeException {
    final String type  // of the same error of qpmask

    MaskStop(String message, String type = 'QpmaskError') {
        super(message, null, false, false)
        this.type = type
    }
}

/** JSON as Python reads and writes it: 1 is a whole number, 1.0 is not. */
class Json {
    private static final Gson GSON = new GsonBuilder().setObjectToNumberStrategy(ToNumberPolicy.LONG_OR_DOUBLE)
            .setPrettyPrinting().serializeNulls().disableHtmlEscaping().create()
    private static final Gson PLAIN = new GsonBuilder().serializeNulls().disableHtmlEscaping().create()

    /** What a file holds, or null where there is none or it is damaged. */
    static Object read(File file) {
        try {
            return file.isFile() ? parse(file.getText('UTF-8').replaceFirst('^\\ufeff', '')) : null
        } catch (Exception ignored) {
            return null
        }
    }

    static Object parse(String text) {
        return GSON.fromJson(text, Object)
    }

    static String text(Object data) {
        return GSON.toJson(data)
    }

    static String line(Object data) {
        return PLAIN.toJson(data)
    }

    static String quoted(String text, boolean ascii) {
        def json = line(text)
        return ascii ? json.replaceAll('[^ -~]') { it.collect { c -> String.format('\\u%04x', (int) c.charAt(0)) }.join('') } : json
    }
}

/** Numbers and names in sentences, as Python says them: 1 object, 2,000 objects. */
class Words {
    static String objects(Number n) {
        return count(n, 'object')
    }

    static String images(Number n) {
        return count(n, 'image')
    }

    static String count(Number n, String what) {
        return String.format(Locale.ROOT, '%,d %s%s', n, what, n == 1 ? '' : 's')
    }

    static String quoted(Collection names, String by) {
        return names.collect { "'${it}'" }.join(by)
    }

    /** A colour as QuPath keeps it, as '#c80000'. */
    static String color(Number argb) {
        return String.format('#%06x', argb.longValue() & 0xffffffL)
    }

    /** A field of a CSV file. */
    static String csv(value) {
        def text = value == null ? '' : value.toString()
        return text =~ /[",\r\n]/ ? '"' + text.replace('"', '""') + '"' : text
    }
}
