/*
 * export_masks.groovy: one label mask for every image of a QuPath project.
 *
 * Run it     Automate > Script editor > Run, with the project open; or without a window:
 *                QuPath script --args PROJECT --args masks export_masks.groovy
 *            where PROJECT is a .qpproj file or the folder of one.
 *            This opens no slide. `QuPath script -p project.qpproj export_masks.groovy` works too,
 *            but opens the slide of the first image before the script has its turn, and ends if
 *            that slide is missing. Each setting below can be given as --args name=value.
 * In         The project as it was last saved. It is only read.
 * Out        In the output folder, for every image: NAME.ome.tif (tiled pyramidal OME-TIFF, uint8,
 *            or uint16 for labels above 255; 0 is the background) and NAME.ome.tif.json (what it was
 *            made from); and report.json, report.csv, areas.csv and classes.yaml, the class map as used.
 *            Files and pixels are those of `qpmask export`, so that a run begun with one is taken up
 *            by the other, and `qpmask check` reads them back. Masks that still hold are skipped.
 * QuPath     0.4 to 0.7.
 * Left out   Instance masks, multichannel masks, boundaries, a downsample by micrometres, other
 *            compressions than LZW, masks without a pyramid, backups of damaged data files, and slides
 *            looked for in other folders: `qpmask export` has them.
 *
 * QuPath's LabeledImageServer draws the tiles. They go into a file that every reader takes: grayscale,
 * with the class table, and with smaller levels made by leaving out pixels, never by averaging labels.
 */
// Put together from groovy/source of qpmask: change it there.

import com.google.gson.Gson
import com.google.gson.GsonBuilder
import com.google.gson.ToNumberPolicy
import groovy.transform.CompileStatic
import java.awt.BasicStroke
import java.awt.Color
import java.awt.Graphics2D
import java.awt.image.BufferedImage
import java.awt.image.DataBufferInt
import java.math.MathContext
import java.nio.ByteBuffer
import java.nio.channels.FileChannel
import java.nio.channels.OverlappingFileLockException
import java.nio.charset.StandardCharsets
import java.nio.file.Files
import java.nio.file.LinkOption
import java.nio.file.Path
import java.nio.file.Paths
import java.nio.file.StandardCopyOption
import java.nio.file.StandardOpenOption
import java.security.MessageDigest
import java.text.Normalizer
import java.time.Instant
import java.time.ZoneOffset
import java.time.format.DateTimeFormatter
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicLongArray
import java.util.regex.Pattern
import loci.common.ByteArrayHandle
import loci.common.RandomAccessOutputStream
import loci.formats.tiff.IFD
import loci.formats.tiff.TiffRational
import loci.formats.tiff.TiffSaver
import ome.codecs.CodecOptions
import ome.codecs.LZWCodec
import org.apache.commons.text.similarity.LevenshteinDistance
import org.locationtech.jts.geom.Coordinate
import org.locationtech.jts.geom.Geometry
import org.locationtech.jts.geom.LineString
import org.locationtech.jts.geom.Polygon
import org.yaml.snakeyaml.LoaderOptions
import org.yaml.snakeyaml.Yaml
import org.yaml.snakeyaml.constructor.SafeConstructor
import qupath.lib.common.GeneralTools
import qupath.lib.geom.Point2
import qupath.lib.gui.QuPathGUI
import qupath.lib.images.ImageData
import qupath.lib.images.servers.AbstractImageServer
import qupath.lib.images.servers.ImageChannel
import qupath.lib.images.servers.ImageServerBuilder
import qupath.lib.images.servers.ImageServerMetadata
import qupath.lib.images.servers.ImageServers
import qupath.lib.images.servers.LabeledImageServer
import qupath.lib.images.servers.PixelType
import qupath.lib.images.servers.TileRequest
import qupath.lib.objects.PathObject
import qupath.lib.objects.PathObjectTools
import qupath.lib.objects.classes.PathClass
import qupath.lib.objects.hierarchy.PathObjectHierarchy
import qupath.lib.regions.RegionRequest
import qupath.lib.roi.EllipseROI
import qupath.lib.roi.PolygonROI
import qupath.lib.roi.RectangleROI
import qupath.lib.roi.interfaces.ROI
import qupath.lib.scripting.QP

// ---- settings -----------------------------------------------------------------------------------

def settings = [
    outputFolder: 'masks',        // a path; a relative one begins in the project's folder
    tileSize    : 512,            // edge of a tile in pixels, a multiple of 16
    downsample  : 1.0d,           // pixels of the slide for one pixel of the mask; 1 is full size
    objects     : 'annotations',  // annotations, detections, cells, nuclei, or cores: those of a tissue
                                  // microarray (all-cores: also those that are marked as missing)
    unclassified: null,           // objects without a class: 'ignore', 'error' or a label (a number);
                                  // null: as the class map says, else left out with a warning
    order       : null,           // 'classes': a later class of the map covers an earlier one; 'area': larger
                                  // objects first, whatever their class; null: as the class map says
    unknown     : 'error',        // a class that the map lacks: 'error' stops, 'ignore' leaves it out
    hidden      : 'warn',         // objects that leave no pixel, such as covered ones: 'warn', or 'error': a failure
    overwrite   : false           // true: make masks again that are there and still hold
]

// The class map, in the order of drawing: a later class covers an earlier one. null: the map that an
// earlier run left in the output folder, else the project's own class list. To write one by hand:
//   [classes: [[label: 1, name: 'Stroma', color: '#96c896'],
//              [label: 2, name: 'Tumor', color: '#c80000', aliases: ['Tumour']]],
//    ignore: ['*[*]'],            // patterns of classes to leave out; QuPath ignores names with * at the end
//    unclassified: 'ignore',      // may be left out
//    order: 'area']               // may be left out: 'classes' (as above), or 'area' (larger objects first)
// A row [label: 9, unclassified: true] among the classes gives objects without a class a place in the order.
// `qpmask groovy --classes FILE` writes this script with a map filled in.

// <class map>
def classMap = null
// </class map>

// ---- what it does -------------------------------------------------------------------------------

Launch.of(this).run { List<String> given, String only ->
    // What to read and where to write. The project is taken as it was last saved.
    def task = ExportTask.of(settings, given, only)
    def project = ProjectFile.read(task.projectFile)
    def folder = new OutputFolder(task.out)
    def entries = project.chosen(only)
    println "qpmask: ${entries.size()} image(s) of ${project.file} -> ${folder.path}"
    if (!task.overwrite)
        folder.refuseMasksOfAnother(project)

    // Look at the objects of every image, so that a class without a label stops the run before the first pixel.
    def names = MaskNames.of(project.images)
    def plans = entries.collect { new ImagePlan(entry: it, mask: names[it.id]) }
    plans.each { ObjectCount.into(it, task, project) }
    def choice = new ClassChoice(task, project, plans)
    def classes = choice.made(classMap == null ? folder.classMap() : ClassMap.of(classMap, 'the script'))
    plans.findAll { !it.error }.each { it.settle(task, classes) }

    // One mask after the other; those that stand and still hold are skipped.
    def report = new RunReport(task, project, folder, classes, choice.findings)
    folder.locked {
        def maker = new MaskMaker(task, project, folder, classes)
        plans.eachWithIndex { plan, i ->
            def where = "[${i + 1}/${plans.size()}] ${plan.entry.name}"
            def record = maker.isStopped() ? MaskRecord.interrupted(plan) : plan.error ? MaskRecord.failed(plan)
                    : StandingMask.record(plan, task, folder, classes)
            if (record == null) {
                println "${where}: ${plan.width} x ${plan.height} pixels, ${plan.drawn} object(s) ..."
                record = maker.make(plan)
            }
            report.add(record)
            println "${where}: ${MaskRecord.inWords(record)}"
            record.warnings.each { println "    note: ${it}" }
        }
        report.write(plans).each { println "note: ${it}" }
        println report.table()
    }
    return report
}

// ---- what it needs ------------------------------------------------------------------------------

// ---- the run ------------------------------------------------------------------------------------

/** How QuPath starts a script: in its window, or by its own command, which loses a script's errors. */
class Launch {
    private final Script script
    // export_current_image.groovy runs export_masks.groovy for one image, and says which.
    private final String only
    private final boolean isCommand = QuPathGUI.getInstance() == null &&
            Thread.currentThread().stackTrace.any { it.className == 'qupath.ScriptCommand' }

    private Launch(Script script) {
        this.script = script
        only = given('qpmaskImage', null)
    }

    static Launch of(Script script) {
        return new Launch(script)
    }

    /** Runs the export with the arguments; what it returns says whether all is `ok`, and if not, the `message`. */
    void run(Closure export) {
        if (only == null && given('qupath.script.batchIndex', 0) > 0) {
            script.println 'qpmask: all images were exported with the first one.'
            return
        }
        def outcome
        try {
            outcome = export((given('args', null) ?: []) as List<String>, only)
        } catch (MaskStop stop) {
            if (!isCommand || only != null)
                throw stop
            System.err.println("qpmask: ${stop.message}")
            System.exit(1)
        }
        if (isCommand && only == null && (!outcome.ok || given('qupath.script.batchSize', 1) > 1)) {
            System.out.flush()
            System.exit(outcome.ok ? 0 : 1)  // else QuPath would go on to open all other slides
        }
        if (!outcome.ok)
            throw new MaskStop(outcome.message)
    }

    private Object given(String name, otherwise) {
        return script.binding.hasVariable(name) ? script.binding.getVariable(name) : otherwise
    }
}

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

/** What a run is asked for: the settings, checked, and where to read and to write. */
class ExportTask {
    static final String VERSION = '0.1.0.dev0'
    static final List OBJECTS = ['annotations', 'detections', 'cells', 'nuclei', 'cores', 'all-cores']
    static final List CORES = ['cores', 'all-cores']
    static final int MAX_LABEL = 65535
    static final String MORE_LABELS = "Where QuPath's label images end, 'qpmask export --engine native' goes on."

    String only  // id of the one image to export, or null
    File projectFile, out
    String objects, order, unknown, hidden
    Object unclassified  // null, 'ignore', 'error' or a label
    double downsample
    int tilePx
    boolean overwrite
    Map engine

    /** Settings, and what was given to the script: a project, a folder for the masks, name=value. */
    static ExportTask of(Map settings, List<String> given, String only) {
        File file = null
        for (text in given) {
            if (text.endsWith('.qpproj'))
                file = new File(text)
            else if (file == null && projectIn(text))
                file = projectIn(text)
            else if (!GivenSetting.take(settings, text))
                settings.outputFolder = text
        }
        boolean isOpen = file == null
        if (isOpen)
            file = QP.getProject()?.getPath()?.toFile()
        if (file == null)
            throw new MaskStop('No project is open. Open a project (File > Project > Open project), or without a ' +
                    'window name one: QuPath script --args project.qpproj export_masks.groovy')
        if (!file.isFile())
            throw new MaskStop("There is no project file ${file}.")
        file = file.canonicalFile
        def task = checked(settings)
        def folder = new File(settings.outputFolder as String)
        task.only = only
        task.projectFile = file
        task.out = (folder.absolute ? folder : isOpen ? new File(file.parentFile, folder.path) : folder.absoluteFile)
                .toPath().normalize().toFile()
        task.engine = thisQuPath()
        return task
    }

    /** The project in a folder, or null where there is none: an argument may be the folder of a project. */
    private static File projectIn(String folder) {
        def found = (new File(folder).listFiles() ?: []).findAll { it.name.endsWith('.qpproj') && it.isFile() }.sort { it.name }
        if (found.size() > 1)
            throw new MaskStop("${folder} holds several QuPath projects: ${found*.name.join(', ')}. Name the one you mean.")
        return found ? found[0] : null
    }

    private static ExportTask checked(Map settings) {
        def check = { String name, String must, Closure isRight ->
            if (!isRight(settings[name]))
                throw new MaskStop("The setting ${name} is '${settings[name]}'; it must be ${must}.")
        }
        def number = { it.toString().isDouble() ? it.toString().toDouble() : Double.NaN }
        def label = settings.unclassified
        if (label instanceof String && label ==~ /\d{1,9}/)
            settings.unclassified = label.toInteger()
        check('tileSize', 'a multiple of 16 from 16 to 8192') { number(it) >= 16 && number(it) <= 8192 && number(it) % 16 == 0 }
        check('downsample', '1 or more') { Double.isFinite(number(it)) && number(it) >= 1 }
        check('objects', OBJECTS.join(', ')) { it in OBJECTS }
        check('unknown', "'error' or 'ignore'") { it in ['error', 'ignore'] }
        check('unclassified', "null, 'ignore', 'error' or a label from 1 to ${MAX_LABEL} (${MORE_LABELS})") {
            ClassMap.isUnclassified(it)
        }
        check('order', "'classes' or 'area'") { it in [null, 'classes', 'area'] }
        check('hidden', "'warn' or 'error'") { it in ['warn', 'error'] }
        check('outputFolder', 'a path') { it }
        return new ExportTask(objects: settings.objects, order: settings.order, unknown: settings.unknown, hidden: settings.hidden,
                unclassified: settings.unclassified, downsample: number(settings.downsample),
                tilePx: number(settings.tileSize) as int, overwrite: settings.overwrite.toString() == 'true')
    }

