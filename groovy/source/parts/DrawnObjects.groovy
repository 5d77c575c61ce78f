import groovy.transform.CompileStatic
import qupath.lib.objects.PathObject
import qupath.lib.objects.PathObjectTools
import qupath.lib.objects.classes.PathClass
import qupath.lib.objects.hierarchy.PathObjectHierarchy
import qupath.lib.roi.interfaces.ROI

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
