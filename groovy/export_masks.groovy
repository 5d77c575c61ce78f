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
 *            looked for in other folders: `qpmask export` has them. Objects without a pixel are said
 *            where their whole class has none; `qpmask export` finds each of them, and what covers it.
 *
 * QuPath's LabeledImageServer draws and its OMEPyramidWriter writes level 0 to a scratch file. Its
 * tiles then go as they are into a file that every reader takes: little-endian, grayscale, with the
 * class table, and with smaller levels made by leaving out pixels, never by averaging labels.
 */

import com.google.gson.Gson
import com.google.gson.GsonBuilder
import com.google.gson.ToNumberPolicy
import groovy.transform.CompileStatic
import java.awt.image.BufferedImage
import java.nio.ByteBuffer
import java.nio.ByteOrder
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
import ome.codecs.CodecOptions
import ome.codecs.LZWCodec
import org.locationtech.jts.geom.Coordinate
import org.locationtech.jts.geom.Geometry
import org.locationtech.jts.geom.LineString
import org.locationtech.jts.geom.Polygon
import org.yaml.snakeyaml.LoaderOptions
import org.yaml.snakeyaml.Yaml
import org.yaml.snakeyaml.constructor.SafeConstructor
import qupath.lib.common.GeneralTools
import qupath.lib.gui.QuPathGUI
import qupath.lib.images.ImageData
import qupath.lib.images.servers.AbstractImageServer
import qupath.lib.images.servers.ImageChannel
import qupath.lib.images.servers.ImageServerBuilder
import qupath.lib.images.servers.ImageServerMetadata
import qupath.lib.images.servers.LabeledImageServer
import qupath.lib.images.servers.PixelType
import qupath.lib.images.writers.ome.OMEPyramidWriter
import qupath.lib.geom.Point2
import qupath.lib.objects.PathCellObject
import qupath.lib.objects.PathObject
import qupath.lib.objects.TMACoreObject
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

// ---- the run (nothing to change below) ----------------------------------------------------------

def outcome
// export_current_image.groovy runs this script for one image, and says which.
def only = binding.hasVariable('qpmaskImage') ? binding.getVariable('qpmaskImage') : null
def batchSize = binding.hasVariable('qupath.script.batchSize') ? binding.getVariable('qupath.script.batchSize') : 1
def batchIndex = binding.hasVariable('qupath.script.batchIndex') ? binding.getVariable('qupath.script.batchIndex') : 0
// Run by `QuPath script`, which loses errors of a script if it was given a project.
def isCommand = QuPathGUI.getInstance() == null &&
        Thread.currentThread().stackTrace.any { it.className == 'qupath.ScriptCommand' }
if (only == null && batchIndex > 0) {
    println 'qpmask: all images were exported with the first one.'
    return
}
try {
    def given = binding.hasVariable('args') && args != null ? args as List<String> : []
    outcome = new MaskExport(settings, classMap, given, only, { println it }).run()
} catch (MaskStop stop) {
    if (!isCommand || only != null)
        throw stop
    System.err.println("qpmask: ${stop.message}")
    System.exit(1)
}
if (isCommand && only == null && (!outcome.ok || batchSize > 1)) {
    System.out.flush()
    System.exit(outcome.ok ? 0 : 1)  // else QuPath would go on to open all other slides
}
if (!outcome.ok)
    throw new MaskStop(outcome.message)

// ---- errors in plain words ----------------------------------------------------------------------

/** Something that the user can do something about; no stack trace. */
class MaskStop extends RuntimeException {
    MaskStop(String message) {
        super(message, null, false, false)
    }
}

// ---- the export ---------------------------------------------------------------------------------

/** One run: reads the project, decides on labels, makes masks, writes the report. */
class MaskExport {
    static final String VERSION = '0.1.0.dev0'
    static final List OBJECTS = ['annotations', 'detections', 'cells', 'nuclei', 'cores', 'all-cores']
    static final List KINDS = OBJECTS - 'nuclei'  // those of cells
    static final List CORES = ['cores', 'all-cores']
    static final int MAX_LABEL = 65535
    static final String MORE_LABELS = "Where QuPath's label images end, 'qpmask export --engine native' goes on."

    final Map settings
    final Closure say
    final String only
    final File projectFile
    final File out
    final File work
    final Map project
    final Map engine
    final double downsample
    final int tilePx
    MaskClasses classes
    List<String> warnings = []
    boolean stopped = false
    boolean nothingDrawn = false

