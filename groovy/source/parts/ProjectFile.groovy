/**
 * A project as it was last saved: its images and its class list. It is read here and not by QuPath, which
 * has no project at all where one of its images is of an extension that is not installed.
 */
class ProjectFile {
    final File file
    final Object uri                    // where it lay when it was saved
    final Map<String, String> classes = [:]  // the class list: name, and colour or null
    final List<String> findings         // what is odd about that list
    final List<Map> images

    static ProjectFile read(File file) {
        return new ProjectFile(file)
    }

    private ProjectFile(File file) {
        this.file = file
        def raw = Json.read(file)
        if (!(raw instanceof Map) || !(raw.images instanceof List))
            throw new MaskStop("${file} is not a QuPath project, or is damaged: it has no list of images.")
        uri = raw.uri
        findings = readClasses(new File(file.parentFile, 'classifiers/classes.json'))
        def ids = raw.images.collect { it instanceof Map && it.entryID != null ? it.entryID.toString() : null }
        if (ids.contains(null) || ids.toSet().size() != ids.size())
            throw new MaskStop("${file} is damaged: two images have one entry id, or one has none.")
        images = raw.images.collect { readEntry(it as Map) }
    }

    /** The images that a run is about: all, or one. */
    List<Map> chosen(String only) {
        def found = only == null ? images : images.findAll { it.id == only }
        if (!found)
            throw new MaskStop(only == null ? "${file} has no images. Add some in QuPath." : "The open image is not in ${file}.")
        return found
    }

    private List<String> readClasses(File list) {
        def listed = Json.read(list)
        if (!(listed instanceof Map && listed.pathClasses instanceof List)) {
            if (list.isFile())
                throw new MaskStop("${file.parentFile}/classifiers/classes.json is damaged. Save the classes in QuPath again.")
            return []
        }
        def spellings = [:]
        def odd = [] as LinkedHashSet
        listed.pathClasses.each { row ->
            def text = row instanceof Map && row.name instanceof String ? row.name : ''
            def name = ClassNames.form(text)
            if (name == null)
                return
            if (ClassNames.refused(text))
                odd << ("The project's class list has '${text}', which QuPath refuses (${ClassNames.refused(text)}): " +
                        "read as '${name}'.").toString()
            def first = spellings.computeIfAbsent(name, { text })
            if (first != text)
                odd << "'${first}' and '${text}' of the project's class list are one class: '${name}'.".toString()
            classes[name] = row.color instanceof Long ? Words.color(row.color) : classes[name]
        }
        return odd as List
    }

    private Map readEntry(Map item) {
        def id = item.entryID as String
        // The id becomes a folder name; a hostile one must not leave the project.
        boolean isPlain = id ==~ /[\x01-\x7f&&[^\/\\:]]{1,200}/ && !(id in ['.', '..'])
        def data = new File(file.parentFile, "data/${isPlain ? id : '\ufffd'}")
        def builder = item.serverBuilder instanceof Map ? item.serverBuilder : [:]
        def metadata = builder.metadata instanceof Map ? builder.metadata : metadataBeside(data)
        def side = { n -> n instanceof Number && n == Math.rint(n as double) && n >= 1 && n < 2147483648d ? n as int : null }
        def count = { n -> n instanceof Number && n >= 1 && n < 2147483648d ? n as int : 1 }
        def inner = builder
        for (int i = 0; i < 32 && inner.builder instanceof Map; i++)
            inner = inner.builder
        def name = item.imageName instanceof String && item.imageName ? item.imageName : metadata.name ?: "image ${id}".toString()
        return [id: id, name: name, label: "'${name}' (entry ${id})".toString(), data: data,
                width: side(metadata.width), height: side(metadata.height),
                sizeZ: count(metadata.sizeZ), sizeT: count(metadata.sizeT),
                pixelSize: pixelSize(metadata.pixelCalibration), uris: uris(builder, 0),
                frame: ImageFrame.read(builder as Map, ImageFrame.sizeIn(metadata)), provider: inner.providerClassName,
                providerArgs: inner.args instanceof List ? inner.args*.toString() : []]
    }

    /** What an image's own folder says about its size, where the project does not. */
    private static Map metadataBeside(File data) {
        def found = metadataIn(Json.read(new File(data, 'server.json')), 0)
        if (found == null && new File(data, 'data.qpdata').isFile()) {
            try {
                found = metadataIn(Json.parse(DataFile.read(new File(data, 'data.qpdata')).server as String), 0)
            } catch (Exception ignored) {
                // said later, when its objects are read
            }
        }
        def summary = found == null ? Json.read(new File(data, 'summary.json')) : null
        return found ?: (summary instanceof Map && summary.server instanceof Map ? summary.server : [:])
    }

    private static Map metadataIn(raw, int depth) {
        if (!(raw instanceof Map) || depth > 2)
            return null
        return raw.metadata instanceof Map ? raw.metadata : metadataIn(raw.server ?: raw.builder, depth + 1)
    }

    /** Width and height of a pixel in micrometres, or null. */
    private static List<Double> pixelSize(calibration) {
        def sizes = ['pixelWidth', 'pixelHeight'].collect { key ->
            def part = calibration instanceof Map && calibration[key] instanceof Map ? calibration[key] : [:]
            def unit = part.unit instanceof String ? part.unit.strip().toLowerCase(Locale.ROOT) : ''
            part.value instanceof Number && Double.isFinite(part.value.doubleValue()) && part.value > 0 &&
                    unit in ['\u00b5m', '\u03bcm', 'um', 'micron', 'micrometer', 'micrometre'] ? part.value.doubleValue() : null
        }
        return sizes.contains(null) ? null : sizes
    }

    private static List<String> uris(Map builder, int depth) {
        List<String> found = builder.uri instanceof String ? [builder.uri] : []
        if (depth <= 32)
            builder.values().each { value ->
                (value instanceof List ? value : [value]).each {
                    if (it instanceof Map && ['builderType', 'builder', 'serverBuilder'].any { key -> it.containsKey(key) })
                        found += uris(it, depth + 1)
                }
            }
        return found
    }
}
