import qupath.lib.objects.PathObject
import qupath.lib.objects.classes.PathClass
import qupath.lib.objects.hierarchy.PathObjectHierarchy
import qupath.lib.projects.Project

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