    private static Map thisQuPath() {
        String version = GeneralTools.getVersion().toString().replaceFirst('^v', '')
        def number = version =~ /^(\d+)\.(\d+)/
        if (!number.find())
            throw new MaskStop("This QuPath does not say its version (${version}).")
        boolean rounds = number.group(1).toInteger() > 0 || number.group(2).toInteger() >= 6
        return [name: 'qupath', version: version, pixel_rules: rounds ? 'qupath-0.6' : 'qupath-0.4',
                details: [java: System.getProperty('java.version'), script: 'export_masks.groovy']]
    }

    boolean isKind(object, String kind = objects) {
        switch (kind) {
            case 'annotations': return object.isAnnotation()
            case 'detections': return object.isDetection()
            case 'cores': return object.isTMACore() && !object.isMissing()
            case 'all-cores': return object.isTMACore()
            default: return object.isCell()
        }
    }

    /** The kind of objects that is counted: nuclei are those of cells. */
    String getKindDrawn() {
        return objects == 'nuclei' ? 'cells' : objects
    }

    boolean getDrawsCores() {
        return objects in CORES
    }

    /** Stops the image where one of its objects leaves no pixel, if that is to be an error. */
    void checkHidden(ImagePlan plan) {
        def why = hidden == 'error' ? HiddenObjects.refused(plan.hidden, plan.entry.label) : null
        if (why)
            throw new MaskStop(why, 'HiddenObjectsError')
    }

    String getEngineText() {
        return "${engine.name} ${engine.version}"
    }
}

/** The folder of the masks: one run at a time; files that appear whole or not at all; what was there before. */
class OutputFolder {
    final File path, work

    OutputFolder(File path) {
        this.path = path
        work = new File(path, '.qpmask')
    }

    /** The class map that an earlier run left, or null. */
    ClassMap classMap() {
        def saved = new File(path, 'classes.yaml')
        return saved.isFile() ? ClassMapText.load(saved) : null
    }

    /** Masks of another project are not written over: names and labels mean other things. */
    void refuseMasksOfAnother(ProjectFile project) {
        def images = project.images.collect { [it.id, it.name] } as Set
        def foreign = [:]
        sidecars().each { mask, sidecar ->
            def image = sidecar.image
            def owner = image instanceof Map ? image.project : null
            if (!(owner instanceof String) || !new File(path, mask).exists() ||
                    SlidePath.composed(owner) == SlidePath.composed(project.file.path))
                return
            // A project that has moved is the same one.
            def other = new File(owner)
            if (other.exists() ? Files.isSameFile(other.toPath(), project.file.toPath()) : [image.entry_id, image.name] in images)
                return
            foreign.computeIfAbsent(owner, { [] }) << mask
        }
        foreign.each { owner, masks ->
            throw new MaskStop("${path} holds ${Words.count(masks.size(), 'mask')} of another project, ${owner}, " +
                    "such as ${masks[0]}. Choose another folder. The setting overwrite = true goes on: masks of the same name " +
                    "are replaced, and labels follow the folder's classes.yaml.")
        }
    }

    /** Words on masks of an earlier run whose labels may mean something else. */
    List<String> staleMasks(List<String> mine, ClassMap classes) {
        def labels = ClassMap.labelsIn(classes.rules())
        def other = sidecars().findAll { mask, sidecar ->
            def then = sidecar.made_from instanceof Map && !(mask in mine) ? ClassMap.labelsIn(sidecar.made_from.rules) : labels
            !(then in [labels, [:]])  // without rules: a mask of instances, whose labels are objects
        }.keySet()
        if (!other)
            return []
        def named = other.take(3).join(', ') + (other.size() > 3 ? " and ${other.size() - 3} more" : '')
        return ["The folder also holds ${Words.count(other.size(), 'mask')} made with another class map: ${named}. ".toString() +
                'Their labels may mean something else; export them again or use another folder.']
    }

    /** Sidecars by the names of their masks. */
    private Map<String, Map> sidecars() {
        return (path.listFiles() ?: []).findAll { it.name.endsWith('.json') }.sort { it.name }
                .collectEntries { [(it.name[0..<-5]): Json.read(it)] }.findAll { it.value instanceof Map }
    }

    /** Runs this with the folder to itself: one run at a time, of this script or of qpmask. What a killed run left is removed. */
    void locked(Closure run) {
        def channel = null
        boolean isMine = false
        try {
            Files.createDirectories(work.toPath())
            channel = FileChannel.open(work.toPath().resolve('lock'), StandardOpenOption.CREATE, StandardOpenOption.WRITE)
            isMine = channel.tryLock() != null && !isLockedByPython()
        } catch (OverlappingFileLockException ignored) {
            // by this process
        } catch (IOException error) {
            channel?.close()
            throw new MaskStop("The output folder ${path} cannot be written: ${error.message}. Check the path and its permissions.")
        }
        if (!isMine) {
            channel.close()
            throw new MaskStop("Another run of qpmask is writing to ${path}. Wait for it to end, or choose another folder.")
        }
        try {
            work.listFiles().each { if (it.name != 'lock') it.delete() }
            run()
        } finally {
            channel.close()
            work.deleteDir()
        }
    }

    /** On Linux, Python's lock is of a kind that Java's knows nothing of. */
    private boolean isLockedByPython() {
        def locks = new File('/proc/locks')
        def inode = locks.canRead() ? Files.getAttribute(work.toPath().resolve('lock'), 'unix:ino') : null
        return inode && locks.readLines().any { it.contains(' FLOCK ') && it =~ /:${inode} / }
    }

    void write(String name, String text) {
        def made = work.toPath().resolve("${name}.part")
        FileChannel.open(made, StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING)
                .withCloseable { channel ->
                    channel.write(ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8)))
                    channel.force(true)
                }
        Files.move(made, path.toPath().resolve(name), StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE)
    }
}

// ---- the project --------------------------------------------------------------------------------

/**
 * A project as it was last saved: its images and its class list. It is read here and not by QuPath, which
 * has no project at all where one of its images is of an extension that is not installed.
 */
class ProjectFile {
    final File file
    final Object uri                    // where it lay when it was saved
    final Map<String, String> classes = [:]  // the class list: name, and colour or null
    final List<String> findings         // what is odd about that list
    final List<Map> images

    static ProjectFile read(File file) {
        return new ProjectFile(file)
    }

    private ProjectFile(File file) {
        this.file = file
        def raw = Json.read(file)
        if (!(raw instanceof Map) || !(raw.images instanceof List))
            throw new MaskStop("${file} is not a QuPath project, or is damaged: it has no list of images.")
        uri = raw.uri
        findings = readClasses(new File(file.parentFile, 'classifiers/classes.json'))
        def ids = raw.images.collect { it instanceof Map && it.entryID != null ? it.entryID.toString() : null }
        if (ids.contains(null) || ids.toSet().size() != ids.size())
            throw new MaskStop("${file} is damaged: two images have one entry id, or one has none.")
        images = raw.images.collect { readEntry(it as Map) }
    }

    /** The images that a run is about: all, or one. */
    List<Map> chosen(String only) {
        def found = only == null ? images : images.findAll { it.id == only }
        if (!found)
            throw new MaskStop(only == null ? "${file} has no images. Add some in QuPath." : "The open image is not in ${file}.")
        return found
    }

    private List<String> readClasses(File list) {
        def listed = Json.read(list)
        if (!(listed instanceof Map && listed.pathClasses instanceof List)) {
            if (list.isFile())
                throw new MaskStop("${file.parentFile}/classifiers/classes.json is damaged. Save the classes in QuPath again.")
            return []
        }
        def spellings = [:]
        def odd = [] as LinkedHashSet
        listed.pathClasses.each { row ->
            def text = row instanceof Map && row.name instanceof String ? row.name : ''
            def name = ClassNames.form(text)
            if (name == null)
                return
            if (ClassNames.refused(text))
                odd << ("The project's class list has '${text}', which QuPath refuses (${ClassNames.refused(text)}): " +
                        "read as '${name}'.").toString()
            def first = spellings.computeIfAbsent(name, { text })
            if (first != text)
                odd << "'${first}' and '${text}' of the project's class list are one class: '${name}'.".toString()
            classes[name] = row.color instanceof Long ? Words.color(row.color) : classes[name]
        }
        return odd as List
    }

    private Map readEntry(Map item) {
        def id = item.entryID as String
        // The id becomes a folder name; a hostile one must not leave the project.
        boolean isPlain = id ==~ /[\x01-\x7f&&[^\/\\:]]{1,200}/ && !(id in ['.', '..'])
        def data = new File(file.parentFile, "data/${isPlain ? id : '\ufffd'}")
        def builder = item.serverBuilder instanceof Map ? item.serverBuilder : [:]
        def metadata = builder.metadata instanceof Map ? builder.metadata : metadataBeside(data)
        def side = { n -> n instanceof Number && n == Math.rint(n as double) && n >= 1 && n < 2147483648d ? n as int : null }
        def count = { n -> n instanceof Number && n >= 1 && n < 2147483648d ? n as int : 1 }
        def inner = builder
        for (int i = 0; i < 32 && inner.builder instanceof Map; i++)
            inner = inner.builder
        def name = item.imageName instanceof String && item.imageName ? item.imageName : metadata.name ?: "image ${id}".toString()
        return [id: id, name: name, label: "'${name}' (entry ${id})".toString(), data: data,
                width: side(metadata.width), height: side(metadata.height),
                sizeZ: count(metadata.sizeZ), sizeT: count(metadata.sizeT),
                pixelSize: pixelSize(metadata.pixelCalibration), uris: uris(builder, 0),
                frame: ImageFrame.read(builder as Map, ImageFrame.sizeIn(metadata)), provider: inner.providerClassName,
                providerArgs: inner.args instanceof List ? inner.args*.toString() : []]
    }

    /** What an image's own folder says about its size, where the project does not. */
    private static Map metadataBeside(File data) {
        def found = metadataIn(Json.read(new File(data, 'server.json')), 0)
        if (found == null && new File(data, 'data.qpdata').isFile()) {
            try {
                found = metadataIn(Json.parse(DataFile.read(new File(data, 'data.qpdata')).server as String), 0)
            } catch (Exception ignored) {
                // said later, when its objects are read
            }
        }
        def summary = found == null ? Json.read(new File(data, 'summary.json')) : null
        return found ?: (summary instanceof Map && summary.server instanceof Map ? summary.server : [:])
    }

    private static Map metadataIn(raw, int depth) {
        if (!(raw instanceof Map) || depth > 2)
            return null
        return raw.metadata instanceof Map ? raw.metadata : metadataIn(raw.server ?: raw.builder, depth + 1)
    }

    /** Width and height of a pixel in micrometres, or null. */
    private static List<Double> pixelSize(calibration) {
        def sizes = ['pixelWidth', 'pixelHeight'].collect { key ->
            def part = calibration instanceof Map && calibration[key] instanceof Map ? calibration[key] : [:]
            def unit = part.unit instanceof String ? part.unit.strip().toLowerCase(Locale.ROOT) : ''
            part.value instanceof Number && Double.isFinite(part.value.doubleValue()) && part.value > 0 &&
                    unit in ['\u00b5m', '\u03bcm', 'um', 'micron', 'micrometer', 'micrometre'] ? part.value.doubleValue() : null
        }
        return sizes.contains(null) ? null : sizes
    }

    private static List<String> uris(Map builder, int depth) {
        List<String> found = builder.uri instanceof String ? [builder.uri] : []
        if (depth <= 32)
            builder.values().each { value ->
                (value instanceof List ? value : [value]).each {
                    if (it instanceof Map && ['builderType', 'builder', 'serverBuilder'].any { key -> it.containsKey(key) })
                        found += uris(it, depth + 1)
                }
            }
        return found
    }
}

/** The slide of an image on this machine. */
class SlidePath {
    /** Where the project says that it is, or moved along with the project; 'missing' where it is not. */
    static String of(Map entry, ProjectFile project) {
        for (uri in entry.uris) {
            def there = path(uri)
            if (there == null)
                continue
            def found = find(there)
            def old = path(project.uri)?.parent
            if (found == null && old != null && there.startsWith(old.root)) {
                def relative = Paths.get(composed(old)).relativize(Paths.get(composed(there)))
                found = find(project.file.parentFile.toPath().resolve(relative))
            }
            if (found != null)
                return found.toString()
        }
        return 'missing'
    }

    static String composed(path) {
        return Normalizer.normalize(path.toString(), Normalizer.Form.NFC)
    }