    MaskExport(Map settings, Map classMap, List<String> given, String only, Closure say) {
        this.settings = settings
        this.say = say
        this.only = only
        File file = null
        for (text in given) {
            def setting = text =~ /^(\w+)=(.*)$/
            if (text.endsWith('.qpproj'))
                file = new File(text)
            else if (file == null && projectIn(text))
                file = projectIn(text)
            else if (setting.matches() && settings.containsKey(setting.group(1)))
                settings[setting.group(1)] = setting.group(2) in ['', 'null'] ? null : setting.group(2)
            else
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
        projectFile = file.canonicalFile
        project = readProject(projectFile)
        checkSettings()
        downsample = settings.downsample as double
        tilePx = settings.tileSize as int
        def folder = new File(settings.outputFolder as String)
        out = (folder.absolute ? folder : isOpen ? new File(projectFile.parentFile, folder.path) : folder.absoluteFile)
                .toPath().normalize().toFile()
        work = new File(out, '.qpmask')
        String version = GeneralTools.getVersion().toString().replaceFirst('^v', '')
        def number = version =~ /^(\d+)\.(\d+)/
        if (!number.find())
            throw new MaskStop("This QuPath does not say its version (${version}).")
        boolean rounds = number.group(1).toInteger() > 0 || number.group(2).toInteger() >= 6
        engine = [name: 'qupath', version: version, pixel_rules: rounds ? 'qupath-0.6' : 'qupath-0.4',
                  details: [java: System.getProperty('java.version'), script: 'export_masks.groovy']]
        classes = classMap == null ? null : MaskClasses.of(classMap, 'the script')
    }

    /** The project in a folder, or null where there is none: an argument may be the folder of a project. */
    private static File projectIn(String folder) {
        def found = (new File(folder).listFiles() ?: []).findAll { it.name.endsWith('.qpproj') && it.isFile() }.sort { it.name }
        if (found.size() > 1)
            throw new MaskStop("${folder} holds several QuPath projects: ${found*.name.join(', ')}. Name the one you mean.")
        return found ? found[0] : null
    }

    private void checkSettings() {
        def wrong = { String name, String must ->
            throw new MaskStop("The setting ${name} is '${settings[name]}'; it must be ${must}.")
        }
        def number = { String name ->
            try {
                return settings[name].toString().toDouble()
            } catch (NumberFormatException ignored) {
                return wrong(name, 'a number')
            }
        }
        double tile = number('tileSize')
        if (tile != Math.rint(tile) || tile < 16 || tile > 8192 || tile % 16 != 0)
            wrong('tileSize', 'a multiple of 16 from 16 to 8192')
        settings.tileSize = tile as int
        settings.downsample = number('downsample')
        if (!(settings.downsample >= 1) || settings.downsample.isInfinite())
            wrong('downsample', '1 or more')
        if (!(settings.objects in OBJECTS))
            wrong('objects', OBJECTS.join(', '))
        if (!(settings.unknown in ['error', 'ignore']))
            wrong('unknown', "'error' or 'ignore'")
        if (settings.unclassified instanceof String && settings.unclassified ==~ /\d{1,9}/)
            settings.unclassified = settings.unclassified.toInteger()
        if (!MaskClasses.isUnclassified(settings.unclassified))
            wrong('unclassified', "null, 'ignore', 'error' or a label from 1 to ${MAX_LABEL} (${MORE_LABELS})")
        if (!(settings.order in [null, 'classes', 'area']))
            wrong('order', "'classes' or 'area'")
        settings.overwrite = settings.overwrite.toString() == 'true'
        if (!settings.outputFolder)
            wrong('outputFolder', 'a path')
    }

    /** Make all masks; returns whether all is well, and what to say if not. */
    Map run() {
        def started = Instant.now()
        def names = MaskNames.of(project.images)
        def entries = only == null ? project.images : project.images.findAll { it.id == only }
        if (!entries)
            throw new MaskStop(only == null ? "${projectFile} has no images. Add some in QuPath."
                    : "The open image is not in ${projectFile}.")
        say("qpmask: ${entries.size()} image(s) of ${projectFile} -> ${out}")
        checkOwner()
        def plans = entries.collect { entry -> [entry: entry, mask: names[entry.id], findings: []] }
        plans.each { readCounts(it) }
        decideClasses(plans)
        plans.findAll { !it.error }.each { decideImage(it) }

        def records = []
        stopped = Thread.interrupted()  // as Run > Kill running script does; files cannot be written while it is set
        def lock = lockFolder()
        try {
            plans.eachWithIndex { plan, i ->
                def where = "[${i + 1}/${plans.size()}] ${plan.entry.name}"
                def record
                if (stopped || Thread.interrupted()) {
                    stopped = true
                    record = recordFor(plan, 'interrupted', 'The run ended before this image.')
                } else {
                    record = plan.error ? recordFor(plan, 'failed', plan.error) : standing(plan)
                    if (record == null) {
                        say("${where}: ${plan.width} x ${plan.height} pixels, ${plan.drawn} object(s) ...")
                        record = make(plan)
                    }
                }
                records << record
                if (record.status == 'done')
                    record.made_again = plan.again ? plan.again.join('; ') : null
                say("${where}: ${record.status}" + (record.status == 'done' ? " in ${record.seconds} s" : '') +
                        (record.made_again ? "; made again: ${record.made_again}" : '') +
                        (record.error ? ". ${record.error}" : ''))
                (hiddenLines((record.hidden ?: [:]) as Map) + plan.findings).each { say("    note: ${it}") }
            }
            if (plans.any { it.bits == 16 })  // as measured: see examples/readers.md
                warnings << 'uint16 (labels above 255): such masks give wrong labels, without an error, in OpenSlide, SimpleITK, ITK and cuCIM.'
            nothingDrawn = plans.every { !it.drawn } && plans.any { !it.error && it.kinds }
            if (nothingDrawn)
                warnings << 'Nothing is drawn in any image, though there are objects; the masks are all background.'
            warnings += staleMasks(plans)
            warnings.each { say("note: ${it}") }
            def report = writeReport(records, started)
            table(records)
            int failed = records.count { it.status in ['failed', 'interrupted'] }
            return [ok: report.ok, message: nothingDrawn && !failed ? warnings.find { it.startsWith('Nothing is drawn') } : only == null
                    ? "${failed} of ${records.size()} image(s) failed; report.csv in ${out} says why."
                    : records[0].error]
        } finally {
            unlockFolder(lock)
        }
    }

    /** Masks of another project are not written over unless asked for: names and labels mean other things. */
    private void checkOwner() {
        if (settings.overwrite)
            return
        def images = project.images.collect { [it.id, it.name] } as Set
        def foreign = [:]
        (out.listFiles() ?: []).findAll { it.name.endsWith('.json') }.sort { it.name }.each { file ->
            def image = MaskJson.read(file)
            image = image instanceof Map ? image.image : null
            def owner = image instanceof Map ? image.project : null
            def mask = file.name[0..<-5]
            if (!(owner instanceof String) || !new File(out, mask).exists() || composed(owner) == composed(projectFile.path))
                return
            // A project that has moved is the same one.
            def other = new File(owner)
            if (other.exists() ? Files.isSameFile(other.toPath(), projectFile.toPath()) : [image.entry_id, image.name] in images)
                return
            foreign.computeIfAbsent(owner, { [] }) << mask
        }
        foreign.each { owner, masks ->
            throw new MaskStop("${out} holds ${masks.size()} mask${masks.size() == 1 ? '' : 's'} of another project, ${owner}, " +
                    "such as ${masks[0]}. Choose another folder. The setting overwrite = true goes on: masks of the same name " +
                    "are replaced, and labels follow the folder's classes.yaml.")
        }
    }

    // -- the project ------------------------------------------------------------------------------

    private static Map readProject(File file) {
        def raw = MaskJson.read(file)
        if (!(raw instanceof Map) || !(raw.images instanceof List))
            throw new MaskStop("${file} is not a QuPath project, or is damaged: it has no list of images.")
        def listed = MaskJson.read(new File(file.parentFile, 'classifiers/classes.json'))
        def classes = new LinkedHashMap<String, String>()
        def spellings = [:]
        def findings = [] as LinkedHashSet
        if (listed instanceof Map && listed.pathClasses instanceof List)
            listed.pathClasses.each { row ->
                def text = row instanceof Map && row.name instanceof String ? row.name : ''
                def name = ClassNames.form(text)
                if (name == null)
                    return
                if (ClassNames.refused(text))
                    findings << ("The project's class list has '${text}', which QuPath refuses " +
                            "(${ClassNames.refused(text)}): read as '${name}'.").toString()
                def first = spellings.computeIfAbsent(name, { text })
                if (first != text)
                    findings << "'${first}' and '${text}' of the project's class list are one class: '${name}'.".toString()
                classes[name] = row.color instanceof Long ? hex(row.color as long) : classes[name]
            }
        else if (new File(file.parentFile, 'classifiers/classes.json').isFile())
            throw new MaskStop("${file.parentFile}/classifiers/classes.json is damaged. Save the classes in QuPath again.")
        def ids = raw.images.collect { it instanceof Map && it.entryID != null ? it.entryID.toString() : null }
        if (ids.contains(null) || ids.toSet().size() != ids.size())
            throw new MaskStop("${file} is damaged: two images have one entry id, or one has none.")
        return [uri: raw.uri, classes: classes, findings: findings as List, images: raw.images.collect { readEntry(it as Map, file.parentFile) }]
    }

    private static Map readEntry(Map item, File folder) {
        def id = item.entryID as String
        // The id becomes a folder name; a hostile one must not leave the project.
        boolean isPlain = id ==~ /[\x01-\x7f&&[^\/\\:]]{1,200}/ && !(id in ['.', '..'])
        def data = new File(folder, "data/${isPlain ? id : '\ufffd'}")
        def builder = item.serverBuilder instanceof Map ? item.serverBuilder : [:]
        def metadata = builder.metadata instanceof Map ? builder.metadata : null
        metadata = metadata ?: metadataIn(MaskJson.read(new File(data, 'server.json')), 0)
        if (metadata == null && new File(data, 'data.qpdata').isFile()) {
            try {
                metadata = metadataIn(MaskJson.parse(MaskData.read(new File(data, 'data.qpdata')).server as String), 0)
            } catch (Exception ignored) {
                // said later, when its objects are read
            }
        }
        if (metadata == null) {
            def summary = MaskJson.read(new File(data, 'summary.json'))
            metadata = summary instanceof Map && summary.server instanceof Map ? summary.server : [:]
        }
        def side = { value ->
            def n = number(value)
            n != null && n == Math.rint(n) && n >= 1 && n < 2147483648d ? n as int : null
        }
        def count = { value ->
            def n = number(value)
            n != null && n >= 1 && n < 2147483648d ? n as int : 1
        }
        def sizes = ['pixelWidth', 'pixelHeight'].collect { key ->
            def part = metadata.pixelCalibration instanceof Map ? metadata.pixelCalibration[key] : null
            def value = part instanceof Map ? number(part.value) : null
            def unit = part instanceof Map && part.unit instanceof String ? part.unit.strip().toLowerCase(Locale.ROOT) : ''
            value != null && value > 0 &&
                    unit in ['\u00b5m', '\u03bcm', 'um', 'micron', 'micrometer', 'micrometre'] ? value : null
        }
        def inner = builder
        for (int i = 0; i < 32 && inner.builder instanceof Map; i++)
            inner = inner.builder
        def name = item.imageName instanceof String && item.imageName ? item.imageName : metadata.name ?: "image ${id}".toString()
        return [id: id, name: name, label: "'${name}' (entry ${id})".toString(), data: data,
                width: side(metadata.width), height: side(metadata.height),
                sizeZ: count(metadata.sizeZ), sizeT: count(metadata.sizeT),
                pixelSize: sizes.contains(null) ? null : sizes, uris: uris(builder, 0),
                frame: MaskFrame.read(builder as Map, MaskFrame.sizeIn(metadata)), provider: inner.providerClassName,
                providerArgs: inner.args instanceof List ? inner.args*.toString() : []]
    }

    private static Map metadataIn(raw, int depth) {
        if (!(raw instanceof Map) || depth > 2)
            return null
        return raw.metadata instanceof Map ? raw.metadata : metadataIn(raw.server ?: raw.builder, depth + 1)
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

    private static Double number(value) {
        return value instanceof Number && Double.isFinite(value.doubleValue()) ? value.doubleValue() : null
    }

    /** The slide on this machine: where the project says, or moved along with the project. */
    private String slide(Map entry) {
        def path = { uri ->
            try {
                return uri instanceof String ? Paths.get(new URI(uri)) : null
            } catch (Exception ignored) {
                return null
            }
        }
        for (uri in entry.uris) {
            def there = path(uri)
            if (there == null)
                continue
            def found = findPath(there)
            if (found != null)
                return found.toString()
            def old = path(project.uri)?.parent
            if (old != null && there.startsWith(old.root)) {
                def relative = Paths.get(composed(old)).relativize(Paths.get(composed(there)))
                found = findPath(projectFile.parentFile.toPath().resolve(relative))
                if (found != null)
                    return found.toString()
            }
        }
        return 'missing'
    }

    private static String composed(path) {
        return Normalizer.normalize(path.toString(), Normalizer.Form.NFC)
    }

    /** A file by its path, whose names may be composed on one system and decomposed on another; or null. */
    private static Path findPath(Path path) {
        if (Files.exists(path))
            return path
        if (path.toString() ==~ /\p{ASCII}*/ || path.fileName == null || path.parent == null)
            return null
        def folder = findPath(path.parent)
        if (folder == null)
            return null
        def exact = folder.resolve(path.fileName)
        if (Files.exists(exact))
            return exact
        return (folder.toFile().listFiles() ?: []).sort { it.name }.find { composed(it.name) == composed(path.fileName) }?.toPath()
    }

    // -- the plan ---------------------------------------------------------------------------------

    /** Count the objects of an image, so that a missing class stops the run before the first pixel. */
    private void readCounts(Map plan) {
        def entry = plan.entry
        plan.slide = slide(entry)
        plan.counts = [:]
        plan.kinds = [:]  // objects of each kind, whatever is drawn
        plan.lost = [:]   // those on planes that the image does not have, by class
        plan.colors = [:]
        try {
            if (QP.getProjectEntry()?.getID() == entry.id && QP.getProject()?.getPath()?.toFile()?.canonicalFile == projectFile &&
                    QP.getCurrentImageData()?.isChanged()) {
                def unsaved = "${entry.label} is open with changes that are not saved"
                if (only != null)
                    throw new MaskStop("${unsaved}. Save it (File > Save), then run again.")
                plan.findings << "${unsaved}; the mask shows what was saved.".toString()
            }
            def file = new File(entry.data, 'data.qpdata')
            if (!Files.exists(file.toPath(), LinkOption.NOFOLLOW_LINKS)) {
                withoutData(plan)
                return
            }
            plan.sha256 = MaskBytes.sha256(file)
            plan.cores = []
            MaskData.read(file).hierarchy.getRootObject().getDescendantObjects(null).each { object ->
                KINDS.each { kind -> if (isKind(object, kind)) plan.kinds[kind] = (plan.kinds[kind] ?: 0) + 1 }
                if (object.isTMACore() && settings.objects in CORES) {
                    def ofCore = object.getPathClass()
                    plan.cores << [name: object.getName() ?: null, missing: object.isMissing(),
                                   class: ofCore == null ? null : ClassNames.form(ofCore.toString())]
                }
                if (!isKind(object))
                    return
                def roi = object.getROI()
                def pathClass = object.getPathClass()
                def name = pathClass == null ? null : ClassNames.form(pathClass.toString())
                if (roi != null && (roi.getZ() < 0 || roi.getZ() >= entry.sizeZ || roi.getT() < 0 || roi.getT() >= entry.sizeT)) {
                    plan.lost[name] = (plan.lost[name] ?: 0) + 1
                    return
                }
                plan.counts[name] = (plan.counts[name] ?: 0) + 1
                if (name != null && pathClass.getColor() != null)
                    plan.colors.putIfAbsent(name, hex(pathClass.getColor() as long))
            }
        } catch (MaskStop stop) {
            plan.error = stop.message
        } catch (Exception error) {
            plan.error = "${entry.data}/data.qpdata of ${entry.label} cannot be read: ${error.message ?: error}.".toString()
        } finally {
            if (!plan.error && (entry.width == null || entry.height == null))
                plan.error = "The image ${entry.label} cannot be drawn: the project does not say how large it is. " +
                        'Open it in QuPath and save it.'
        }
    }

    private boolean isKind(object, kind = settings.objects) {
        switch (kind) {
            case 'annotations': return object.isAnnotation()
            case 'detections': return object.isDetection()
            case 'cores': return object.isTMACore() && !object.isMissing()
            case 'all-cores': return object.isTMACore()
            default: return object.isCell()
        }
    }

    private String getKindDrawn() {
        return settings.objects == 'nuclei' ? 'cells' : settings.objects
    }

    /** Words on objects of other kinds, where there are none of the kind that is drawn. */
    private String otherKinds(List plans) {
        def there = KINDS.collectEntries { kind -> [kind, plans.sum(0) { it.kinds[kind] ?: 0 }] }.findAll { it.value }
        if (there['all-cores'] == there['cores'])
            there.remove('all-cores')
        def words = there.collect { kind, n -> "${count(n, kind - 'all-' - ~/s$/)} (objects = '${kind}')" }
        return words ? " There are no ${kindDrawn}, but ${words.join(' and ')}." : ''
    }

    private static void withoutData(Map plan) {
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
        def summary = MaskJson.read(new File(entry.data, 'summary.json'))
        def n = summary instanceof Map && summary.hierarchy instanceof Map ? summary.hierarchy.nObjects : null
        if (n instanceof Long && n > 1)
            throw new MaskStop("The data file of ${entry.label} is gone: ${entry.data}/data.qpdata. It held " +
                    "${n - 1} objects. Restore it from a backup.")
        plan.findings << 'Nothing was ever annotated: QuPath has no data file of this image.'
    }

    /** Which class gets which label, for all images. */
    private void decideClasses(List plans) {
        def saved = new File(out, 'classes.yaml')
        if (classes == null && saved.isFile())
            classes = MaskClasses.load(saved)
        boolean follows = classes == null || classes.origin == 'project'
        warnings += project.findings
        if (follows)
            followProject(plans)

        def used = new LinkedHashMap<String, int[]>()
        plans.each { plan ->
            plan.counts.each { name, n ->
                def sum = used.computeIfAbsent(name, { new int[2] })
                sum[0] += n
                sum[1] += 1
            }
        }
        def unknown = used.keySet().findAll { it != null && !classes.find(it) && !classes.ignores(it) }.sort()
        if (unknown) {
            def text = unknown.collect { name ->
                def near = classes.nearest(name)
                "'${name}' (${objects(used[name][0])} in ${images(used[name][1])}" +
                        (near ? "; the map has ${near.collect { "'${it}'" }.join(' or ')}" : '') + ')'
            }
            text = text.take(25).join('; ') + (text.size() > 25 ? "; and ${text.size() - 25} more" : '')
            if (settings.unknown == 'error' && !follows)
                throw new MaskStop("The class map (${classes.origin}) lacks ${unknown.size()} class(es) in use: ${text}. " +
                        "Add them to the map, name them as aliases or under 'ignore', or go on without them by " +
                        "the setting unknown = 'ignore'.")
            warnings << "Not in the class map, left out: ${text}.".toString()
        }
        def ignored = used.keySet().findAll { it != null && classes.ignores(it) }.sort()
        def why = ignored.every { it.endsWith('*') } ? 'QuPath ignores classes whose name ends in *' : 'as the class map says'
        if (ignored)
            warnings << "Left out on purpose (${why}): ${ignored.collect { "'${it}' (${objects(used[it][0])})" }.join(', ')}.".toString()
        if (unclassified == 'error' && used.containsKey(null))
            throw new MaskStop("${objects(used[null][0])} in ${images(used[null][1])} have no class. Classify them in " +
                    "QuPath, or set unclassified to 'ignore' or to a label.")
        if (unclassified instanceof Number && classes.entries.any { it.label == unclassified })
            throw new MaskStop("The label ${unclassified} for unclassified objects belongs to a class already. " +
                    "Choose another, such as ${classes.maxLabel() + 1}.")
        if (used[null] && !(unclassified instanceof Number) && (unclassified != 'ignore' || used.size() == 1)) {
            def found = "${objects(used[null][0])} in ${images(used[null][1])}"
            warnings << ((used.size() == 1 ? "All objects (${found}) are without a class" : "${found} without a class left out") +
                    ": the setting unclassified = ${classes.maxLabel() + 1} draws them with that label.").toString()
        }
        if (!used) {
            def said = otherKinds(plans.findAll { !it.error })
            if (said)
                warnings << said.strip().replaceFirst(/^There are no \S+/, '$0 to draw')
        }
        boolean hasPlace = classes.row != null
        classes = classes.settled(unclassified, settings.order as String)
        if (classes.row != null && !hasPlace && classes.order == 'classes' && classes.entries && used[null])
            warnings << ("Objects without a class get the label ${classes.row.label} and are drawn first, below all classes. A row " +
                    "[label: ${classes.row.label}, unclassified: true] among the classes of the map gives them another place; the " +
                    "setting order = 'area' draws larger objects first.").toString()
    }

    /** Labels do not depend on the images that a run is about: those of all others count as well. */
    private void followProject(List plans) {
        def own = classes
        classes = projectClasses(plans, own)
        if (plans.size() == project.images.size() || (own != null && classes.entries.size() == own.entries.size()))
            return
        def failed = []
        def all = project.images.collect { entry ->
            def plan = plans.find { it.entry.id == entry.id }
            if (plan == null) {
                plan = [entry: entry, findings: []]
                readCounts(plan)
                if (plan.error)
                    failed << entry
            }
            return plan
        }
        classes = projectClasses(all, own)
        if (failed)
            warnings << ("${images(failed.size())} beside the selected ones cannot be read, such as ${failed[0].label}: classes " +
                    'that are only there get a label when they are exported.').toString()
    }

    private MaskClasses projectClasses(List plans, MaskClasses own) {
        def colors = new LinkedHashMap<String, String>(project.classes)
        plans.each { plan ->
            plan.counts.keySet().findAll { it != null }.each { if (!colors.containsKey(it)) colors[it] = plan.colors[it] }
        }
        def fresh = new MaskClasses([], ['*[*]'], null, 'project')
        def rest = colors.keySet().findAll { !project.classes.containsKey(it) }
                .sort { a, b -> Arrays.compare(a.codePoints().toArray(), b.codePoints().toArray()) }
        def wanted = ((project.classes.keySet() as List) + rest).findAll { !fresh.ignores(it) }
        def base = own == null ? fresh : own.recolored(project.classes)
        return base.extended(wanted.findAll { !base.ignores(it) }.collect { [name: it, color: colors[it]] })
    }

    private Object getUnclassified() {
        return settings.unclassified != null ? settings.unclassified : classes.row != null ? classes.row.label : classes.unclassified
    }

    /** What one mask will hold. */
    private void decideImage(Map plan) {
        def entry = plan.entry
        if (plan.counts[null] && classes.row == null)
            plan.findings << "${objects(plan.counts[null])} without a class left out.".toString()
        if (plan.lost)
            plan.findings << "${objects(plan.lost.values().sum())} on slices or time points that the image does not have.".toString()
        int missing = settings.objects == 'cores' ? plan.cores?.count { it.missing } ?: 0 : 0
        if (missing)
            plan.findings << ("${missing} TMA core${missing == 1 ? '' : 's'} marked as missing left out " +
                    "('all-cores' instead of 'cores' draws them too).").toString()
        plan.rules = []
        plan.legend = []
        classes.rows().each { row ->
            def names = row.unclassified ? [null] : [row.name, *(row.aliases ?: [])]
            names.each { plan.rules << [it, row.label] }
            plan.legend << [label: row.label, name: row.name, color: row.color,
                            objects: names.sum { plan.counts[it] ?: 0 }]
        }
        def drawn = plan.rules.collect { it[0] } as Set
        plan.drawn = plan.counts.findAll { name, n -> name in drawn }.values().sum(0)
        if (!plan.drawn)
            plan.findings << ('No objects to draw: the mask is all background.' + (plan.kinds[kindDrawn] ? '' : otherKinds([plan]))).toString()
        plan.findings.addAll(entry.frame.findings())
        if (plan.slide == 'missing')
            plan.findings << ('The slide is not ' + (!entry.uris ? 'found: the project does not say where'
                    : entry.uris[0].startsWith('file:') ? "at ${entry.uris[0]}" : "looked for: it is no file (${entry.uris[0]})") +
                    '; the mask does not need it.')
        if (downsample > Math.max(entry.width, entry.height)) {
            plan.error = "At a downsample of ${downsample} nothing is left of ${entry.label}.".toString()
            return
        }
        plan.width = Math.max(1, Math.floor(entry.width / downsample) as int)
        plan.height = Math.max(1, Math.floor(entry.height / downsample) as int)
        plan.planes = entry.sizeZ * entry.sizeT
        plan.pixelSize = entry.pixelSize?.collect { it * downsample }
        plan.bits = (plan.legend*.label.max() ?: 0) > 255 ? 16 : 8
        plan.madeFrom = [
                format: 1, pixel_rules: engine.pixel_rules, data_sha256: plan.sha256,
                image: [entry.width, entry.height, entry.sizeZ, entry.sizeT], pixel_size_um: plan.pixelSize,
                downsample: downsample, frame: entry.frame.record(1.0d).mask_to_file, tile_px: tilePx, objects: settings.objects, line_thickness: 1.0d,
                boundary_label: null, instances: null, multichannel: false, compression: 'lzw', pyramid: true,
                classes: classes.fingerprint(), rules: plan.rules]
    }

    // -- one mask ---------------------------------------------------------------------------------

    /** The record of a mask that is there and still holds, or null; plan.again says why one is made again. */
    private Map standing(Map plan) {
        def mask = new File(out, plan.mask)
        def file = new File(out, "${plan.mask}.json")
        if (!mask.exists() && !file.exists())
            return null
        def sidecar = MaskJson.read(file)
        // Through text and back, so that both sides hold the same types of numbers.
        plan.again = MaskChanges.of(sidecar, MaskJson.parse(MaskJson.text(plan.madeFrom)) as Map, plan.legend)
        if (plan.again == ['the class map'])
            plan.again = [classes.changedOrder(sidecar.made_from.classes) ?: plan.again[0]]
        if (!plan.again && settings.overwrite)
            plan.again = ['as asked (force)']
        if (!plan.again && !(sidecar.mask instanceof Map && sidecar.pixels instanceof Map))
            plan.again = ['it has no sidecar that can be read']
        if (!plan.again && !mask.isFile())
            plan.again = ['it is not there any more']
        if (!plan.again && (mask.length() != sidecar.mask.bytes || MaskBytes.sha256(mask) != sidecar.mask.sha256))
            plan.again = ['its file is not what was written']
        if (plan.again)
            return null
        def record = recordFor(plan, 'skipped', null, sidecar.pixels.collectEntries { k, v -> [(k.toInteger()): v] }, mask.length())
        if (sidecar.engine instanceof Map)
            record.engine = "${sidecar.engine.name} ${sidecar.engine.version}".toString()
        record.hidden = sidecar.hidden
        record.verified_by = sidecar.verified_by
        return record
    }

    private Map make(Map plan) {
        long began = System.nanoTime()
        def pid = ProcessHandle.current().pid()
        def scratch = new File(work, "${plan.mask}.${pid}.scratch.ome.tif")
        def part = new File(work, "${plan.mask}.${pid}.part.tif")
        def record
        try {
            record = makeMask(plan, scratch, part)
        } catch (OutOfMemoryError ignored) {
            record = recordFor(plan, 'failed', 'QuPath ran out of memory. Give it more (Edit > Preferences), or set a downsample.')
        } catch (Exception error) {
            stopped = Thread.interrupted() || error instanceof InterruptedException
            def text = error instanceof MaskStop ? error.message
                    : "The mask of ${plan.entry.label} could not be made: ${error.message ?: error.class.simpleName}"
            record = stopped ? recordFor(plan, 'interrupted', 'The run was interrupted.')
                    : recordFor(plan, 'failed', text.toString())
        } finally {
            scratch.delete()
            part.delete()
        }
        record.seconds = Math.round((System.nanoTime() - began) / 1e6d) / 1000d
        return record
    }

    private Map makeMask(Map plan, File scratch, File part) {
        def entry = plan.entry
        def file = new File(entry.data, 'data.qpdata')
        def hierarchy = plan.sha256 == null ? new PathObjectHierarchy() : MaskData.read(file).hierarchy
        ClassNames.bringToForm(hierarchy)
        draw(plan, hierarchy, scratch)
        hierarchy = null
        def metadata = new MaskXml(name: entry.name, width: plan.width, height: plan.height, bits: plan.bits,
                sizeZ: entry.sizeZ, sizeT: entry.sizeT, pixelSize: plan.pixelSize as List<Double>, legend: plan.legend,
                creator: "qpmask ${VERSION}", levels: MaskWriter.levels(plan.width, plan.height, tilePx), extra: [
                    image: entry.name, entry_id: entry.id, image_width_px: "${entry.width}", image_height_px: "${entry.height}",
                    downsample: "${downsample}", objects: settings.objects, kind: 'classes',
                    frame: MaskJson.line(entry.frame.record(downsample as double)),
                    engine: "${engine.name} ${engine.version}"])
        def writer = new MaskWriter(part, plan.width, plan.height, tilePx, plan.bits, plan.planes,
                plan.pixelSize as List<Double>, metadata.bytes(), "qpmask ${VERSION}")
        def pixels
        try {
            pixels = writer.write(new MaskScratch(scratch, plan.bits, plan.width, plan.height, tilePx, plan.planes))
        } finally {
            writer.close()
        }
        def allowed = [0, *plan.legend*.label] as Set
        def strange = pixels.keySet().find { !(it in allowed) }
        if (strange != null)
            throw new MaskStop("The mask of ${entry.label} has the label ${strange}, which is in no class. Please report this.")
        if (plan.sha256 != null && MaskBytes.sha256(file) != plan.sha256)
            throw new MaskStop("${file} of ${entry.label} changed while it was exported. Save the image, then run again.")
        plan.hidden = hidden(plan, pixels)
        def sha256 = writer.readBack()
        def record = recordFor(plan, 'done', null, pixels, part.length())
        record.engine = "${engine.name} ${engine.version}".toString()
        def mask = new File(out, plan.mask)
        Files.move(part.toPath(), mask.toPath(), StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE)
        writeText("${plan.mask}.json", MaskJson.text(sidecar(plan, record, sha256)) + '\n')
        return record
    }

    /** Classes whose objects leave no pixel, and objects on planes that are not there; `qpmask export` looks for each object. */
    private static Map hidden(Map plan, Map pixels) {
        def groups = plan.legend.findAll { it.objects && !pixels[it.label] }.collect {
            ['class_name': it.name, objects: it.objects, of: it.objects, why: 'unknown', by: [], ids: []]
        }
        groups += plan.lost.findAll { name, n -> plan.rules.any { it[0] == name } }.collect { name, n ->
            ['class_name': name ?: 'Unclassified', objects: n, of: n, why: 'plane', by: [], ids: []]
        }
        return [groups: groups, covered: [], all_background: plan.drawn > 0 && pixels.keySet().every { it == 0 },
                counted: 'labels', objects: groups.sum(0) { it.objects }]
    }

    private static List<String> hiddenLines(Map hidden) {
        def lines = (hidden?.groups ?: []).collect {
            "${it.class_name}: ${objects(it.objects as int)}, no pixel left: " + (it.why == 'plane'
                    ? 'on a slice or time point that the image does not have'
                    : 'covered by others, outside the image, or thinner than a pixel')
        }
        if (hidden?.all_background)
            lines = ['The mask is all background, though there are objects to draw'] + lines
        return lines*.toString()
    }

    /** QuPath draws level 0 of a label image into a scratch file. The slide itself is not opened. */
    private void draw(Map plan, PathObjectHierarchy hierarchy, File scratch) {
        def entry = plan.entry
        def metadata = new ImageServerMetadata.Builder().width(entry.width).height(entry.height)
                .sizeZ(entry.sizeZ).sizeT(entry.sizeT).name(entry.name).pixelType(PixelType.UINT8)
                .channels(ImageChannel.getDefaultChannelList(1)).preferredTileSize(tilePx, tilePx).build()
        def imageData = new ImageData<BufferedImage>(new MaskSlide(metadata), hierarchy, ImageData.ImageType.OTHER)
        def builder = new LabeledImageServer.Builder(imageData).downsample(downsample).tileSize(tilePx).lineThickness(1f)
        switch (settings.objects) {
            case 'annotations': builder.useAnnotations(); break
            case 'detections': builder.useDetections(); break
            case 'cells': builder.useCells(); break
            case CORES: builder.useFilter { isKind(it) }; break
            default: builder.useCellNuclei()
        }
        def rules = plan.rules
        if (classes.order == 'area') {
            MaskOrder.layered(hierarchy, rules, settings.objects as String, entry.width as int, entry.height as int,
                    4d * downsample).each { pathClass, label -> builder.addLabel(pathClass, label) }
            rules = []
        }
        rules.each { name, label ->
            if (name == null)
                builder.addUnclassifiedLabel(label as int)
            else
                builder.addLabel(name as String, label as int)
        }
        def server = builder.build()
        try {
            if (server.getWidth() != plan.width || server.getHeight() != plan.height) {
                def level = server.getMetadata().getLevel(0)
                if (level.getWidth() != plan.width || level.getHeight() != plan.height)
                    throw new MaskStop("QuPath would draw ${entry.label} at ${level.getWidth()} x ${level.getHeight()} " +
                            "pixels instead of ${plan.width} x ${plan.height}. Please report this with the QuPath version.")
            }
            new OMEPyramidWriter.Builder(server).tileSize(tilePx).bigTiff(true)
                    .compression(OMEPyramidWriter.CompressionType.LZW)
                    .parallelize(Runtime.runtime.availableProcessors()).build().writeSeries(scratch.path)
        } finally {
            server.close()
            if (imageData.metaClass.respondsTo(imageData, 'close'))  // QuPath 0.6 and later
                imageData.close()
        }
    }

    // -- records ----------------------------------------------------------------------------------

    private Map recordFor(Map plan, String status, String error, Map pixels = null, Long bytes = null) {
        boolean ok = pixels != null
        def entry = plan.entry
        return [entry_id: entry.id, image: entry.name, status: status, mask: ok ? plan.mask : null,
                width_px: ok ? plan.width : null, height_px: ok ? plan.height : null, downsample: ok ? downsample : null,
                pixel_width_um: ok ? plan.pixelSize?.get(0) : null, pixel_height_um: ok ? plan.pixelSize?.get(1) : null,
                dtype: ok ? "uint${plan.bits}".toString() : null, planes: ok ? plan.planes : null,
                pixels: (pixels ?: [:]).collectEntries { k, v -> [(k.toString()): v] },
                labelled: ok ? labelled(pixels) : null, objects: ok ? plan.drawn : null,
                seconds: 0.0d, bytes: bytes, engine: null, verified_by: null,
                made_again: null, slide: plan.slide, error: error,
                error_type: status == 'failed' ? 'QpmaskError' : null, hidden: ok ? plan.hidden : null,
                warnings: plan.findings*.toString()]
    }

    /** Share of the pixels that have a label. */
    private static double labelled(Map pixels) {
        long background = (pixels[0] ?: 0L) as long
        long all = pixels.values().sum(0L) as long
        return 1d - (double) background / (double) Math.max(1L, all)
    }

    private Map sidecar(Map plan, Map record, String sha256) {
        def entry = plan.entry
        def areaMm2 = plan.pixelSize == null ? null : plan.pixelSize[0] * plan.pixelSize[1] / 1e6d
        return [qpmask: VERSION, kind: 'classes',
                mask: [file: plan.mask, bytes: record.bytes, sha256: sha256, width_px: plan.width, height_px: plan.height,
                       dtype: record.dtype, channels: 1, z_slices: entry.sizeZ, time_points: entry.sizeT,
                       levels: MaskWriter.levels(plan.width, plan.height, tilePx).size(), downsample: downsample,
                       pixel_width_um: record.pixel_width_um, pixel_height_um: record.pixel_height_um],
                image: [name: entry.name, entry_id: entry.id, width_px: entry.width, height_px: entry.height,
                        uris: entry.uris, slide: plan.slide, provider: entry.provider, provider_args: entry.providerArgs,
                        project: projectFile.path],
                frame: entry.frame.record(downsample as double),
                classes: plan.legend.collect { row ->
                    def n = record.pixels["${row.label}".toString()] ?: 0
                    [label: row.label, name: row.name, color: row.color, objects: row.objects, pixels: n,
                     area_mm2: areaMm2 == null ? null : n * areaMm2]
                },
                cores: cores(plan), pixels: record.pixels, labelled: record.labelled, objects_drawn: plan.drawn,
                instances: null, engine: engine, verified_by: null,
                hidden: record.hidden, warnings: record.warnings, made_from: plan.madeFrom]
    }

    /** The TMA cores of an image, drawn or not; null where other objects are drawn. */
    private List cores(Map plan) {
        if (!(settings.objects in CORES))
            return null
        return (plan.cores ?: []).collect { core ->
            def rule = plan.rules.find { it[0] == core.class }
            core + [label: rule == null || core.missing && settings.objects == 'cores' ? null : rule[1]]
        }
    }

    private Map writeReport(List records, Instant started) {
        def all = records
        if (only != null) {
            // One image of many: keep what the report says about the others.
            def old = MaskJson.read(new File(out, 'report.json'))
            def ids = project.images*.id
            if (old instanceof Map && old.project == projectFile.path && old.images instanceof List)
                all = (old.images.findAll { it instanceof Map && it.entry_id != only && it.entry_id in ids } + records)
                        .sort { ids.indexOf(it.entry_id) }
        }
        def interrupted = records.any { it.status == 'interrupted' }
        def data = [qpmask: VERSION, project: projectFile.path, output: out.path, engine: engine,
                    engine_reason: 'run inside QuPath',
                    started: DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ssxxx").format(started.atOffset(ZoneOffset.UTC)),
                    seconds: Math.round((Instant.now().toEpochMilli() - started.toEpochMilli()) / 10d) / 100d,
                    ok: !interrupted && !nothingDrawn && records.every { it.status in ['done', 'skipped'] },
                    interrupted: interrupted, nothing_drawn: nothingDrawn,
                    options: [render: [objects: settings.objects, downsample: downsample, mpp: null, tile_px: tilePx,
                                       line_thickness: 1.0d, boundary_label: null, instances: false, multichannel: false,
                                       order: settings.order],
                              file: [compression: 'lzw', pyramid: true], images: only == null ? [] : [only],
                              unknown: settings.unknown, unclassified: settings.unclassified, hidden: 'warn', slides: [],
                              use_backup: false, engine: 'qupath', force: settings.overwrite, workers: 1, jvm_memory: null],
                    classes: classes.asMap(true), warnings: warnings, images: all.collect { withoutIds(it) }]
        def columns = ['entry_id', 'image', 'status', 'mask', 'width_px', 'height_px', 'downsample', 'pixel_width_um',
                       'pixel_height_um', 'dtype', 'planes', 'objects', 'hidden', 'seconds', 'bytes', 'made_again',
                       'slide', 'error',
                       'warnings']
        def lines = [columns] + all.collect { record ->
            columns.collect { name ->
                def value = record[name]
                name == 'warnings' ? (hiddenLines((record.hidden ?: [:]) as Map) + (value ?: [])).join(' | ')
                        : name == 'hidden' ? value?.objects
                        : name == 'seconds' ? String.format(Locale.ROOT, '%.2f', (value ?: 0) as double) : value
            }
        }
        writeText('classes.yaml', classes.toYaml())
        writeText('report.csv', lines.collect { row -> row.collect { csv(it) }.join(',') + '\n' }.join(''))
        writeText('areas.csv', areaTable(all).collect { row -> row.collect { csv(it) }.join(',') + '\n' }.join(''))
        writeText('report.json', MaskJson.text(data) + '\n')
        return data
    }

    /** A record without the ids of objects, which are in the sidecar. */
    private static Map withoutIds(Map record) {
        if (!(record.hidden instanceof Map))
            return record
        return record + [hidden: record.hidden + [groups: record.hidden.groups.collect { it.findAll { k, v -> k != 'ids' } }]]
    }

    /** Area and pixels of each class (columns) in each image (rows), from the sidecars. */
    private List<List> areaTable(List records) {
        def found = records.findAll { it.status in ['done', 'skipped'] && it.mask }.findResults { record ->
            def sidecar = MaskJson.read(new File(out, record.mask + '.json'))
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
            new BigDecimal(area).round(new java.math.MathContext(9)).stripTrailingZeros().toPlainString()
        }
        return [['entry_id', 'image', 'mask'] + names.collect { "${it} (mm2)" } + names.collect { "${it} (px)" }] +
                found.collect { record, pixels ->
                    [record.entry_id, record.image, record.mask] + names.collect { mm2(record, pixels[it]) } +
                            names.collect { pixels[it] }
                }
    }

    private static String csv(value) {
        def text = value == null ? '' : value.toString()
        return text =~ /[",\r\n]/ ? '"' + text.replace('"', '""') + '"' : text
    }

    private void table(List records) {
        def rows = [['image', 'status', 'size', 'objects', 'seconds']] + records.collect {
            [it.image.toString().take(50), it.status, it.width_px ? "${it.width_px} x ${it.height_px}".toString() : '-',
             "${it.objects == null ? '-' : it.objects}".toString(), String.format(Locale.ROOT, '%.2f', it.seconds as double)]
        }
        def widths = (0..4).collect { i -> rows.collect { it[i].length() }.max() }
        say(rows.collect { row -> (0..4).collect { i -> row[i].padRight(widths[i]) }.join('  ').stripTrailing() }.join('\n'))
        say("qpmask: ${records.count { it.status == 'done' }} done, ${records.count { it.status == 'skipped' }} skipped, " +
                "${records.count { !(it.status in ['done', 'skipped']) }} failed. Masks and report.csv are in ${out}")
    }

    private List<String> staleMasks(List plans) {
        def mine = plans*.mask as Set
        def other = (out.listFiles() ?: []).findAll { it.name.endsWith('.json') }.sort { it.name }.findResults { file ->
            def made = MaskJson.read(file)
            made = made instanceof Map ? made.made_from : null
            def mask = file.name[0..<-5]
            made instanceof Map && !(mask in mine) && made.classes != classes.fingerprint() ? mask : null
        }
        if (!other)
            return []
        def more = other.size() > 3 ? " and ${other.size() - 3} more" : ''
        return ["The folder also holds ${other.size()} mask(s) made with another class map: ${other.take(3).join(', ')}${more}. " +
                'Their labels may mean something else; export them again or use another folder.'].collect { it.toString() }
    }

    // -- the output folder ------------------------------------------------------------------------

    /** One run at a time, of this script or of qpmask. What a killed run left is removed. */
    private List lockFolder() {
        def busy = "Another run of qpmask is writing to ${out}. Wait for it to end, or choose another folder."
        FileChannel channel = null
        def lock
        try {
            Files.createDirectories(work.toPath())
            def file = work.toPath().resolve('lock')
            channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE)
            lock = channel.tryLock()
            // On Linux, Python's lock is of a kind that Java's knows nothing of.
            def locks = new File('/proc/locks')
            if (locks.canRead() && !isAlone(locks, Files.getAttribute(file, 'unix:ino') as String))
                lock = null
        } catch (OverlappingFileLockException ignored) {
            lock = null
        } catch (IOException error) {
            channel?.close()
            throw new MaskStop("The output folder ${out} cannot be written: ${error.message}. Check the path and its permissions.")
        }
        if (lock == null) {
            channel?.close()
            throw new MaskStop(busy)
        }
        work.listFiles().each { if (it.name != 'lock') it.delete() }
        return [channel, lock]
    }

    private static boolean isAlone(File locks, String inode) {
        return !locks.readLines().any { it.contains(' FLOCK ') && it =~ /:${inode} / }
    }

    private void unlockFolder(List lock) {
        lock[1].release()
        lock[0].close()
        (work.listFiles() ?: []).each { it.delete() }
        work.delete()
    }

    private void writeText(String name, String text) {
        def made = work.toPath().resolve("${name}.part")
        FileChannel.open(made, StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING)
                .withCloseable { channel ->
                    channel.write(ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8)))
                    channel.force(true)
                }
        Files.move(made, out.toPath().resolve(name), StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE)
    }

