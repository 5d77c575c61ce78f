/** What is written down about a mask: a line of the report, and its sidecar. Keys as qpmask has them. */
class MaskRecord {
    static Map failed(ImagePlan plan, String error = plan.error, String type = 'QpmaskError') {
        return without(plan, 'failed', error) + [error_type: type]
    }

    static Map interrupted(ImagePlan plan, String error = 'The run ended before this image.') {
        return without(plan, 'interrupted', error)
    }

    /** Of a mask that is there. */
    static Map of(ImagePlan plan, ExportTask task, String status, Map pixels, long bytes) {
        return without(plan, status, null) + [
                mask: plan.mask, width_px: plan.width, height_px: plan.height, downsample: task.downsample,
                pixel_width_um: plan.pixelSize?.get(0), pixel_height_um: plan.pixelSize?.get(1),
                dtype: "uint${plan.bits}".toString(), planes: plan.planes,
                pixels: pixels.collectEntries { k, v -> [(k.toString()): v] }, labelled: labelled(pixels), objects: plan.drawn,
                bytes: bytes, engine: task.engineText, hidden: plan.hidden,
                made_again: status == 'done' && plan.again ? plan.again.join('; ') : null]
    }

    private static Map without(ImagePlan plan, String status, String error) {
        return [entry_id: plan.entry.id, image: plan.entry.name, status: status, mask: null, width_px: null, height_px: null,
                downsample: null, pixel_width_um: null, pixel_height_um: null, dtype: null, planes: null, pixels: [:],
                labelled: null, objects: null, seconds: 0.0d, bytes: null, engine: null, verified_by: null, made_again: null,
                slide: plan.slide, error: error, error_type: null, hidden: null,
                warnings: plan.findings*.toString()]
    }

    /** Share of the pixels that have a label. */
    private static double labelled(Map pixels) {
        long background = (pixels[0] ?: 0L) as long
        long all = pixels.values().sum(0L) as long
        return 1d - (double) background / (double) Math.max(1L, all)
    }

    /** What became of an image. */
    static String inWords(Map record) {
        return record.status + (record.status == 'done' ? " in ${record.seconds} s" : '') +
                (record.made_again ? "; made again: ${record.made_again}" : '') + (record.error ? ". ${record.error}" : '')
    }

    static Map sidecar(Map record, ImagePlan plan, ExportTask task, ProjectFile project, String sha256) {
        def entry = plan.entry
        def areaMm2 = plan.pixelSize == null ? null : plan.pixelSize[0] * plan.pixelSize[1] / 1e6d
        return [qpmask: ExportTask.VERSION, kind: 'classes',
                mask: [file: plan.mask, bytes: record.bytes, sha256: sha256, width_px: plan.width, height_px: plan.height,
                       dtype: record.dtype, channels: 1, z_slices: entry.sizeZ, time_points: entry.sizeT,
                       levels: MaskTiff.levels(plan.width, plan.height, task.tilePx).size(), downsample: task.downsample,
                       pixel_width_um: record.pixel_width_um, pixel_height_um: record.pixel_height_um],
                image: [name: entry.name, entry_id: entry.id, width_px: entry.width, height_px: entry.height,
                        uris: entry.uris, slide: plan.slide, provider: entry.provider, provider_args: entry.providerArgs,
                        project: project.file.path],
                frame: plan.frame.record(task.downsample),
                classes: plan.legend.collect { row ->
                    def n = record.pixels["${row.label}".toString()] ?: 0
                    [label: row.label, name: row.name, color: row.color, objects: row.objects, pixels: n,
                     area_mm2: areaMm2 == null ? null : n * areaMm2]
                },
                cores: cores(plan, task), pixels: record.pixels, labelled: record.labelled, objects_drawn: plan.drawn,
                instances: null, engine: task.engine, verified_by: null,
                hidden: record.hidden, warnings: record.warnings, made_from: plan.madeFrom]
    }

    /** The TMA cores of an image, drawn or not; null where other objects are drawn. */
    private static List cores(ImagePlan plan, ExportTask task) {
        if (!task.drawsCores)
            return null
        return plan.cores.collect { core ->
            def rule = plan.rules.find { it[0] == core.class }
            core + [label: rule == null || core.missing && task.objects == 'cores' ? null : rule[1]]
        }
    }
}
