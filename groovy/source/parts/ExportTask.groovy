import qupath.lib.common.GeneralTools
import qupath.lib.scripting.QP

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
