import com.google.gson.Gson
import com.google.gson.GsonBuilder
import com.google.gson.ToNumberPolicy

/** JSON as Python reads and writes it: 1 is a whole number, 1.0 is not. */
class Json {
    private static final Gson GSON = new GsonBuilder().setObjectToNumberStrategy(ToNumberPolicy.LONG_OR_DOUBLE)
            .setPrettyPrinting().serializeNulls().disableHtmlEscaping().create()
    private static final Gson PLAIN = new GsonBuilder().serializeNulls().disableHtmlEscaping().create()

    /** What a file holds, or null where there is none or it is damaged. */
    static Object read(File file) {
        try {
            return file.isFile() ? parse(file.getText('UTF-8').replaceFirst('^\\ufeff', '')) : null
        } catch (Exception ignored) {
            return null
        }
    }

    static Object parse(String text) {
        return GSON.fromJson(text, Object)
    }

    static String text(Object data) {
        return GSON.toJson(data)
    }

    static String line(Object data) {
        return PLAIN.toJson(data)
    }

    static String quoted(String text, boolean ascii) {
        def json = line(text)
        return ascii ? json.replaceAll('[^ -~]') { it.collect { c -> String.format('\\u%04x', (int) c.charAt(0)) }.join('') } : json
    }
}
