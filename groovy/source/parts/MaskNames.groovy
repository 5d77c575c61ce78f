import java.nio.charset.StandardCharsets
import java.text.Normalizer

/** File names of masks, as qpmask gives them: no collision, no name that some system refuses. */
class MaskNames {
    static final List SUFFIXES = [
        '.ome.tiff', '.ome.tif', '.tiff', '.tif', '.svs', '.ndpi', '.scn', '.mrxs', '.czi', '.vsi', '.bif', '.qptiff',
        '.svslide', '.lif', '.nd2', '.isyntax', '.dcm', '.ome.zarr', '.zarr', '.jpeg', '.jpg', '.png', '.jp2']

    static Map<String, String> of(List<Map> images) {
        def stems = images.collectEntries { [(it.id): stem(it.name)] }
        def seen = stems.values().countBy { folded(it) }
        def taken = stems.values().collect { folded(it) }.findAll { seen[it] == 1 } as Set
        return images.collectEntries { image ->
            def name = stems[image.id]
            if (seen[folded(name)] > 1) {
                def id = stem(image.id)
                name += '_id' + (id.getBytes(StandardCharsets.UTF_8).length <= 24 ? id : id.digest('SHA-256').take(12))
                while (folded(name) in taken)
                    name += '_'
                taken << folded(name)
            }
            [(image.id): name + '.ome.tif']
        }
    }

    static String stem(String name) {
        def text = Normalizer.normalize(name, Normalizer.Form.NFC).replaceAll(/(?U)^[\s\x1c-\x1f]+|[\s\x1c-\x1f]+$/, '')
        def suffix = SUFFIXES.find { text.toLowerCase(Locale.ROOT).endsWith(it) && text.length() > it.length() }
        if (suffix)
            text = text[0..<(text.length() - suffix.length())]
        text = text.replaceAll('[\\x00-\\x1f\\x7f<>:"/\\\\|?*\\ud800-\\udfff]', '_').replaceAll(/^[ .]+|[ .]+$/, '')
        def raw = text.getBytes(StandardCharsets.UTF_8)
        if (raw.length > 160) {
            int end = 160
            while ((raw[end] & 0xc0) == 0x80)
                end--
            def whole = text.digest('SHA-256')
            text = new String(raw, 0, end, StandardCharsets.UTF_8).replaceAll(/[ .]+$/, '') + '_' + whole.take(8)
        }
        return !text || text ==~ /(?is)(con|prn|aux|nul|com\d|lpt\d)(\..*)?/ ? "_${text}".toString() : text
    }

    static String folded(String text) {
        return Normalizer.normalize(text, Normalizer.Form.NFKC).toUpperCase(Locale.ROOT).toLowerCase(Locale.ROOT)
    }
}
