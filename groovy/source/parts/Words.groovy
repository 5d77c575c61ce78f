/** Numbers and names in sentences, as Python says them: 1 object, 2,000 objects. */
class Words {
    static String objects(Number n) {
        return count(n, 'object')
    }

    static String images(Number n) {
        return count(n, 'image')
    }

    static String count(Number n, String what) {
        return String.format(Locale.ROOT, '%,d %s%s', n, what, n == 1 ? '' : 's')
    }

    static String quoted(Collection names, String by) {
        return names.collect { "'${it}'" }.join(by)
    }

    /** A colour as QuPath keeps it, as '#c80000'. */
    static String color(Number argb) {
        return String.format('#%06x', argb.longValue() & 0xffffffL)
    }

    /** A field of a CSV file. */
    static String csv(value) {
        def text = value == null ? '' : value.toString()
        return text =~ /[",\r\n]/ ? '"' + text.replace('"', '""') + '"' : text
    }
}
