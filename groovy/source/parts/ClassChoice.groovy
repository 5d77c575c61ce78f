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