    private static Path path(uri) {
        try {
            return uri instanceof String ? Paths.get(new URI(uri)) : null
        } catch (Exception ignored) {
            return null
        }
    }

    /** A file by its path, whose names may be composed on one system and decomposed on another; or null. */
    private static Path find(Path path) {
        if (Files.exists(path))
            return path
        if (path.toString() ==~ /\p{ASCII}*/ || path.fileName == null || path.parent == null)
            return null
        def folder = find(path.parent)
        if (folder == null)
            return null
        def exact = folder.resolve(path.fileName)
        if (Files.exists(exact))
            return exact
        return (folder.toFile().listFiles() ?: []).sort { it.name }.find { composed(it.name) == composed(path.fileName) }?.toPath()
    }
}

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

/** The data file of an image, read from its first line to its last. */
class DataFile {
    /**
     * Objects and the text that says how to open the image. QuPath itself answers a damaged file with
     * an image without objects, which would make a blank mask; here it is an error.
     */
    static Map read(File file) {
        def result = [:]
        try {
            file.withInputStream { raw ->
                def bytes = new BufferedInputStream(raw, 1 << 20)
                def stream = new ObjectInputStream(bytes)
                if (!(stream.readUTF().strip() ==~ /Data file version [234](\.0)?/))
                    throw new IOException('its first line does not name a version that is known')
                result.server = stream.readObject()
                for (int i = 0; ; i++) {
                    def value
                    try {
                        value = stream.readObject()
                    } catch (ClassNotFoundException error) {
                        if (i > 100)
                            throw error
                        continue  // something of an extension that is not installed
                    }
                    if (value instanceof PathObjectHierarchy) {
                        if (value.getRootObject() == null)
                            throw new IOException('its hierarchy has no root')
                        result.hierarchy = new PathObjectHierarchy()
                        result.hierarchy.setHierarchy(value)
                    } else if ('EOF'.equals(value)) {
                        break
                    }
                }
                if (bytes.read() != -1)
                    throw new IOException('bytes follow after its end')
            }
            if (result.hierarchy == null)
                throw new IOException('it holds no objects and no list of them')
            return result
        } catch (OutOfMemoryError error) {
            throw file.length() < Runtime.runtime.maxMemory().intdiv(20) ? damaged(file, 'it asks for more memory than there is') : error
        } catch (FileNotFoundException error) {
            throw error
        } catch (Exception | StackOverflowError error) {
            throw damaged(file, error instanceof EOFException ? 'it ends too early' : error.message ?: error.class.simpleName)
        }
    }

    private static MaskStop damaged(File file, String why) {
        def backup = new File(file.path + '.bkp')
        return new MaskStop("${file} is damaged: ${why}. " + (backup.isFile()
                ? "QuPath's backup of it lies beside it: ${backup}." : 'Restore it from a backup.'))
    }
}

/** Counts the objects of an image by class, before anything is drawn. */
class ObjectCount {
    static final List KINDS = ExportTask.OBJECTS - 'nuclei'  // those of cells

    /** Fills in the plan's counts; what is wrong with the image becomes its error. */
    static void into(ImagePlan plan, ExportTask task, ProjectFile project) {
        def entry = plan.entry
        plan.slide = SlidePath.of(entry, project)
        try {
            refuseUnsaved(plan, task)
            def file = new File(entry.data, 'data.qpdata')
            if (Files.exists(file.toPath(), LinkOption.NOFOLLOW_LINKS)) {
                plan.sha256 = Hash.sha256(file)
                plan.cores = []
                DataFile.read(file).hierarchy.getRootObject().getDescendantObjects(null).each { count(it, plan, task) }
            } else {
                withoutData(plan)
            }
        } catch (MaskStop stop) {
            plan.error = stop.message
        } catch (Exception error) {
            plan.error = "${entry.data}/data.qpdata of ${entry.label} cannot be read: ${error.message ?: error}."
        }
        if (!plan.error && (entry.width == null || entry.height == null))
            plan.error = "The image ${entry.label} cannot be drawn: the project does not say how large it is. " +
                    'Open it in QuPath and save it.'
    }

    /** Words on objects of other kinds, where there are none of the kind that is drawn. */
    static String otherKinds(List<ImagePlan> plans, ExportTask task) {
        def there = KINDS.collectEntries { kind -> [kind, plans.sum(0) { it.kinds[kind] ?: 0 }] }.findAll { it.value }
        if (there['all-cores'] == there['cores'])
            there.remove('all-cores')
        def words = there.collect { kind, n -> "${Words.count(n, kind - 'all-' - ~/s$/)} (objects = '${kind}')" }
        return words ? "There are no ${task.kindDrawn}, but ${words.join(' and ')}." : ''
    }

    private static void refuseUnsaved(ImagePlan plan, ExportTask task) {
        if (QP.getProjectEntry()?.getID() != plan.entry.id || !QP.getCurrentImageData()?.isChanged() ||
                QP.getProject()?.getPath()?.toFile()?.canonicalFile != task.projectFile)
            return
        def unsaved = "${plan.entry.label} is open with changes that are not saved"
        if (task.only != null)
            throw new MaskStop("${unsaved}. Save it (File > Save), then run again.")
        plan.note("${unsaved}; the mask shows what was saved.")
    }

    private static void count(object, ImagePlan plan, ExportTask task) {
        KINDS.each { kind -> if (task.isKind(object, kind)) plan.kinds.merge(kind, 1, Integer::sum) }
        def pathClass = object.getPathClass()
        def name = pathClass == null ? null : ClassNames.form(pathClass.toString())
        if (object.isTMACore() && task.drawsCores)
            plan.cores << [name: object.getName() ?: null, missing: object.isMissing(), class: name]
        if (!task.isKind(object))
            return
        boolean isLost = object.getROI() != null && !plan.isOnPlane(object.getROI())
        (isLost ? plan.lost : plan.counts).merge(name, 1, Integer::sum)
        if (!isLost && name != null && pathClass.getColor() != null)
            plan.colors.putIfAbsent(name, Words.color(pathClass.getColor()))
    }

    private static void withoutData(ImagePlan plan) {
        def entry = plan.entry
        def backup = new File(entry.data, 'data.qpdata.bkp')
        if (backup.exists())
            throw new MaskStop("The data file of ${entry.label} is gone: ${entry.data}/data.qpdata. " +
                    "QuPath keeps a backup: ${backup}.")
        def data = entry.data.parentFile
        if (!(data.listFiles() ?: []).any { it.isDirectory() })
            throw new MaskStop("The project has lost its data: there is nothing in ${data}. Was the project file moved " +
                    "without its 'data' folder? Bring it back, beside the project file.")
        if (!entry.data.isDirectory())
            throw new MaskStop("There is no data folder of ${entry.label}: ${entry.data}; other images have theirs. It was never " +
                    'saved in QuPath, or its folder was lost. Save the image in QuPath, or restore the folder from a backup.')
        def summary = Json.read(new File(entry.data, 'summary.json'))
        def n = summary instanceof Map && summary.hierarchy instanceof Map ? summary.hierarchy.nObjects : null
        if (n instanceof Long && n > 1)
            throw new MaskStop("The data file of ${entry.label} is gone: ${entry.data}/data.qpdata. It held " +
                    "${n - 1} objects. Restore it from a backup.")
        plan.note('Nothing was ever annotated: QuPath has no data file of this image.')
    }
}

// ---- the plan -----------------------------------------------------------------------------------

/** Class names in QuPath's one form: split at colons, white space off each part. As qpmask.classes.names. */
class ClassNames {
    /** The full name, or null for that of no class: nothing but colons, or Unclassified. */
    static String form(String text) {
        def name = text.split(':', -1).collect { it.strip() }.findAll { it }.join(': ')
        return name in ['', 'Unclassified'] ? null : name
    }

    /** Why QuPath has no class of this name, or null. */
    static String refused(String text) {
        if (!text.strip())
            return 'it is empty'
        return text.split(':').any { !it.strip() } ? 'a part of it is empty' : null
    }

    /** The form of a name in a class map, where it must be one. */
    static String demand(String text, label) {
        if (refused(text))
            throw new MaskStop("QuPath has no class '${text}': ${refused(text)}.")
        if (form(text) == null)
            throw new MaskStop("'${text}' is what QuPath calls objects without a class; no class has that name. Their label " +
                    "is a line of its own in the map, 'unclassified: ${label}', or the setting unclassified = ${label}.")
        return form(text)
    }

    /** A pattern of names in the form that the names have. */
    static String pattern(String text) {
        return text.split(/:(?![^\[]*\])/, -1).collect { it.strip() }.findAll { it }.join(': ') ?: text
    }

    /** A file name pattern (* ? [abc] [!abc]) as a regular expression. */
    static String regex(String glob) {
        def text = new StringBuilder('(?s)')
        for (int i = 0; i < glob.length(); i++) {
            def c = glob[i]
            // A bracket that closes at once stands for itself.
            int close = c == '[' ? glob.indexOf(']', i + (glob.startsWith('[!', i) ? 3 : 2)) : -1
            if (c == '*' || c == '?') {
                text << (c == '*' ? '.*' : '.')
            } else if (close > 0) {
                def set = glob.substring(i + 1, close).replaceAll(/[\\\[\]&~|^]/, '\\\\$0')
                text << '[' << (set.startsWith('!') ? '^' + set.substring(1) : set) << ']'
                i = close
            } else {
                text << Pattern.quote(c)
            }
        }
        return text
    }
}

/** Labels for class names, in the order of drawing. The same as qpmask's class map, to its hash. */
class ClassMap {
    final List<Map> entries
    final List<String> ignore
    final Object unclassified
    final String origin
    final Map row       // of objects without a class: label, name, color, place (classes drawn before them); or null
    final String order  // classes or area
    private final Map<String, Map> byName = [:]
    private final Map<String, String> spellings = [:]

    ClassMap(List<Map> entries, List<String> ignore, unclassified, String origin, Map row = null,
                String order = 'classes') {
        this.entries = entries
        this.ignore = ignore.collect { ClassNames.pattern(it) }
        this.unclassified = unclassified
        this.origin = origin
        this.row = row
        this.order = order
        def labels = [:]
        def check = { Map it ->
            if (!(it.label instanceof Integer) || it.label < 1 || it.label > ExportTask.MAX_LABEL)
                throw new MaskStop("The class '${it.name}' has the label ${it.label}; labels are whole numbers from 1 to " +
                        "${ExportTask.MAX_LABEL}, and 0 is the background. ${ExportTask.MORE_LABELS}")
        }
        entries.each { Map entry ->
            def spelled = [entry.name, *(entry.aliases ?: [])]
            def names = spelled.collect { ClassNames.demand(it, entry.label) }
            entry.name = names[0]
            entry.aliases = names.unique(false).findAll { it != names[0] }
            if (!entry.aliases)
                entry.remove('aliases')
            check(entry)
            [names, spelled].transpose().each { name, text ->
                def known = byName[name]
                if (known != null && known.is(entry) && spellings[name] != text)
                    return  // an alias that says the same
                if (known != null)
                    throw new MaskStop((spellings[name] == text ? "The class '${name}'"
                            : "'${spellings[name]}' and '${text}' are one class, '${name}', and it") +
                            " has two labels, ${known.label} and ${entry.label}.")
                byName[name] = entry
                spellings[name] = text
            }
            if (labels.containsKey(entry.label))
                throw new MaskStop("The label ${entry.label} stands for '${labels[entry.label]}' and for '${entry.name}'. " +
                        'To give two classes one label, name the second one an alias of the first.')
            labels[entry.label] = entry.name
        }
        if (row != null) {
            check(row)
            if (labels.containsKey(row.label))
                throw new MaskStop("The label ${row.label} stands for '${labels[row.label]}' and for objects without a class.")
            if (unclassified != null && unclassified != row.label)
                throw new MaskStop("'unclassified' is ${unclassified}, and a row gives objects without a class the label " +
                        "${row.label}. Leave one of the two out.")
        }
    }

    /** Classes in the order of drawing, and the row of objects without a class if there is one. */
    List<Map> rows() {
        if (row == null)
            return entries
        def mine = [label: row.label, name: row.name, unclassified: true] + (row.color ? [color: row.color] : [:])
        return entries.take(row.place) + [mine] + entries.drop(row.place)
    }

    /** Name (null for none) and label of all classes and aliases, in the order of drawing. */
    List<List> rules() {
        return rows().collectMany { row -> (row.unclassified ? [null] : [row.name, *(row.aliases ?: [])]).collect { [it, row.label] } }
    }

    /** Labels by name of such rules, also of those in a sidecar; null if they are none. */
    static Map<String, Long> labelsIn(rules) {
        return rules instanceof List && rules.every { it instanceof List && it.size() == 2 && it[1] instanceof Number }
                ? rules.collectEntries { [(it[0]): it[1] as long] } : null
    }

