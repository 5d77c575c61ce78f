import java.nio.file.Files
import java.nio.file.LinkOption
import qupath.lib.scripting.QP

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
