import java.util.regex.Pattern

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
