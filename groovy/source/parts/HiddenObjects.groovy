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