    static String hex(long argb) {
        return String.format('#%06x', argb & 0xffffffL)
    }

    static String objects(int n) {
        return count(n, 'object')
    }

    static String images(int n) {
        return count(n, 'image')
    }

    /** As Python says it: 1 object, 2,000 objects. */
    static String count(int n, String what) {
        return String.format(Locale.ROOT, '%,d %s%s', n, what, n == 1 ? '' : 's')
    }
}

// ---- classes ------------------------------------------------------------------------------------

/** Labels for class names, in the order of drawing. The same as qpmask's class map, to its hash. */
class MaskClasses {
    static final String FOLLOWS = "# The map follows the project: new classes come at the end, colours are QuPath's. Without " +
            "the line\n# 'origin: project' it stays as it is, and a class that it lacks stops the run."
    final List<Map> entries
    final List<String> ignore
    final Object unclassified
    final String origin
    final Map row       // of objects without a class: label, name, color, place (classes drawn before them); or null
    final String order  // classes or area
    private final Map<String, Map> byName = [:]
    private final Map<String, String> spellings = [:]

    MaskClasses(List<Map> entries, List<String> ignore, unclassified, String origin, Map row = null,
                String order = 'classes') {
        this.entries = entries
        this.ignore = ignore.collect { ClassNames.pattern(it) }
        this.unclassified = unclassified
        this.origin = origin
        this.row = row
        this.order = order
        def labels = [:]
        def check = { Map it ->
            if (!(it.label instanceof Integer) || it.label < 1 || it.label > MaskExport.MAX_LABEL)
                throw new MaskStop("The class '${it.name}' has the label ${it.label}; labels are whole numbers from 1 to " +
                        "${MaskExport.MAX_LABEL}, and 0 is the background. ${MaskExport.MORE_LABELS}")
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

    /** The map as a run uses it: what becomes of objects without a class, and the order, are in it. */
    MaskClasses settled(choice, String chosenOrder) {
        def last = chosenOrder ?: order
        if (!(choice instanceof Number))
            return new MaskClasses(entries, ignore, choice, origin, null, last)
        def mine = (row ?: [name: 'Unclassified', place: 0]) + [label: choice as int]
        return new MaskClasses(entries, ignore, null, origin, mine, last)
    }

    static MaskClasses of(Map raw, String source) {
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
        return new MaskClasses(made, (ignore instanceof List ? ignore : [ignore])*.toString(), raw.unclassified,
                (raw.origin ?: source).toString(), lowest, (raw.order ?: 'classes').toString())
    }

    /** Reads classes.yaml of an output folder. */
    static MaskClasses load(File file) {
        def raw
        try {
            raw = new Yaml(new SafeConstructor(new LoaderOptions())).load(file.getText('UTF-8'))
        } catch (Exception error) {
            throw new MaskStop("The class map ${file} cannot be read: ${error.message}")
        }
        if (!(raw instanceof Map))
            throw new MaskStop("${file} holds no class map. Remove it, or restore it.")
        return of(raw, file.path)
    }

    static boolean isUnclassified(value) {
        return value == null || value in ['ignore', 'error'] ||
                (value instanceof Integer && value >= 1 && value <= MaskExport.MAX_LABEL)
    }

    Map find(String name) {
        return byName[ClassNames.form(name)]
    }

    boolean ignores(String name) {
        return !byName.containsKey(name) && ignore.any { name ==~ pattern(it) }
    }

    /** A file name pattern (* ? [abc] [!abc]) as a regular expression. */
    private static String pattern(String glob) {
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
                text << java.util.regex.Pattern.quote(c)
            }
        }
        return text
    }