    /** The map as a run uses it: what becomes of objects without a class, and the order, are in it. */
    ClassMap settled(choice, String chosenOrder) {
        def last = chosenOrder ?: order
        if (!(choice instanceof Number))
            return changed(unclassified: choice, row: null, order: last)
        return changed(unclassified: null, row: (row ?: [name: 'Unclassified', place: 0]) + [label: choice as int], order: last)
    }

    static ClassMap of(Map raw, String source) {
        def rows = raw.classes
        if (rows instanceof Map)
            rows = rows.collect { name, label -> [label: label, name: name] }
        if (!(rows instanceof List) || rows.any {
            !(it instanceof Map) || !(it.unclassified || it.name instanceof CharSequence && it.name)
        })
            throw new MaskStop("The class map (${source}) needs 'classes', a list of label and name.")
        if (!isUnclassified(raw.unclassified))
            throw new MaskStop("The class map (${source}) says unclassified: ${raw.unclassified}; it must be ignore, error or a label.")
        def ignore = raw.containsKey('ignore') ? raw.ignore : ['*[*]']
        if (!(raw.order in [null, 'classes', 'area']))
            throw new MaskStop("The class map (${source}) says order: ${raw.order}; it must be classes or area.")
        int place = rows.findIndexOf { it.unclassified }
        if (rows.count { it.unclassified } > 1)
            throw new MaskStop("The class map (${source}) has two rows for objects without a class.")
        def made = rows.collect { row ->
            def entry = [label: row.label, name: (row.name ?: 'Unclassified').toString()]
            if (row.color) {
                if (!(row.color ==~ /#[0-9a-fA-F]{6}/))
                    throw new MaskStop("The class '${row.name}' has the color ${row.color}; write it like '#c80000'.")
                entry.color = row.color.toString().toLowerCase(Locale.ROOT)
            }
            if (row.aliases)
                entry.aliases = (row.aliases instanceof List ? row.aliases : [row.aliases])*.toString()
            return entry
        }
        def lowest = place < 0 ? null : made.remove(place) + [place: place]
        return new ClassMap(made, (ignore instanceof List ? ignore : [ignore])*.toString(), raw.unclassified,
                (raw.origin ?: source).toString(), lowest, (raw.order ?: 'classes').toString())
    }

    static boolean isUnclassified(value) {
        return value == null || value in ['ignore', 'error'] ||
                (value instanceof Integer && value >= 1 && value <= ExportTask.MAX_LABEL)
    }

    Map find(String name) {
        return byName[ClassNames.form(name)]
    }

    boolean ignores(String name) {
        return !byName.containsKey(name) && ignore.any { name ==~ ClassNames.regex(it) }
    }

    int maxLabel() {
        return rows()*.label.max() ?: 0
    }

    ClassMap extended(List<Map> more) {
        def all = new ArrayList(entries)
        int label = maxLabel()
        more.each {
            if (!byName.containsKey(it.name))
                all << ([label: ++label, name: it.name] + (it.color ? [color: it.color] : [:]))
        }
        return changed(entries: all)
    }

    /** The map with the colours of the project's class list. */
    ClassMap recolored(Map<String, String> colors) {
        return changed(entries: entries.collect { it + (colors[it.name] ? [color: colors[it.name]] : [:]) })
    }

    ClassMap changed(Map other) {
        def all = [entries: entries, ignore: ignore, unclassified: unclassified, origin: origin, row: row, order: order] + other
        return new ClassMap(all.entries, all.ignore, all.unclassified, all.origin, all.row, all.order)
    }

    /** Names of the map that look like this one. */
    List<String> nearest(String name) {
        def distance = { LevenshteinDistance.getDefaultInstance().apply(it.toLowerCase(Locale.ROOT), name.toLowerCase(Locale.ROOT)) }
        return byName.keySet().findAll { distance(it) <= Math.max(1, name.length().intdiv(3)) }.sort { distance(it) }.take(3)
    }
}

/** A class map as classes.yaml, as data for a report, and as qpmask's hash of it. */
class ClassMapText {
    static final String FOLLOWS = "# The map follows the project: new classes come at the end, colours are QuPath's. Without " +
            "the line\n# 'origin: project' it stays as it is, and a class that it lacks stops the run."

    static ClassMap load(File file) {
        def raw
        try {
            raw = new Yaml(new SafeConstructor(new LoaderOptions())).load(file.getText('UTF-8'))
        } catch (Exception error) {
            throw new MaskStop("The class map ${file} cannot be read: ${error.message}")
        }
        if (!(raw instanceof Map))
            throw new MaskStop("${file} holds no class map. Remove it, or restore it.")
        return ClassMap.of(raw, file.path)
    }

    static Map data(ClassMap map) {
        def data = [classes: map.rows().collect {
            [label: it.label, name: it.name] + (it.unclassified ? [unclassified: true] : [:]) +
                    (it.color ? [color: it.color] : [:]) + (it.aliases ? [aliases: it.aliases] : [:])
        }, ignore: map.ignore]
        if (map.unclassified != null && map.row == null)
            data.unclassified = map.unclassified
        if (map.order != 'classes')
            data.order = map.order
        return data
    }

    /** Of its JSON with sorted keys, in ASCII. */
    static String fingerprint(ClassMap map) {
        return sorted(data(map)).digest('SHA-256').take(16)
    }

    private static String sorted(value) {
        if (value instanceof Map)
            return '{' + value.keySet().sort().collect { "${Json.quoted(it, true)}: ${sorted(value[it])}" }.join(', ') + '}'
        if (value instanceof List)
            return '[' + value.collect { sorted(it) }.join(', ') + ']'
        return value instanceof Number || value instanceof Boolean ? value.toString() : Json.quoted(value.toString(), true)
    }

    static String yaml(ClassMap map) {
        def quoted = { String text ->
            Json.quoted(text, false).replaceAll('[\\x7f-\\x9f\\u2028\\u2029\\ufeff\\ud800-\\udfff]') { String c ->
                String.format('\\u%04x', (int) c.charAt(0))
            }
        }
        def lines = ['# Class map of qpmask. Label 0 is the background.',
                     '# Classes are drawn in this order: a later one covers an earlier one.',
                     *(map.origin == 'project' ? [FOLLOWS] : []),
                     "origin: ${quoted(map.origin)}", map.rows() ? 'classes:' : 'classes: []']
        map.rows().each {
            lines << "  - {label: ${it.label}, name: ${quoted(it.name)}" + (it.unclassified ? ', unclassified: true' : '') +
                    (it.color ? ", color: \"${it.color}\"" : '') +
                    (it.aliases ? ", aliases: [${it.aliases.collect { name -> quoted(name) }.join(', ')}]" : '') + '}'
        }
        lines << '# Classes to leave out; QuPath itself ignores names that end in an asterisk.'
        lines << "ignore: [${map.ignore.collect { quoted(it) }.join(', ')}]"
        if (map.row == null) {
            lines << '# Objects without a class: ignore, error, or a label; a row'
            lines << '# {label: LABEL, unclassified: true} gives them a place in the order.'
            lines << (map.unclassified == null ? '# unclassified: ignore' : "unclassified: ${map.unclassified}")
        }
        lines << '# Drawn first to last: classes (as above) or area (larger objects first).'
        lines << (map.order == 'classes' ? '# order: area' : "order: ${map.order}")
        return lines.join('\n') + '\n'
    }
}

/** Which class gets which label, the same in all images. */
class ClassChoice {
    private static final int LISTED = 25
    final List<String> findings = []  // what the user should know
    private final ExportTask task
    private final ProjectFile project
    private final List<ImagePlan> plans
    private final Map<String, int[]> used = [:]  // objects and images of each class; null for no class

    ClassChoice(ExportTask task, ProjectFile project, List<ImagePlan> plans) {
        this.task = task
        this.project = project
        this.plans = plans
        plans.each { plan ->
            plan.counts.each { name, n ->
                def sum = used.computeIfAbsent(name, { new int[2] })
                sum[0] += n
                sum[1] += 1
            }
        }
    }

    /** The class map as the run uses it, of the one that was given or left by an earlier run, or null. */
    ClassMap made(ClassMap given) {
        boolean follows = given == null || given.origin == 'project'
        findings.addAll(project.findings)
        def map = follows ? following(given) : given
        checkNames(map, follows)
        def label = task.unclassified != null ? task.unclassified : map.row != null ? map.row.label : map.unclassified
        checkUnclassified(map, label)
        def settled = map.settled(label, task.order)
        if (settled.row != null && map.row == null && settled.order == 'classes' && map.entries && used.get(null))
            findings << ("Objects without a class get the label ${settled.row.label} and are drawn first, below all classes. A row " +
                    "[label: ${settled.row.label}, unclassified: true] among the classes of the map gives them another place; the " +
                    "setting order = 'area' draws larger objects first.").toString()
        return settled
    }

    private void checkNames(ClassMap map, boolean follows) {
        def unknown = used.keySet().findAll { it != null && !map.find(it) && !map.ignores(it) }
        if (unknown) {
            def lines = lacking(map, unknown)
            if (task.unknown == 'error' && !follows)
                throw new MaskStop(["The class map (${map.origin}) lacks ${unknown.size() == 1 ? 'a class' : "${unknown.size()} classes"} in use:",
                        *lines, "Add them to the map, name them as aliases or under 'ignore', or go on without them by the setting " +
                        "unknown = 'ignore'."].join('\n'))
            findings << "Not in the class map, left out: ${lines*.strip().join('; ')}.".toString()
        }
        def ignored = used.keySet().findAll { it != null && map.ignores(it) }.sort()
        def why = ignored.every { it.endsWith('*') } ? 'QuPath ignores classes whose name ends in *' : 'as the class map says'
        if (ignored)
            findings << "Left out on purpose (${why}): ${ignored.collect { "'${it}' (${Words.objects(used[it][0])})" }.join(', ')}.".toString()
    }

    /** A line for each class that a map lacks; those that may be misspelt come first. */
    private List<String> lacking(ClassMap map, Collection<String> names) {
        def near = names.collectEntries { [(it): map.nearest(it)] }
        def lines = names.sort(false) { a, b -> !near[a] <=> !near[b] ?: a <=> b }.collect { name ->
            def also = near[name] ? "; the map has ${Words.quoted(near[name], ' or ')}" : ''
            "  '${name}' (${Words.objects(used[name][0])} in ${Words.images(used[name][1])}${also})".toString()
        }
        return lines.size() > LISTED ? lines.take(LISTED) + ["  and ${lines.size() - LISTED} more".toString()] : lines
    }

    private void checkUnclassified(ClassMap map, label) {
        def found = used.get(null) ? "${Words.objects(used.get(null)[0])} in ${Words.images(used.get(null)[1])}" : null
        if (label == 'error' && found)
            throw new MaskStop("${found} have no class. Classify them in QuPath, or set unclassified to 'ignore' or to a label.")
        if (label instanceof Number && map.entries.any { it.label == label })
            throw new MaskStop("The label ${label} for unclassified objects belongs to a class already. " +
                    "Choose another, such as ${map.maxLabel() + 1}.")
        if (found && !(label instanceof Number) && (label != 'ignore' || used.size() == 1))
            findings << ((used.size() == 1 ? "All objects (${found}) are without a class" : "${found} without a class left out") +
                    ": the setting unclassified = ${map.maxLabel() + 1} draws them with that label.").toString()
        def others = used ? '' : ObjectCount.otherKinds(plans.findAll { !it.error }, task)
        if (others)
            findings << others.replaceFirst(/^There are no \S+/, '$0 to draw')
    }

    /** Labels do not depend on the images that a run is about: those of all others count as well. */
    private ClassMap following(ClassMap own) {
        def map = projectMap(plans, own)
        if (plans.size() == project.images.size() || (own != null && map.entries.size() == own.entries.size()))
            return map
        def all = project.images.collect { entry ->
            def plan = plans.find { it.entry.id == entry.id }
            if (plan == null) {
                plan = new ImagePlan(entry: entry)
                ObjectCount.into(plan, task, project)
            }
            return plan
        }
        def failed = all.findAll { it.error && !(it in plans) }*.entry
        if (failed)
            findings << ("${Words.images(failed.size())} beside the selected ones cannot be read, such as ${failed[0].label}: classes " +
                    'that are only there get a label when they are exported.').toString()
        return projectMap(all, own)
    }

    private ClassMap projectMap(List<ImagePlan> plans, ClassMap own) {
        def colors = new LinkedHashMap<String, String>(project.classes)
        plans.each { plan ->
            plan.counts.keySet().findAll { it != null }.each { if (!colors.containsKey(it)) colors[it] = plan.colors[it] }
        }
        def fresh = new ClassMap([], ['*[*]'], null, 'project')
        def rest = colors.keySet().findAll { !project.classes.containsKey(it) }
                .sort { a, b -> Arrays.compare(a.codePoints().toArray(), b.codePoints().toArray()) }
        def wanted = ((project.classes.keySet() as List) + rest).findAll { !fresh.ignores(it) }
        def base = own == null ? fresh : own.recolored(project.classes)
        return base.extended(wanted.findAll { !base.ignores(it) }.collect { [name: it, color: colors[it]] })
    }
}

/** File names of masks, as qpmask gives them: no collision, no name that some system refuses. */
class MaskNames {
    static final List SUFFIXES = [
        '.ome.tiff', '.ome.tif', '.tiff', '.tif', '.svs', '.ndpi', '.scn', '.mrxs', '.czi', '.vsi', '.bif', '.qptiff',
        '.svslide', '.lif', '.nd2', '.isyntax', '.dcm', '.ome.zarr', '.zarr', '.jpeg', '.jpg', '.png', '.jp2']

    static Map<String, String> of(List<Map> images) {
        def stems = images.collectEntries { [(it.id): stem(it.name)] }
        def seen = stems.values().countBy { folded(it) }
        def taken = stems.values().collect { folded(it) }.findAll { seen[it] == 1 } as Set
        return images.collectEntries { image ->
            def name = stems[image.id]
            if (seen[folded(name)] > 1) {
                def id = stem(image.id)
                name += '_id' + (id.getBytes(StandardCharsets.UTF_8).length <= 24 ? id : id.digest('SHA-256').take(12))
                while (folded(name) in taken)
                    name += '_'
                taken << folded(name)
            }
            [(image.id): name + '.ome.tif']
        }
    }

    static String stem(String name) {
        def text = Normalizer.normalize(name, Normalizer.Form.NFC).replaceAll(/(?U)^[\s\x1c-\x1f]+|[\s\x1c-\x1f]+$/, '')
        def suffix = SUFFIXES.find { text.toLowerCase(Locale.ROOT).endsWith(it) && text.length() > it.length() }
        if (suffix)
            text = text[0..<(text.length() - suffix.length())]
        text = text.replaceAll('[\\x00-\\x1f\\x7f<>:"/\\\\|?*\\ud800-\\udfff]', '_').replaceAll(/^[ .]+|[ .]+$/, '')
        def raw = text.getBytes(StandardCharsets.UTF_8)
        if (raw.length > 160) {
            int end = 160
            while ((raw[end] & 0xc0) == 0x80)
                end--
            def whole = text.digest('SHA-256')
            text = new String(raw, 0, end, StandardCharsets.UTF_8).replaceAll(/[ .]+$/, '') + '_' + whole.take(8)
        }
        return !text || text ==~ /(?is)(con|prn|aux|nul|com\d|lpt\d)(\..*)?/ ? "_${text}".toString() : text
    }

    static String folded(String text) {
        return Normalizer.normalize(text, Normalizer.Form.NFKC).toUpperCase(Locale.ROOT).toLowerCase(Locale.ROOT)
    }
}

/** What one mask will hold: first the counts of an image's objects, then what is drawn of them. */
class ImagePlan {
    Map entry                    // the image, of ProjectFile
    ImageFrame frame             // where it lies in the slide's file
    String mask                  // file name
    String slide, sha256, error  // of the slide's path, of the data file; why there will be no mask
    List<String> findings = []   // what the user should know
    // Objects by class (null for none): those of the kind that is drawn, and of these on planes that are not there.
    Map<String, Integer> counts = [:], lost = [:]
    Map<String, Integer> kinds = [:]  // objects of each kind, whatever is drawn
    Map<String, String> colors = [:]
    List<Map> cores = []

    List<List> rules = []  // class name and label, in the order of drawing
    List<Map> legend = []  // rows of the class table
    int width, height, planes, bits, drawn
    List<Double> pixelSize
    Map madeFrom           // all that decides the mask
    List<String> again     // why a mask that stands is made again
    // Once it is drawn: pixels by label, and what of HiddenObjects.
    Map pixels, hidden

    /** The data file, or null where nothing was ever annotated. */
    File getData() {
        return sha256 == null ? null : new File(entry.data, 'data.qpdata')
    }

    boolean isOnPlane(roi) {
        return roi.getZ() >= 0 && roi.getZ() < entry.sizeZ && roi.getT() >= 0 && roi.getT() < entry.sizeT
    }

    boolean isOutside(roi) {
        return roi.getBoundsX() + roi.getBoundsWidth() <= 0 || roi.getBoundsY() + roi.getBoundsHeight() <= 0 ||
                roi.getBoundsX() >= entry.width || roi.getBoundsY() >= entry.height
    }

    void note(String text) {
        findings << text
    }

    /** Ask the slide what the project does not say of its frame. */
    void askSlide() {
        def known = frame
        frame = known.located(slide)
        if (frame.steps != known.steps)
            findings = findings - known.findings() + frame.findings()
    }

    /** Decide on labels and sizes. */
    void settle(ExportTask task, ClassMap classes) {
        rules = classes.rules()
        classes.rows().each { row ->
            def names = row.unclassified ? [null] : [row.name, *(row.aliases ?: [])]
            legend << [label: row.label, name: row.name, color: row.color, objects: names.sum { counts[it] ?: 0 }]
        }
        def names = rules.collect { it[0] } as Set
        drawn = counts.findAll { name, n -> name in names }.values().sum(0)
        noteAll(task, classes)
        def d = task.downsample
        if (d > Math.max(entry.width, entry.height)) {
            error = "At a downsample of ${d} nothing is left of ${entry.label}."
            return
        }
        width = Math.max(1, Math.floor(entry.width / d) as int)
        height = Math.max(1, Math.floor(entry.height / d) as int)
        planes = entry.sizeZ * entry.sizeT
        pixelSize = entry.pixelSize?.collect { it * d }
        bits = (legend*.label.max() ?: 0) > 255 ? 16 : 8
        madeFrom = [format: 1, pixel_rules: task.engine.pixel_rules, data_sha256: sha256,
                    image: [entry.width, entry.height, entry.sizeZ, entry.sizeT], pixel_size_um: pixelSize,
                    downsample: d, frame: entry.frame.record(1.0d).mask_to_file, tile_px: task.tilePx, objects: task.objects,
                    line_thickness: 1.0d, boundary_label: null, instances: null, multichannel: false, compression: 'lzw',
                    pyramid: true, classes: ClassMapText.fingerprint(classes), rules: rules]
    }

    private void noteAll(ExportTask task, ClassMap classes) {
        if (counts.get(null) && classes.row == null)
            note("${Words.objects(counts.get(null))} without a class left out.")
        if (lost)
            note("${Words.objects(lost.values().sum())} on slices or time points that the image does not have.")
        int missing = task.objects == 'cores' ? cores.count { it.missing } : 0
        if (missing)
            note("${missing} TMA core${missing == 1 ? '' : 's'} marked as missing left out " +
                    "('all-cores' instead of 'cores' draws them too).")
        if (!drawn)
            note('No objects to draw: the mask is all background. '.concat(
                    kinds[task.kindDrawn] ? '' : ObjectCount.otherKinds([this], task)).strip())
        frame = entry.frame
        findings.addAll(frame.findings())
        if (slide == 'missing')
            note('The slide is not ' + (!entry.uris ? 'found: the project does not say where'
                    : entry.uris[0].startsWith('file:') ? "at ${entry.uris[0]}" : "looked for: it is no file (${entry.uris[0]})") +
                    '; the mask does not need it.')
    }
}

/** A mask that is there already: whether it still holds, or what changed, in the words of qpmask's plan.skipping. */
class StandingMask {
    static final Map WORDS = [tile_px: 'tile size', image: 'size of the image', pixel_size_um: 'pixel size in \u00b5m',
                              boundary_label: 'label of outlines']

    /** The record of a mask that holds, or null; plan.again says why one is made again. */
    static Map record(ImagePlan plan, ExportTask task, OutputFolder folder, ClassMap classes) {
        def mask = new File(folder.path, plan.mask)
        def file = new File(folder.path, "${plan.mask}.json")
        if (!mask.exists() && !file.exists())
            return null
        def sidecar = Json.read(file)
        // Through text and back, so that both sides hold the same types of numbers.
        plan.again = changes(sidecar, Json.parse(Json.text(plan.madeFrom)) as Map, plan.legend)
        if (plan.again == ['the class map'])
            plan.again = [changedOrder(classes, sidecar.made_from.classes) ?: plan.again[0]]
        def more = plan.again ? null : task.overwrite ? 'as asked (force)'
                : !(sidecar.mask instanceof Map && sidecar.pixels instanceof Map) ? 'it has no sidecar that can be read'
                : !mask.isFile() ? 'it is not there any more'
                : mask.length() != sidecar.mask.bytes || Hash.sha256(mask) != sidecar.mask.sha256 ? 'its file is not what was written'
                : null
        if (more)
            plan.again = [more]
        if (plan.again)
            return null
        plan.hidden = sidecar.hidden
        if (task.hidden == 'error' && plan.hidden == null)  // made by a version that did not count
            return null
        try {
            task.checkHidden(plan)
        } catch (MaskStop stop) {
            return MaskRecord.failed(plan, stop.message, stop.type)
        }
        def record = MaskRecord.of(plan, task, 'skipped', sidecar.pixels.collectEntries { k, v -> [(k.toInteger()): v] }, mask.length())
        if (sidecar.engine instanceof Map)
            record.engine = "${sidecar.engine.name} ${sidecar.engine.version}".toString()
        record.verified_by = sidecar.verified_by
        return record
    }

    /** Words for an earlier map that differs by what covers what, and by nothing else; or null. */
    private static String changedOrder(ClassMap classes, earlier) {
        def was = (['classes', 'area'] - classes.order).find { ClassMapText.fingerprint(classes.changed(order: it)) == earlier }
        return was ? "order ${was} -> ${classes.order}" : null
    }

    private static List<String> changes(sidecar, Map now, List<Map> legend) {
        def old = sidecar instanceof Map ? sidecar.made_from : null
        if (!(old instanceof Map))
            return ['it has no sidecar that can be read']
        def changed = (old + now).keySet().findAll { old[it] != now[it] }
        def found = []
        changed.each { key ->
            def a = old[key]
            def b = now[key]
            if (key == 'data_sha256')
                found << (a == null ? 'annotated since' : 'saved in QuPath since')
            else if (key == 'frame' && old.containsKey(key))
                found << "it lies elsewhere in the slide's file"
            else if (key in ['format', 'frame'])
                found << 'made by another version of qpmask'
            else if (key == 'instances')
                found << "instances ${text(a != null)} -> ${text(b != null)}"
            else if (key == 'image' && a instanceof List && a.drop(2) == b.drop(2))
                found << "${WORDS[key]} ${text(a.take(2))} -> ${text(b.take(2))}"
            else if (!(key in ['classes', 'rules']) && !(key == 'pixel_size_um' && 'downsample' in changed))
                found << "${WORDS[key] ?: key.toString().replace('_', ' ')} ${text(a)} -> ${text(b)}"
        }
        if (('classes' in changed || 'rules' in changed) && !('instances' in changed)) {
            def more = labels(old.rules, now.rules) + colors(sidecar.classes, legend)
            found.addAll(more ? more.take(4) : ['the class map'])
            if (more.size() > 4)
                found << "${more.size() - 4} more changes of classes"
        }
        return found*.toString()
    }

    private static List labels(old, List now) {
        def (before, after) = [ClassMap.labelsIn(old), ClassMap.labelsIn(now)]
        if (before == null)
            return []
        def found = (before + after).keySet().findAll { before[it] != after[it] }.collect {
            "label of ${it == null ? 'unclassified objects' : "'${it}'"} ${text(before[it])} -> ${text(after[it])}"
        }
        return before == after && before.keySet() as List != after.keySet() as List ? found + ['order of the classes'] : found
    }

    private static List colors(old, List<Map> legend) {
        def rows = old instanceof List ? old.findAll { it instanceof Map } : []
        def before = rows.collectEntries { [(it.name): it.color] }
        return legend.findAll { before.containsKey(it.name) && before[it.name] != it.color }.collect {
            "colour of '${it.name}' ${text(before[it.name])} -> ${text(it.color)}"
        }
    }

    private static String text(value) {
        if (value == null)
            return 'none'
        if (value instanceof Boolean)
            return value ? 'yes' : 'no'
        if (value instanceof List)
            return value.collect { text(it) }.join(' x ')
        if (value instanceof Double)
            return new BigDecimal(value.toString()).round(new java.math.MathContext(6)).stripTrailingZeros().toPlainString()
        return value.toString()
    }
}

// ---- one mask -----------------------------------------------------------------------------------

/** Makes one mask: QuPath draws it, it is written and read back, and only then it gets its name. */
class MaskMaker {
    private final ExportTask task
    private final ProjectFile project
    private final OutputFolder folder
    private final ClassMap classes
    private boolean stopped = Thread.interrupted()  // by Run > Kill running script; while it is set no file can be written

    MaskMaker(ExportTask task, ProjectFile project, OutputFolder folder, ClassMap classes) {
        this.task = task
        this.project = project
        this.folder = folder
        this.classes = classes
    }

    boolean isStopped() {
        stopped |= Thread.interrupted()
        return stopped
    }

    /** The record of the mask, which is there, or of why it is not. */
    Map make(ImagePlan plan) {
        long began = System.nanoTime()
        def part = new File(folder.work, "${plan.mask}.${ProcessHandle.current().pid()}.part.tif")
        def record
        try {
            record = makeMask(plan, part)
        } catch (OutOfMemoryError ignored) {
            record = MaskRecord.failed(plan, 'QuPath ran out of memory. Give it more (Edit > Preferences), or set a downsample.')
        } catch (Exception error) {
            stopped = Thread.interrupted() || error instanceof InterruptedException
            record = stopped ? MaskRecord.interrupted(plan, 'The run was interrupted.')
                    : error instanceof MaskStop ? MaskRecord.failed(plan, error.message, error.type)
                    : MaskRecord.failed(plan, "The mask of ${plan.entry.label} could not be made: ${error.message ?: error.class.simpleName}")
        } finally {
            part.delete()
        }
        record.seconds = Math.round((System.nanoTime() - began) / 1e6d) / 1000d
        return record
    }

    private Map makeMask(ImagePlan plan, File part) {
        def label = plan.entry.label
        plan.askSlide()
        def writer = new MaskTiff(part, plan, task.tilePx, MaskXml.of(plan, task).text())
        new LabelImage(plan, task, classes.order).withCloseable { image ->
            def pixels = writer.withCloseable { it.write(image) }
            def allowed = [0, *plan.legend*.label] as Set
            def strange = pixels.keySet().find { !(it in allowed) }
            if (strange != null)
                throw new MaskStop("The mask of ${label} has the label ${strange}, which is in no class. Please report this.")
            plan.pixels = pixels
            plan.hidden = HiddenObjects.of(plan, image, pixels, task.downsample)
        }
        if (plan.data != null && Hash.sha256(plan.data) != plan.sha256)
            throw new MaskStop("${plan.data} of ${label} changed while it was exported. Save the image, then run again.")
        task.checkHidden(plan)
        def sha256 = writer.readBack()
        def record = MaskRecord.of(plan, task, 'done', plan.pixels, part.length())
        Files.move(part.toPath(), new File(folder.path, plan.mask).toPath(), StandardCopyOption.REPLACE_EXISTING,
                StandardCopyOption.ATOMIC_MOVE)
        folder.write("${plan.mask}.json", Json.text(MaskRecord.sidecar(record, plan, task, project, sha256)) + '\n')
        return record
    }
}

/**
 * QuPath's label image of the objects of one image, tile by tile. The tiles are asked of the server itself:
 * OMEPyramidWriter logs what goes wrong with a tile and leaves it out. The slide is not opened.
 */
@CompileStatic
class LabelImage implements Closeable {
    final DrawnObjects drawn
    final ObjectSight sight
    private final LabeledImageServer server
    private final ImageData<BufferedImage> imageData
    private final ImagePlan plan
    private final TileRequest[][] tiles  // by plane, row by row
    private final int columns
    private final Thread owner = Thread.currentThread()

    LabelImage(ImagePlan plan, ExportTask task, String order) {
        this.plan = plan
        PathObjectHierarchy hierarchy = plan.data == null ? new PathObjectHierarchy() : (PathObjectHierarchy) DataFile.read(plan.data).get('hierarchy')
        drawn = new DrawnObjects(hierarchy, plan, task, order == 'area')
        int width = (int) plan.entry.get('width')
        int height = (int) plan.entry.get('height')
        ImageServerMetadata metadata = new ImageServerMetadata.Builder().width(width).height(height)
                .sizeZ((int) plan.entry.get('sizeZ')).sizeT((int) plan.entry.get('sizeT')).name((String) plan.entry.get('name'))
                .pixelType(PixelType.UINT8).channels(ImageChannel.getDefaultChannelList(1))
                .preferredTileSize(task.tilePx, task.tilePx).build()
        imageData = new ImageData<BufferedImage>(new SlideOfSize(metadata), hierarchy, ImageData.ImageType.OTHER)
        LabeledImageServer.Builder builder = new LabeledImageServer.Builder(imageData).downsample(task.downsample)
                .tileSize(task.tilePx).lineThickness(1f)
        if (task.objects == 'nuclei')
            builder.useCellNuclei()
        else
            builder.useFilter { PathObject object -> task.isKind(object) }
        builder.addLabels(DrawOrder.classes(drawn, width, height, 4d * task.downsample))
        server = builder.build()
        ImageServerMetadata.ImageResolutionLevel level = server.getMetadata().getLevel(0)
        if (level.getWidth() != plan.width || level.getHeight() != plan.height)
            throw new MaskStop("QuPath would draw ${plan.entry.get('label')} at ${level.getWidth()} x ${level.getHeight()} " +
                    "pixels instead of ${plan.width} x ${plan.height}. Please report this with the QuPath version.")
        columns = MaskTiff.ceil(plan.width, task.tilePx)
        tiles = new TileRequest[plan.planes][columns * MaskTiff.ceil(plan.height, task.tilePx)]
        for (TileRequest tile : server.getTileRequestManager().getTileRequestsForLevel(0))
            tiles[tile.getT() * server.nZSlices() + tile.getZ()][tile.getTileY().intdiv(task.tilePx) * columns +
                    tile.getTileX().intdiv(task.tilePx)] = tile
        sight = new ObjectSight(server, drawn)
    }

    /** A tile as QuPath draws it; meanwhile its objects are looked for. */
    LabelTile tile(int plane, int row, int column) {
        if (owner.isInterrupted())
            throw new InterruptedException()
        TileRequest request = tiles[plane][row * columns + column]
        BufferedImage image = server.readRegion(request.getRegionRequest())
        if (image == null || image.getWidth() != request.getTileWidth() || image.getHeight() != request.getTileHeight())
            throw new MaskStop("QuPath did not draw the tile in row ${row}, column ${column} of ${plan.entry.get('label')}; its log says why.")
        LabelTile tile = LabelTile.of(image)
        sight.look(request, tile)
        return tile
    }

    @Override
    void close() {
        server.close()
        if (imageData instanceof AutoCloseable)  // QuPath 0.6 and later
            ((AutoCloseable) imageData).close()
    }
}

/** A slide of which only the size is known: a label image needs no more. */
class SlideOfSize extends AbstractImageServer<BufferedImage> {
    private final ImageServerMetadata metadata

    SlideOfSize(ImageServerMetadata metadata) {
        super(BufferedImage)
        this.metadata = metadata
    }

    @Override
    ImageServerMetadata getOriginalMetadata() { return metadata }

    @Override
    Collection<URI> getURIs() { return [] }

    @Override
    String getServerType() { return 'qpmask' }

    @Override
    BufferedImage readRegion(RegionRequest request) { throw new UnsupportedOperationException('The slide is not open.') }

    @Override
    protected ImageServerBuilder.ServerBuilder<BufferedImage> createServerBuilder() { return null }

    @Override
    protected String createID() { return 'qpmask ' + UUID.randomUUID() }
}

/** The objects that are drawn, in the order of the data file: with which label, and when. */
@CompileStatic
class DrawnObjects {
    final List<PathObject> objects = []
    final List<ROI> rois = []            // that are drawn: of the nucleus, or of the whole object
    final List<String> classNames = []   // null for none
    final List<Integer> labels = []
    final List<Integer> places = []      // of the class in the order of drawing
    final List<Integer> numbers = []     // of the object in the data file, from 1
    final List<Map> shapeless = []       // objects of which there is nothing to draw: name, object, number
    final int[] order                    // when each is drawn, from 0
    final boolean isByArea

    DrawnObjects(PathObjectHierarchy hierarchy, ImagePlan plan, ExportTask task, boolean isByArea) {
        this.isByArea = isByArea
        Map<String, Integer> placeOf = [:]
        plan.rules.eachWithIndex { List rule, int place -> placeOf.put((String) rule[0], place) }
        List<long[]> keys = []  // area, place of the class, position
        Map<PathClass, String> forms = new IdentityHashMap<>()
        int number = 0
        hierarchy.getRootObject().getDescendantObjects(null).each { PathObject object ->
            number++
            PathClass pathClass = object.getPathClass()
            // Data files may hold a class by another name than the class map.
            String name = pathClass == null ? null : forms.computeIfAbsent(pathClass, { ClassNames.form(pathClass.toString()) })
            ROI roi = PathObjectTools.getROI(object, task.objects == 'nuclei')
            if (!placeOf.containsKey(name) || !task.isKind(object))
                return
            if ((roi == null || roi.getNumPoints() == 0) && (object.getROI() == null || plan.isOnPlane(object.getROI())))
                shapeless << ([name: name, object: object, number: number] as Map)
            if (roi == null)
                return
            int place = placeOf.get(name)
            keys << ([isByArea ? -RoiArea.twice(roi) : 0L, place as long, objects.size() as long] as long[])
            objects << object
            rois << roi
            classNames << name
            places << place
            labels << (Integer) plan.rules[place][1]
            numbers << number
        }
        keys.sort { long[] a, long[] b -> a[0] <=> b[0] ?: a[1] <=> b[1] ?: a[2] <=> b[2] }
        order = new int[keys.size()]
        keys.eachWithIndex { long[] key, int i -> order[(int) key[2]] = i }
    }

    int size() { return objects.size() }

    /** Positions in the order of drawing. */
    List<Integer> inOrder() {
        int[] at = new int[order.length]
        for (int i = 0; i < order.length; i++)
            at[order[i]] = i
        return at.toList()
    }
}

/** What covers what, in terms of QuPath's label images, which draw class after class. As qpmask.engines.draworder. */
@CompileStatic
class DrawOrder {
    static final int CELLS = 1024

    /** Give each object that is drawn a class that says its layer and its label. Returns these classes in order. */
    static Map<PathClass, Integer> classes(DrawnObjects drawn, int width, int height, double margin) {
        List<Integer> layers = drawn.isByArea ? layers(drawn, width, height, margin).toList() : drawn.places
        TreeMap<Integer, TreeSet<Integer>> found = new TreeMap<>()
        for (int at = 0; at < drawn.size(); at++) {
            found.computeIfAbsent(layers[at], { new TreeSet<Integer>() }).add(drawn.labels[at])
            drawn.objects[at].setPathClass(made(layers[at], drawn.labels[at]))
        }
        Map<PathClass, Integer> classes = new LinkedHashMap<>()
        found.each { Integer layer, TreeSet<Integer> labels ->
            labels.each { Integer label -> classes.put(made(layer, label), label) }
        }
        return classes
    }

    /** Layers for drawing by area: objects of one layer do not overlap or have one label. */
    private static int[] layers(DrawnObjects drawn, int width, int height, double margin) {
        double cell = Math.max(1d, Math.max(width, height) / (double) CELLS)
        int columns = (int) Math.floor(width / cell) + 1
        int rows = (int) Math.floor(height / cell) + 1
        int[] top = new int[rows * columns]
        int[] labelOnTop = new int[rows * columns]
        Arrays.fill(top, -1)
        Arrays.fill(labelOnTop, -1)
        int[] layers = new int[drawn.size()]
        for (int at : drawn.inOrder()) {
            ROI roi = drawn.rois[at]
            int label = drawn.labels[at]
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
        }
        return layers
    }

    private static PathClass made(int layer, int label) {
        return PathClass.fromString("qpmask layer ${layer} label ${label}".toString())
    }

    private static int clip(double value, int size) {
        return (int) Math.max(0d, Math.min((double) size - 1, Math.floor(value)))
    }
}

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

/** A tile, cropped to the image: one label, or pixels row by row. */
@CompileStatic
class LabelTile {
    int width, height
    int label = -1
    int[] pixels

    /** Of labels that QuPath drew. */
    static LabelTile of(BufferedImage drawn) {
        int[] pixels = drawn.getRaster().getSamples(0, 0, drawn.getWidth(), drawn.getHeight(), 0, (int[]) null)
        int first = pixels[0]
        for (int pixel : pixels)
            if (pixel != first)
                return new LabelTile(width: drawn.getWidth(), height: drawn.getHeight(), pixels: pixels)
        return new LabelTile(width: drawn.getWidth(), height: drawn.getHeight(), label: first)
    }

    int at(int x, int y) {
        return label >= 0 ? label : pixels[y * width + x]
    }
}

// ---- its file -----------------------------------------------------------------------------------

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

/** What a mask says about itself. Raw UTF-8 without character references: Bio-Formats mangles those. */
class MaskXml {
    String name, creator
    int width, height, bits, sizeZ, sizeT
    List<Double> pixelSize
    List<Map> legend
    Map<String, String> extra
    List<int[]> levels

    static MaskXml of(ImagePlan plan, ExportTask task) {
        def entry = plan.entry
        def creator = "qpmask ${ExportTask.VERSION}"
        return new MaskXml(name: entry.name, width: plan.width, height: plan.height, bits: plan.bits,
                sizeZ: entry.sizeZ, sizeT: entry.sizeT, pixelSize: plan.pixelSize, legend: plan.legend, creator: creator,
                levels: MaskTiff.levels(plan.width, plan.height, task.tilePx), extra: [
                    image: entry.name, entry_id: entry.id, image_width_px: "${entry.width}", image_height_px: "${entry.height}",
                    downsample: "${task.downsample}", objects: task.objects, kind: 'classes',
                    frame: Json.line(plan.frame.record(task.downsample)), engine: task.engineText])
    }

    String text() {
        def ns = 'http://www.openmicroscopy.org/Schemas/OME/2016-06'
        def size = pixelSize ? " PhysicalSizeX=\"${pixelSize[0]}\" PhysicalSizeY=\"${pixelSize[1]}\"" : ''
        def lines = ['<?xml version="1.0" encoding="UTF-8"?>',
                     "<OME xmlns=\"${ns}\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" " +
                     "xsi:schemaLocation=\"${ns} ${ns}/ome.xsd\" Creator=${attribute(creator)}>",
                     "<Image ID=\"Image:0\" Name=${attribute(name)}>",
                     "<Pixels ID=\"Pixels:0\" DimensionOrder=\"XYCZT\" Type=\"uint${bits}\" SizeX=\"${width}\" " +
                     "SizeY=\"${height}\" SizeC=\"1\" SizeZ=\"${sizeZ}\" SizeT=\"${sizeT}\"${size}>",
                     '<Channel ID="Channel:0:0" SamplesPerPixel="1"/>']
        for (int plane = 0; plane < sizeZ * sizeT; plane++)
            lines << "<TiffData IFD=\"${plane}\" FirstC=\"0\" FirstZ=\"${plane % sizeZ}\" FirstT=\"${plane.intdiv(sizeZ)}\" PlaneCount=\"1\"/>"
        lines << '</Pixels>'
        def maps = legend ? [['qpmask/classes', legend.collect { ["${it.label}", classText(it)] }]] : []
        maps << ['qpmask/mask', extra.collect { k, v -> [k, v.toString()] }]
        // As Bio-Formats lists the levels; fastslide looks for them here.
        if (levels.size() > 1)
            maps << ['openmicroscopy.org/PyramidResolution',
                     (1..<levels.size()).collect { ["${it}", "${levels[it][0]} ${levels[it][1]}"] }]
        maps.eachWithIndex { map, i -> lines << "<AnnotationRef ID=\"Annotation:${i}\"/>" }
        lines << '</Image>' << '<StructuredAnnotations>'
        maps.eachWithIndex { map, i ->
            lines << "<MapAnnotation ID=\"Annotation:${i}\" Namespace=\"${map[0]}\"><Value>"
            map[1].each { lines << "<M K=${attribute(it[0].toString())}>${escaped(clean(it[1].toString(), '\ufffd'))}</M>" }
            lines << '</Value></MapAnnotation>'
        }
        lines << '</StructuredAnnotations>' << '</OME>'
        return lines.join('\n')
    }

    private static String classText(Map row) {
        def text = "{\"name\": ${Json.quoted(row.name.toString(), false)}" + (row.color ? ", \"color\": \"${row.color}\"}" : '}')
        return clean(text, null)
    }

    /** Replaces what XML cannot hold, by a character or by its JSON escape. */
    private static String clean(String text, String by) {
        return text.replaceAll('[^\\t\\n\\r\\u0020-\\ud7ff\\ue000-\\ufffd\\x{10000}-\\x{10ffff}]') { String c ->
            by ?: String.format('\\u%04x', (int) c.charAt(0))
        }
    }

    private static String escaped(String text) {
        return text.replace('\r\n', '\n').replace('\r', '\n').replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')
    }

    private static String attribute(String text) {
        return '"' + escaped(clean(text, '\ufffd').replaceAll(/[\t\n\r]/, ' ')).replace('"', '&quot;') + '"'
    }
}

// ---- unseen -------------------------------------------------------------------------------------

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

/** Draws objects alone into a tile, as LabeledImageServer draws them all. */
@CompileStatic
class ObjectPen implements Closeable {
    private final TileRequest request
    private final BufferedImage image
    private final Graphics2D graphics
    private final int[] pixels

    ObjectPen(TileRequest request) {
        this.request = request
        image = new BufferedImage(request.getTileWidth(), request.getTileHeight(), BufferedImage.TYPE_INT_RGB)
        pixels = ((DataBufferInt) image.getRaster().getDataBuffer()).getData()
        graphics = image.createGraphics()
        graphics.setClip(0, 0, image.getWidth(), image.getHeight())
        double scale = 1d / request.getRegionRequest().getDownsample()
        graphics.scale(scale, scale)
        graphics.translate(-request.getRegionRequest().getX(), -request.getRegionRequest().getY())
        graphics.setStroke(new BasicStroke((float) request.getDownsample()))
    }

    /** Give the pixels of an object a number. */
    void draw(ROI roi, int number) {
        graphics.setColor(new Color(number))
        if (roi.isArea())
            graphics.fill(roi.getShape())
        else if (roi.isLine())
            graphics.draw(roi.getShape())
        else
            for (Point2 point : roi.getAllPoints()) {
                int x = (int) ((point.getX() - request.getRegionRequest().getX()) / request.getRegionRequest().getDownsample())
                int y = (int) ((point.getY() - request.getRegionRequest().getY()) / request.getRegionRequest().getDownsample())
                if (x >= 0 && x < image.getWidth() && y >= 0 && y < image.getHeight())
                    image.setRGB(x, y, number)
            }
    }

    /** The numbers of all pixels, row by row. */
    int[] numbers() {
        int[] found = pixels.clone()
        for (int i = 0; i < found.length; i++)
            found[i] &= 0xffffff
        return found
    }

    /** Part of the tile where an object can have pixels: first and end column, first and end row. */
    int[] span(ROI roi) {
        double x = request.getRegionRequest().getX()
        double y = request.getRegionRequest().getY()
        double d = request.getRegionRequest().getDownsample()
        int margin = 3
        return [(int) Math.max(0d, Math.floor((roi.getBoundsX() - x) / d) - margin),
                (int) Math.min((double) image.getWidth(), Math.ceil((roi.getBoundsX() + roi.getBoundsWidth() - x) / d) + margin),
                (int) Math.max(0d, Math.floor((roi.getBoundsY() - y) / d) - margin),
                (int) Math.min((double) image.getHeight(), Math.ceil((roi.getBoundsY() + roi.getBoundsHeight() - y) / d) + margin)] as int[]
    }

    boolean isSet(int x, int y) {
        return (pixels[y * image.getWidth() + x] & 0xffffff) != 0
    }

    void clear(int[] span) {
        for (int y = span[2]; y < span[3] && span[0] < span[1]; y++)
            Arrays.fill(pixels, y * image.getWidth() + span[0], y * image.getWidth() + span[1], 0)
    }

    @Override
    void close() { graphics.dispose() }
}

/** Objects that are drawn and leave no pixel: counted, and in words. Keys and words as qpmask.report.hiddenobjects has them. */
class HiddenObjects {
    static final Map WORDS = [outside: 'outside the image', thin: 'thinner than a pixel', empty: 'without a shape (no ROI, or an empty one)',
                              plane: 'on a slice or time point that the image does not have',
                              unknown: 'covered by others, outside the image, or thinner than a pixel']
    static final String WAYS_OUT = "Ways out: the setting order = 'area' draws larger objects first, whatever their class; the " +
            "order of the classes in classes.yaml (later ones on top) can be changed; 'qpmask export --multichannel' gives each " +
            'class a plane of its own.'
    static final int LISTED_IDS = 1000, LISTED_NAMES = 3, LISTED_LINES = 12

    static Map of(ImagePlan plan, LabelImage image, Map<Integer, Long> pixels, double downsample) {
        def names = plan.legend.collectEntries { [(it.label): it.name] }
        def ids = idsIn(plan.data)
        def lost = plan.lost.findAll { name, n -> plan.rules.any { it[0] == name } }.collect { name, n ->
            group(name, n, n, 'plane', [], [])
        }
        lost += image.drawn.shapeless.groupBy { it.name }.collect { name, rows ->
            group(name, rows.size(), plan.counts.get(name), 'empty', [], ids(rows))
        }
        def groups = unseen(plan, image, names, ids) + lost
        boolean isBlank = pixels.keySet().every { it == 0 }
        return [groups: groups, covered: image.sight.shares(pixels, downsample).collect {
                    ['class_name': names[it.label]] + it + [by: it.by.collect { label -> names[label] }.unique()]
                },
                all_background: isBlank && (lost || image.drawn.rois.any { plan.isOnPlane(it) }), counted: 'objects',
                objects: groups.sum(0) { it.objects }]
    }

    private static List<Map> unseen(ImagePlan plan, LabelImage image, Map names, Closure ids) {
        def (drawn, sight) = [image.drawn, image.sight]
        def hidden = (0..<drawn.size()).findAll {
            !sight.isLeft[it] && plan.isOnPlane(drawn.rois[it]) && drawn.rois[it].getNumPoints() > 0
        }
        def of = drawn.classNames.countBy { it ?: 'Unclassified' }
        def upon = sight.coveredBy()
        return hidden.groupBy { at ->
            def why = sight.hasPixel[at] ? 'covered' : plan.isOutside(drawn.rois[at]) ? 'outside' : 'thin'
            [drawn.classNames[at], why, (upon[at] ?: []).collect { names[it] }.unique()]
        }.collect { key, objects ->
            group(key[0], objects.size(), of[key[0] ?: 'Unclassified'], key[1], key[2],
                    ids(objects.collect { [object: drawn.objects[it], number: drawn.numbers[it]] }))
        }
    }

    /** QuPath gives an object of an older file another id whenever it reads it; then its number stands for it. */
    private static Closure<List<String>> idsIn(File data) {
        def again = null
        return { List<Map> rows ->
            again = again ?: DataFile.read(data).hierarchy.getRootObject().getDescendantObjects(null)*.getID()
            rows.take(LISTED_IDS).collect {
                (again[it.number - 1] == it.object.getID() ? it.object.getID() : "number ${it.number}").toString()
            }
        }
    }

    private static Map group(String name, int objects, int of, String why, List by, List ids) {
        return ['class_name': name ?: 'Unclassified', objects: objects, of: of, why: why, by: by, ids: ids]
    }

    // -- in words ---------------------------------------------------------------------------------

    /** What to know of one image, a line each. */
    static List<String> lines(hidden) {
        def lines = hidden?.all_background ? ['The mask is all background, though there are objects to draw'] : []
        lines += (hidden?.groups ?: []).collect { words(it) }
        lines += (hidden?.covered ?: []).findAll { it.left_px }.collect { words(it) }
        return lines*.toString()
    }

    private static String words(Map row) {
        if (row.containsKey('why'))
            return "${row.class_name}: ${Words.objects(row.objects)}, no pixel left: ${reason(row)}"
        def percent = row.left_px ? Math.min(99, Math.rint(100d * (1d - row.left_px / (double) row.drawn_px)) as int) : 100
        return "${row.class_name}: ${percent} % of its pixels are covered by ${coverers(row.by ?: [])}"
    }

    private static String reason(Map group) {
        return group.why == 'covered' ? "covered by ${coverers(group.by)}" : WORDS[group.why]
    }

    private static String coverers(List by) {
        def names = by.take(LISTED_NAMES) + (by.size() > LISTED_NAMES ? ["${by.size() - LISTED_NAMES} more"] : [])
        if (!names)
            return 'what is drawn later'
        return (names.size() == 1 ? names[0] : "${names[0..-2].join(', ')} and ${names[-1]}") + ', drawn later'
    }

    /** An error where an object leaves no pixel, for the setting hidden = 'error'; or null. */
    static String refused(Map hidden, String label) {
        if (!hidden?.objects)
            return null
        return "${Words.objects(hidden.objects)} of ${label} ${hidden.objects == 1 ? 'leaves' : 'leave'} no pixel: " +
                "${hidden.groups.take(LISTED_LINES).collect { words(it) }.join('; ')}. " +
                [*waysOut([hidden]), "hidden = 'warn' goes on."].join(' ')
    }

    private static List<String> waysOut(List<Map> hidden) {
        return hidden.any { it.groups.any { g -> g.why in ['covered', 'unknown'] } || it.covered.any { c -> c.left_px } } ? [WAYS_OUT] : []
    }

    /** What to say at the end of a run, of its records: alike things once. */
    static List<String> runLines(List<Map> records) {
        def of = records.findAll { it.hidden instanceof Map }
        def blank = of.findAll { it.hidden.all_background }*.image
        def lines = []
        if (blank)
            lines << (blank.size() == 1 ? "${blank[0]}: the mask is" : "${Words.count(blank.size(), 'mask')} are") +
                    ' all background, though there are objects to draw.'
        def groups = of.collectMany { record -> record.hidden.groups.findAll { it.why != 'plane' }.collect { [record.image, it] } }
        groups.groupBy { image, group -> [group.class_name, reason(group)] }.sort { -it.value.sum { it[1].objects } }.each { key, found ->
            lines << (found.size() == 1 ? "${found[0][0]}: ${words(found[0][1])}." : "${key[0]}: " +
                    "${Words.objects(found.sum { it[1].objects })} in ${Words.images(found.size())}, no pixel left: ${key[1]}.")
        }
        def shares = of.collectMany { record -> record.hidden.covered.findAll { it.left_px }.collect { [record.image, it] } }
        shares.groupBy { image, row -> row.class_name }.each { name, found ->
            lines << (found.size() == 1 ? "${found[0][0]}: ${words(found[0][1])}." : "${name}: in ${Words.images(found.size())} " +
                    "more than half of its pixels are covered by ${coverers(found.collectMany { it[1].by ?: [] }.countBy { it }.sort { -it.value }*.key)}.")
        }
        if (lines.size() > LISTED_LINES)
            lines = lines.take(LISTED_LINES) + ["${lines.size() - LISTED_LINES} more of this kind; report.json has them all."]
        return (lines + waysOut(of*.hidden))*.toString()
    }
}

// ---- the records --------------------------------------------------------------------------------

/** What is written down about a mask: a line of the report, and its sidecar. Keys as qpmask has them. */
class MaskRecord {
    static Map failed(ImagePlan plan, String error = plan.error, String type = 'QpmaskError') {
        return without(plan, 'failed', error) + [error_type: type]
    }

    static Map interrupted(ImagePlan plan, String error = 'The run ended before this image.') {
        return without(plan, 'interrupted', error)
    }

    /** Of a mask that is there. */
    static Map of(ImagePlan plan, ExportTask task, String status, Map pixels, long bytes) {
        return without(plan, status, null) + [
                mask: plan.mask, width_px: plan.width, height_px: plan.height, downsample: task.downsample,
                pixel_width_um: plan.pixelSize?.get(0), pixel_height_um: plan.pixelSize?.get(1),
                dtype: "uint${plan.bits}".toString(), planes: plan.planes,
                pixels: pixels.collectEntries { k, v -> [(k.toString()): v] }, labelled: labelled(pixels), objects: plan.drawn,
                bytes: bytes, engine: task.engineText, hidden: plan.hidden,
                made_again: status == 'done' && plan.again ? plan.again.join('; ') : null]
    }

    private static Map without(ImagePlan plan, String status, String error) {
        return [entry_id: plan.entry.id, image: plan.entry.name, status: status, mask: null, width_px: null, height_px: null,
                downsample: null, pixel_width_um: null, pixel_height_um: null, dtype: null, planes: null, pixels: [:],
                labelled: null, objects: null, seconds: 0.0d, bytes: null, engine: null, verified_by: null, made_again: null,
                slide: plan.slide, error: error, error_type: null, hidden: null,
                warnings: plan.findings*.toString()]
    }

    /** Share of the pixels that have a label. */
    private static double labelled(Map pixels) {
        long background = (pixels[0] ?: 0L) as long
        long all = pixels.values().sum(0L) as long
        return 1d - (double) background / (double) Math.max(1L, all)
    }

    /** What became of an image. */
    static String inWords(Map record) {
        return record.status + (record.status == 'done' ? " in ${record.seconds} s" : '') +
                (record.made_again ? "; made again: ${record.made_again}" : '') + (record.error ? ". ${record.error}" : '')
    }

    static Map sidecar(Map record, ImagePlan plan, ExportTask task, ProjectFile project, String sha256) {
        def entry = plan.entry
        def areaMm2 = plan.pixelSize == null ? null : plan.pixelSize[0] * plan.pixelSize[1] / 1e6d
        return [qpmask: ExportTask.VERSION, kind: 'classes',
                mask: [file: plan.mask, bytes: record.bytes, sha256: sha256, width_px: plan.width, height_px: plan.height,
                       dtype: record.dtype, channels: 1, z_slices: entry.sizeZ, time_points: entry.sizeT,
                       levels: MaskTiff.levels(plan.width, plan.height, task.tilePx).size(), downsample: task.downsample,
                       pixel_width_um: record.pixel_width_um, pixel_height_um: record.pixel_height_um],
                image: [name: entry.name, entry_id: entry.id, width_px: entry.width, height_px: entry.height,
                        uris: entry.uris, slide: plan.slide, provider: entry.provider, provider_args: entry.providerArgs,
                        project: project.file.path],
                frame: plan.frame.record(task.downsample),
                classes: plan.legend.collect { row ->
                    def n = record.pixels["${row.label}".toString()] ?: 0
                    [label: row.label, name: row.name, color: row.color, objects: row.objects, pixels: n,
                     area_mm2: areaMm2 == null ? null : n * areaMm2]
                },
                cores: cores(plan, task), pixels: record.pixels, labelled: record.labelled, objects_drawn: plan.drawn,
                instances: null, engine: task.engine, verified_by: null,
                hidden: record.hidden, warnings: record.warnings, made_from: plan.madeFrom]
    }

    /** The TMA cores of an image, drawn or not; null where other objects are drawn. */
    private static List cores(ImagePlan plan, ExportTask task) {
        if (!task.drawsCores)
            return null
        return plan.cores.collect { core ->
            def rule = plan.rules.find { it[0] == core.class }
            core + [label: rule == null || core.missing && task.objects == 'cores' ? null : rule[1]]
        }
    }
}

/** What a run did: report.json, report.csv, areas.csv, the class map as used, and the table at the end. */
class RunReport {
    static final List COLUMNS = ['entry_id', 'image', 'status', 'mask', 'width_px', 'height_px', 'downsample', 'pixel_width_um',
            'pixel_height_um', 'dtype', 'planes', 'objects', 'hidden', 'seconds', 'bytes', 'made_again', 'slide', 'error', 'warnings']
    private final Instant started = Instant.now()
    private final ExportTask task
    private final ProjectFile project
    private final OutputFolder folder
    private final ClassMap classes
    private final List<String> warnings
    private final List<Map> records = []
    private String nothingDrawn
    boolean ok

    RunReport(ExportTask task, ProjectFile project, OutputFolder folder, ClassMap classes, List<String> warnings) {
        this.task = task
        this.project = project
        this.folder = folder
        this.classes = classes
        this.warnings = warnings
    }

    void add(Map record) {
        records << record
    }

    /** Write all files; returns what concerns the run and no single image. */
    List<String> write(List<ImagePlan> plans) {
        if (plans.any { it.bits == 16 })  // as measured: see examples/readers.md
            warnings << 'uint16 (labels above 255): such masks give wrong labels, without an error, in OpenSlide, SimpleITK, ITK and cuCIM.'
        if (plans.every { !it.drawn } && plans.any { !it.error && it.kinds })
            warnings << (nothingDrawn = 'Nothing is drawn in any image, though there are objects; the masks are all background.')
        warnings.addAll(folder.staleMasks(plans*.mask, classes))
        def interrupted = records.any { it.status == 'interrupted' }
        ok = !interrupted && !nothingDrawn && records.every { it.status in ['done', 'skipped'] }
        def all = withOthers()
        def options = [render: [objects: task.objects, downsample: task.downsample, mpp: null, tile_px: task.tilePx,
                                line_thickness: 1.0d, boundary_label: null, instances: false, multichannel: false, order: task.order],
                       file: [compression: 'lzw', pyramid: true], images: task.only == null ? [] : [task.only],
                       unknown: task.unknown, unclassified: task.unclassified, hidden: task.hidden, slides: [],
                       use_backup: false, engine: 'qupath', force: task.overwrite, workers: 1, jvm_memory: null]
        def data = [qpmask: ExportTask.VERSION, project: project.file.path, output: folder.path.path, engine: task.engine,
                    engine_reason: 'run inside QuPath',
                    started: DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ssxxx").format(started.atOffset(ZoneOffset.UTC)),
                    seconds: Math.round((Instant.now().toEpochMilli() - started.toEpochMilli()) / 10d) / 100d,
                    ok: ok, interrupted: interrupted, nothing_drawn: nothingDrawn != null, options: options,
                    classes: [origin: classes.origin] + ClassMapText.data(classes), warnings: warnings,
                    images: all.collect { withoutIds(it) }]
        folder.write('classes.yaml', ClassMapText.yaml(classes))
        folder.write('report.csv', csv([COLUMNS] + all.collect { record -> COLUMNS.collect { field(record, it) } }))
        folder.write('areas.csv', csv(areas(all)))
        folder.write('report.json', Json.text(data) + '\n')
        return warnings + HiddenObjects.runLines(records)
    }

    /** What to say if not all is well. */
    String getMessage() {
        int failed = records.count { it.status in ['failed', 'interrupted'] }
        return nothingDrawn && !failed ? nothingDrawn : task.only != null ? records[0].error
                : "${failed} of ${records.size()} image(s) failed; report.csv in ${folder.path} says why."
    }

    /** Of one image of many: keep what the report says about the others. */
    private List<Map> withOthers() {
        def old = task.only == null ? null : Json.read(new File(folder.path, 'report.json'))
        if (!(old instanceof Map && old.project == project.file.path && old.images instanceof List))
            return records
        def ids = project.images*.id
        return (old.images.findAll { it instanceof Map && it.entry_id != task.only && it.entry_id in ids } + records)
                .sort { ids.indexOf(it.entry_id) }
    }

    /** A record without the ids of objects, which are in the sidecar. */
    private static Map withoutIds(Map record) {
        if (!(record.hidden instanceof Map))
            return record
        return record + [hidden: record.hidden + [groups: record.hidden.groups.collect { it.findAll { k, v -> k != 'ids' } }]]
    }

    private static Object field(Map record, String name) {
        def value = record[name]
        return name == 'warnings' ? (HiddenObjects.lines(record.hidden) + (value ?: [])).join(' | ')
                : name == 'hidden' ? value?.objects
                : name == 'seconds' ? String.format(Locale.ROOT, '%.2f', (value ?: 0) as double) : value
    }

    private static String csv(List<List> rows) {
        return rows.collect { row -> row.collect { Words.csv(it) }.join(',') + '\n' }.join('')
    }

    /** Area and pixels of each class (columns) in each image (rows), from the sidecars. */
    private List<List> areas(List<Map> records) {
        def found = records.findAll { it.status in ['done', 'skipped'] && it.mask }.findResults { record ->
            def sidecar = Json.read(new File(folder.path, record.mask + '.json'))
            if (!(sidecar instanceof Map && sidecar.classes instanceof List))
                return null
            def pixels = [:]
            sidecar.classes.each { pixels[it.name] = (pixels[it.name] ?: 0L) + (it.pixels as long) }
            pixels['(background)'] = (record.pixels['0'] ?: 0L) as long
            [record, pixels]
        }
        def names = found.collectMany { it[1].keySet() }.unique() - '(background)' + (found ? ['(background)'] : [])
        def mm2 = { record, n ->
            if (n == null || record.pixel_width_um == null)
                return null
            def area = (n as double) * (record.pixel_width_um as double) * (record.pixel_height_um as double) / 1e6d
            new BigDecimal(area).round(new MathContext(9)).stripTrailingZeros().toPlainString()
        }
        return [['entry_id', 'image', 'mask'] + names.collect { "${it} (mm2)" } + names.collect { "${it} (px)" }] +
                found.collect { record, pixels ->
                    [record.entry_id, record.image, record.mask] + names.collect { mm2(record, pixels[it]) } +
                            names.collect { pixels[it] }
                }
    }

    /** A line an image, and what became of all. */
    String table() {
        def rows = [['image', 'status', 'size', 'objects', 'seconds']] + records.collect {
            [it.image.toString().take(50), it.status, it.width_px ? "${it.width_px} x ${it.height_px}".toString() : '-',
             "${it.objects == null ? '-' : it.objects}".toString(), String.format(Locale.ROOT, '%.2f', it.seconds as double)]
        }
        def widths = (0..4).collect { i -> rows.collect { it[i].length() }.max() }
        def lines = rows.collect { row -> (0..4).collect { i -> row[i].padRight(widths[i]) }.join('  ').stripTrailing() }
        lines << "qpmask: ${records.count { it.status == 'done' }} done, ${records.count { it.status == 'skipped' }} skipped, " +
                "${records.count { !(it.status in ['done', 'skipped']) }} failed. Masks and report.csv are in ${folder.path}"
        return lines.join('\n')
    }
}

// ---- small tools --------------------------------------------------------------------------------

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

/** SHA-256 of a file, as hexadecimal; of text and bytes Groovy has it (digest). */
class Hash {
    static String sha256(File file) {
        def digest = MessageDigest.getInstance('SHA-256')
        file.eachByte(1 << 20) { byte[] block, int n -> digest.update(block, 0, n) }
        return HexFormat.of().formatHex(digest.digest())
    }
}
