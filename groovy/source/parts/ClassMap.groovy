import org.apache.commons.text.similarity.LevenshteinDistance

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