    int maxLabel() {
        return rows()*.label.max() ?: 0
    }

    MaskClasses extended(List<Map> more) {
        def all = new ArrayList(entries)
        int label = maxLabel()
        more.each {
            if (!byName.containsKey(it.name))
                all << ([label: ++label, name: it.name] + (it.color ? [color: it.color] : [:]))
        }
        return new MaskClasses(all, ignore, unclassified, origin, row, order)
    }

    /** The map with the colours of the project's class list. */
    MaskClasses recolored(Map<String, String> colors) {
        return new MaskClasses(entries.collect { it + (colors[it.name] ? [color: colors[it.name]] : [:]) }, ignore,
                unclassified, origin, row, order)
    }

    /** Names of the map that look like this one. */
    List<String> nearest(String name) {
        def ranked = byName.keySet().collect { [it, distance(it.toLowerCase(Locale.ROOT), name.toLowerCase(Locale.ROOT))] }
        return ranked.findAll { it[1] <= Math.max(1, name.length().intdiv(3)) }.sort { it[1] }.take(3).collect { it[0] }
    }

    private static int distance(String a, String b) {
        def row = (0..b.length()).toList()
        a.eachWithIndex { c, i ->
            int diagonal = row[0]
            row[0] = i + 1
            for (int j = 0; j < b.length(); j++) {
                int best = [row[j + 1] + 1, row[j] + 1, diagonal + (c == b[j] ? 0 : 1)].min()
                diagonal = row[j + 1]
                row[j + 1] = best
            }
        }
        return row[b.length()]
    }

