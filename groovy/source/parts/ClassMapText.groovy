import org.yaml.snakeyaml.LoaderOptions
import org.yaml.snakeyaml.Yaml
import org.yaml.snakeyaml.constructor.SafeConstructor

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
