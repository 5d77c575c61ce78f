/** What a mask says about itself. Raw UTF-8 without character references: Bio-Formats mangles those. */
class MaskXml {
    String name, creator
    int width, height, bits, sizeZ, sizeT
    List<Double> pixelSize
    List<Map> legend
    Map<String, String> extra
    List<int[]> levels

    static MaskXml of(ImagePlan plan, ExportTask task) {
        def entry = plan.entry
        def creator = "qpmask ${ExportTask.VERSION}"
        return new MaskXml(name: entry.name, width: plan.width, height: plan.height, bits: plan.bits,
                sizeZ: entry.sizeZ, sizeT: entry.sizeT, pixelSize: plan.pixelSize, legend: plan.legend, creator: creator,
                levels: MaskTiff.levels(plan.width, plan.height, task.tilePx), extra: [
                    image: entry.name, entry_id: entry.id, image_width_px: "${entry.width}", image_height_px: "${entry.height}",
                    downsample: "${task.downsample}", objects: task.objects, kind: 'classes',
                    frame: Json.line(plan.frame.record(task.downsample)), engine: task.engineText])
    }

    String text() {
        def ns = 'http://www.openmicroscopy.org/Schemas/OME/2016-06'
        def size = pixelSize ? " PhysicalSizeX=\"${pixelSize[0]}\" PhysicalSizeY=\"${pixelSize[1]}\"" : ''
        def lines = ['<?xml version="1.0" encoding="UTF-8"?>',
                     "<OME xmlns=\"${ns}\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" " +
                     "xsi:schemaLocation=\"${ns} ${ns}/ome.xsd\" Creator=${attribute(creator)}>",
                     "<Image ID=\"Image:0\" Name=${attribute(name)}>",
                     "<Pixels ID=\"Pixels:0\" DimensionOrder=\"XYCZT\" Type=\"uint${bits}\" SizeX=\"${width}\" " +
                     "SizeY=\"${height}\" SizeC=\"1\" SizeZ=\"${sizeZ}\" SizeT=\"${sizeT}\"${size}>",
                     '<Channel ID="Channel:0:0" SamplesPerPixel="1"/>']
        for (int plane = 0; plane < sizeZ * sizeT; plane++)
            lines << "<TiffData IFD=\"${plane}\" FirstC=\"0\" FirstZ=\"${plane % sizeZ}\" FirstT=\"${plane.intdiv(sizeZ)}\" PlaneCount=\"1\"/>"
        lines << '</Pixels>'
        def maps = legend ? [['qpmask/classes', legend.collect { ["${it.label}", classText(it)] }]] : []
        maps << ['qpmask/mask', extra.collect { k, v -> [k, v.toString()] }]
        // As Bio-Formats lists the levels; fastslide looks for them here.
        if (levels.size() > 1)
            maps << ['openmicroscopy.org/PyramidResolution',
                     (1..<levels.size()).collect { ["${it}", "${levels[it][0]} ${levels[it][1]}"] }]
        maps.eachWithIndex { map, i -> lines << "<AnnotationRef ID=\"Annotation:${i}\"/>" }
        lines << '</Image>' << '<StructuredAnnotations>'
        maps.eachWithIndex { map, i ->
            lines << "<MapAnnotation ID=\"Annotation:${i}\" Namespace=\"${map[0]}\"><Value>"
            map[1].each { lines << "<M K=${attribute(it[0].toString())}>${escaped(clean(it[1].toString(), '\ufffd'))}</M>" }
            lines << '</Value></MapAnnotation>'
        }
        lines << '</StructuredAnnotations>' << '</OME>'
        return lines.join('\n')
    }

    private static String classText(Map row) {
        def text = "{\"name\": ${Json.quoted(row.name.toString(), false)}" + (row.color ? ", \"color\": \"${row.color}\"}" : '}')
        return clean(text, null)
    }

    /** Replaces what XML cannot hold, by a character or by its JSON escape. */
    private static String clean(String text, String by) {
        return text.replaceAll('[^\\t\\n\\r\\u0020-\\ud7ff\\ue000-\\ufffd\\x{10000}-\\x{10ffff}]') { String c ->
            by ?: String.format('\\u%04x', (int) c.charAt(0))
        }
    }

    private static String escaped(String text) {
        return text.replace('\r\n', '\n').replace('\r', '\n').replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')
    }

    private static String attribute(String text) {
        return '"' + escaped(clean(text, '\ufffd').replaceAll(/[\t\n\r]/, ' ')).replace('"', '&quot;') + '"'
    }
}