    Map asMap(boolean withOrigin) {
        def map = withOrigin ? [origin: origin] : [:]
        map.classes = rows().collect {
            [label: it.label, name: it.name] + (it.unclassified ? [unclassified: true] : [:]) +
                    (it.color ? [color: it.color] : [:]) + (it.aliases ? [aliases: it.aliases] : [:])
        }
        map.ignore = ignore
        if (unclassified != null && row == null)
            map.unclassified = unclassified
        if (order != 'classes')
            map.order = order
        return map
    }

    /** qpmask's hash of a class map: of its JSON with sorted keys, in ASCII. */
    String fingerprint() {
        return MaskBytes.sha256(sorted(asMap(false))).take(16)
    }

    /** Words for an earlier map that differs by what covers what, and by nothing else; or null. */
    String changedOrder(earlier) {
        def was = (['classes', 'area'] - order).find { new MaskClasses(entries, ignore, unclassified, origin, row, it).fingerprint() == earlier }
        return was ? "order ${was} -> ${order}" : null
    }

    private static String sorted(value) {
        if (value instanceof Map)
            return '{' + value.keySet().sort().collect { "${MaskJson.quoted(it, true)}: ${sorted(value[it])}" }.join(', ') + '}'
        if (value instanceof List)
            return '[' + value.collect { sorted(it) }.join(', ') + ']'
        return value instanceof Number || value instanceof Boolean ? value.toString() : MaskJson.quoted(value.toString(), true)
    }

    String toYaml() {
        def quoted = { String text ->
            MaskJson.quoted(text, false).replaceAll('[\\x7f-\\x9f\\u2028\\u2029\\ufeff\\ud800-\\udfff]') { String c ->
                String.format('\\u%04x', (int) c.charAt(0))
            }
        }
        def lines = ['# Class map of qpmask. Label 0 is the background.',
                     '# Classes are drawn in this order: a later one covers an earlier one.',
                     *(origin == 'project' ? [FOLLOWS] : []),
                     "origin: ${quoted(origin)}", rows() ? 'classes:' : 'classes: []']
        rows().each {
            lines << "  - {label: ${it.label}, name: ${quoted(it.name)}" + (it.unclassified ? ', unclassified: true' : '') +
                    (it.color ? ", color: \"${it.color}\"" : '') +
                    (it.aliases ? ", aliases: [${it.aliases.collect { name -> quoted(name) }.join(', ')}]" : '') + '}'
        }
        lines << '# Classes to leave out; QuPath itself ignores names that end in an asterisk.'
        lines << "ignore: [${ignore.collect { quoted(it) }.join(', ')}]"
        if (row == null) {
            lines << '# Objects without a class: ignore, error, or a label; a row'
            lines << '# {label: LABEL, unclassified: true} gives them a place in the order.'
            lines << (unclassified == null ? '# unclassified: ignore' : "unclassified: ${unclassified}")
        }
        lines << '# Drawn first to last: classes (as above) or area (larger objects first).'
        lines << (order == 'classes' ? '# order: area' : "order: ${order}")
        return lines.join('\n') + '\n'
    }
}

/** Drawing by area: larger objects first, whatever their class. As qpmask.engines.drawn, to the last bit. */
@CompileStatic
class MaskOrder {
    static final int CELLS = 1024

    /**
     * Give each object that is drawn a class that says its layer and its label; QuPath draws class after class.
     * Objects of one layer do not overlap or have one label. Returns the classes with their labels, in order.
     */
    static Map<PathClass, Integer> layered(PathObjectHierarchy hierarchy, List rules, String kind, int width, int height,
                                           double margin) {
        Map<String, Integer> places = [:]
        Map<String, Integer> labels = [:]
        rules.eachWithIndex { Object rule, int place ->
            List pair = (List) rule
            places.put((String) pair[0], place)  // the name may be null, which Groovy 5 takes for no key in []
            labels.put((String) pair[0], (Integer) pair[1])
        }
        List<PathObject> objects = []
        List<long[]> keys = []  // area, place of the class, position in the file
        List<Integer> drawn = []
        List<ROI> rois = []
        hierarchy.getRootObject().getDescendantObjects(null).each { PathObject object ->
            boolean wanted = kind == 'annotations' ? object.isAnnotation() : kind == 'detections' ? object.isDetection()
                    : kind == 'cores' ? object instanceof TMACoreObject && !object.isMissing()
                    : kind == 'all-cores' ? object.isTMACore() : object.isCell()
            PathClass pathClass = object.getPathClass()
            String name = pathClass == null || pathClass == PathClass.NULL_CLASS ? null : pathClass.toString()
            ROI roi = object.getROI()
            if (kind == 'nuclei' && ((PathCellObject) (wanted ? object : null))?.getNucleusROI() != null)
                roi = ((PathCellObject) object).getNucleusROI()
            object.resetPathClass()
            if (!wanted || roi == null || !labels.containsKey(name))
                return
            keys << ([twiceArea(roi), places.get(name) as long, objects.size() as long] as long[])
            objects << object
            drawn << labels.get(name)
            rois << roi
        }
        keys.sort { long[] a, long[] b -> b[0] <=> a[0] ?: a[1] <=> b[1] ?: a[2] <=> b[2] }
        double cell = Math.max(1d, Math.max(width, height) / (double) CELLS)
        int columns = (int) Math.floor(width / cell) + 1
        int rows = (int) Math.floor(height / cell) + 1
        int[] top = new int[rows * columns]
        int[] labelOnTop = new int[rows * columns]
        Arrays.fill(top, -1)
        Arrays.fill(labelOnTop, -1)
        TreeMap<Integer, TreeSet<Integer>> found = new TreeMap<>()
        int[] layers = new int[objects.size()]
        for (long[] key : keys) {
            int at = (int) key[2]
            ROI roi = rois[at]
            int label = drawn[at]
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
            found.computeIfAbsent(layer, { new TreeSet<Integer>() }).add(label)
        }
        Map<PathClass, Integer> classes = new LinkedHashMap<>()
        found.each { Integer layer, TreeSet<Integer> there ->
            there.each { Integer label -> classes[made(layer, label)] = label }
        }
        for (int at = 0; at < objects.size(); at++)
            objects[at].setPathClass(made(layers[at], drawn[at]))
        return classes
    }

    private static PathClass made(int layer, int label) {
        return PathClass.fromString("qpmask layer ${layer} label ${label}".toString())
    }

    private static int clip(double value, int size) {
        return (int) Math.max(0d, Math.min((double) size - 1, Math.floor(value)))
    }

    /** Twice the area in steps of (1/100 pixel)^2, in whole numbers; 0 for lines and points. */
    static long twiceArea(ROI roi) {
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

/** Class names in QuPath's one form: split at colons, white space off each part. As qpmask.classnames. */
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

    /** Gives objects the classes that labels are given to: data files may hold them by other names. */
    static void bringToForm(PathObjectHierarchy hierarchy) {
        def known = new IdentityHashMap()
        hierarchy.getRootObject().getDescendantObjects(null).each { object ->
            def found = object.getPathClass()
            if (found == null || found.is(PathClass.NULL_CLASS))
                return
            if (!known.containsKey(found)) {
                def name = form(found.toString())
                known[found] = name == null ? null : PathClass.fromString(name)
            }
            if (!found.is(known[found]))
                object.setPathClass(known[found])
        }
    }
}

/** What changed since a mask was made, in the words of qpmask's plan.standing. */
class MaskChanges {
    static final Map WORDS = [tile_px: 'tile size', image: 'size of the image', pixel_size_um: 'pixel size in \u00b5m',
                              boundary_label: 'label of outlines']

    static List<String> of(sidecar, Map now, List<Map> legend) {
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
        if (!(old instanceof List) || old.any { !(it instanceof List) || it.size() < 2 })
            return []
        def before = old.collectEntries { [(it[0]): it[1]] }
        def after = now.collectEntries { [(it[0]): it[1]] }
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
                name += '_id' + (id.getBytes(StandardCharsets.UTF_8).length <= 24 ? id : MaskBytes.sha256(id).take(12))
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
            def whole = MaskBytes.sha256(text)
            text = new String(raw, 0, end, StandardCharsets.UTF_8).replaceAll(/[ .]+$/, '') + '_' + whole.take(8)
        }
        return !text || text ==~ /(?is)(con|prn|aux|nul|com\d|lpt\d)(\..*)?/ ? "_${text}".toString() : text
    }

    static String folded(String text) {
        return Normalizer.normalize(text, Normalizer.Form.NFKC).toUpperCase(Locale.ROOT).toLowerCase(Locale.ROOT)
    }
}

// ---- frames -------------------------------------------------------------------------------------

/**
 * Where an image lies in its file: the chain of servers that QuPath wraps around it, as a matrix a to f
 * from pixels of the image to those of the file, (a x + b y + c, d x + e y + f). Builders that are not
 * known here give none. The same as qpmask/serverchain.py, number by number.
 */
class MaskFrame {
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

    static MaskFrame read(Map builder, List<Integer> size) {
        def frame = new MaskFrame(size: size)
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

// ---- files --------------------------------------------------------------------------------------

/** JSON as Python reads and writes it: 1 is a whole number, 1.0 is not. */
class MaskJson {
    private static final Gson GSON = new GsonBuilder().setObjectToNumberStrategy(ToNumberPolicy.LONG_OR_DOUBLE)
            .setPrettyPrinting().serializeNulls().disableHtmlEscaping().create()

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
        return new GsonBuilder().serializeNulls().disableHtmlEscaping().create().toJson(data)
    }

    static String quoted(String text, boolean ascii) {
        def out = new StringBuilder('"')
        text.each { c ->
            int code = (int) c.charAt(0)
            def plain = ['"': '\\"', '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t', '\b': '\\b', '\f': '\\f'][c]
            out << (plain ?: code < 32 || (ascii && code > 126) ? plain ?: String.format('\\u%04x', code) : c)
        }
        return out.append('"')
    }
}

/** The data file of an image, read from its first line to its last. */
class MaskData {
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

/** A slide of which only the size is known: a label image needs no more. */
class MaskSlide extends AbstractImageServer<BufferedImage> {
    private final ImageServerMetadata metadata

    MaskSlide(ImageServerMetadata metadata) {
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

@CompileStatic
class MaskBytes {
    static String sha256(File file) {
        MessageDigest digest = MessageDigest.getInstance('SHA-256')
        byte[] block = new byte[1 << 20]
        new FileInputStream(file).withCloseable { FileInputStream stream ->
            int n
            while ((n = stream.read(block)) > 0)
                digest.update(block, 0, n)
        }
        return hex(digest.digest())
    }

    static String sha256(String text) {
        return hex(MessageDigest.getInstance('SHA-256').digest(text.getBytes(StandardCharsets.UTF_8)))
    }

    static String hex(byte[] bytes) {
        return new BigInteger(1, bytes).toString(16).padLeft(2 * bytes.length, '0')
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

    byte[] bytes() {
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
        return lines.join('\n').getBytes(StandardCharsets.UTF_8)
    }

    private static String classText(Map row) {
        def text = "{\"name\": ${MaskJson.quoted(row.name.toString(), false)}" + (row.color ? ", \"color\": \"${row.color}\"}" : '}')
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

// ---- TIFF ---------------------------------------------------------------------------------------

/** The BigTIFF that OMEPyramidWriter wrote: where its tiles are. A lost tile is an error. */
@CompileStatic
class MaskScratch {
    final FileChannel channel
    final ByteOrder order
    private final List<long[]> offsets = []
    private final List<long[]> lengths = []

    MaskScratch(File file, int bits, int width, int height, int tile, int planes) {
        channel = FileChannel.open(file.toPath(), StandardOpenOption.READ)
        try {
            ByteBuffer header = read(0L, 16)
            order = header.get(0) == (byte) 0x4d ? ByteOrder.BIG_ENDIAN : ByteOrder.LITTLE_ENDIAN
            header.order(order)
            if (header.getShort(2) != (short) 43)
                throw new MaskStop("QuPath's file ${file} is no BigTIFF. Please report this with the QuPath version.")
            int nTiles = MaskWriter.ceil(width, tile) * MaskWriter.ceil(height, tile)
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

/** A tile, cropped to the image: one label, or pixels row by row. */
@CompileStatic
class MaskTile {
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
class MaskWriter {
    private final RandomAccessFile file
    private final File path
    private final int tile, bits, planes
    private final List<int[]> sizes
    private final List<Double> pixelSize
    private final byte[] description
    private final String software
    private final long[][][] places  // by plane and level: offset and length of each tile
    private final Map<String, long[]> segments = new ConcurrentHashMap<>()
    private final Map<String, Integer> constants = new ConcurrentHashMap<>()
    private final Map<Integer, long[]> constantPlaces = new ConcurrentHashMap<>()
    private final AtomicLongArray counts = new AtomicLongArray(65536)
    private byte[] front
    private long end

    MaskWriter(File path, int width, int height, int tile, int bits, int planes, List<Double> pixelSize,
               byte[] description, String software) {
        this.path = path
        this.tile = tile
        this.bits = bits
        this.planes = planes
        this.pixelSize = pixelSize
        this.description = description
        this.software = software
        sizes = levels(width, height, tile)
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
    Map<Integer, Long> write(MaskScratch scratch) {
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
    private MaskTile build(MaskScratch scratch, int plane, int level, int row, int column) {
        int width = Math.min(tile, sizes[level][0] - column * tile)
        int height = Math.min(tile, sizes[level][1] - row * tile)
        if (level == 0)
            return base(scratch, plane, row, column, width, height)
        MaskTile[] parts = new MaskTile[4]
        List<Integer> quarters = [0, 1, 2, 3].findAll { int i ->
            2 * row + (i >> 1) < rows(level - 1) && 2 * column + (i & 1) < columns(level - 1)
        }
        quarters.parallelStream().forEach { Integer i ->
            parts[i] = build(scratch, plane, level - 1, 2 * row + (i >> 1), 2 * column + (i & 1))
        }
        MaskTile made = new MaskTile(width: width, height: height)
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
    private MaskTile base(MaskScratch scratch, int plane, int row, int column, int width, int height) {
        byte[] data = scratch.tile(plane, row * columns(0) + column)
        String key = digest(data)
        MaskTile made = new MaskTile(width: width, height: height)
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

    private byte[] encoded(MaskTile part) {
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
            known = segment(encoded(new MaskTile(label: label)))
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
        return MaskBytes.hex(MessageDigest.getInstance('SHA-256').digest(data))
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
        return MaskBytes.sha256(path)
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
        tags[305] = text(software.getBytes('US-ASCII'))
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
