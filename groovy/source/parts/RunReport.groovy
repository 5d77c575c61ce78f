import java.math.MathContext
import java.time.Instant
import java.time.ZoneOffset
import java.time.format.DateTimeFormatter

/** What a run did: report.json, report.csv, areas.csv, the class map as used, and the table at the end. */
class RunReport {
    static final List COLUMNS = ['entry_id', 'image', 'status', 'mask', 'width_px', 'height_px', 'downsample', 'pixel_width_um',
            'pixel_height_um', 'dtype', 'planes', 'objects', 'hidden', 'seconds', 'bytes', 'made_again', 'slide', 'error', 'warnings']
    private final Instant started = Instant.now()
    private final ExportTask task
    private final ProjectFile project
    private final OutputFolder folder
    private final ClassMap classes
    private final List<String> warnings
    private final List<Map> records = []
    private String nothingDrawn
    boolean ok

    RunReport(ExportTask task, ProjectFile project, OutputFolder folder, ClassMap classes, List<String> warnings) {
        this.task = task
        this.project = project
        this.folder = folder
        this.classes = classes
        this.warnings = warnings
    }

    void add(Map record) {
        records << record
    }

    /** Write all files; returns what concerns the run and no single image. */
    List<String> write(List<ImagePlan> plans) {
        if (plans.any { it.bits == 16 })  // as measured: see examples/readers.md
            warnings << 'uint16 (labels above 255): such masks give wrong labels, without an error, in OpenSlide, SimpleITK, ITK and cuCIM.'
        if (plans.every { !it.drawn } && plans.any { !it.error && it.kinds })
            warnings << (nothingDrawn = 'Nothing is drawn in any image, though there are objects; the masks are all background.')
        warnings.addAll(folder.staleMasks(plans*.mask, classes))
        def interrupted = records.any { it.status == 'interrupted' }
        ok = !interrupted && !nothingDrawn && records.every { it.status in ['done', 'skipped'] }
        def all = withOthers()
        def options = [render: [objects: task.objects, downsample: task.downsample, mpp: null, tile_px: task.tilePx,
                                line_thickness: 1.0d, boundary_label: null, instances: false, multichannel: false, order: task.order],
                       file: [compression: 'lzw', pyramid: true], images: task.only == null ? [] : [task.only],
                       unknown: task.unknown, unclassified: task.unclassified, hidden: task.hidden, slides: [],
                       use_backup: false, engine: 'qupath', force: task.overwrite, workers: 1, jvm_memory: null]
        def data = [qpmask: ExportTask.VERSION, project: project.file.path, output: folder.path.path, engine: task.engine,
                    engine_reason: 'run inside QuPath',
                    started: DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ssxxx").format(started.atOffset(ZoneOffset.UTC)),
                    seconds: Math.round((Instant.now().toEpochMilli() - started.toEpochMilli()) / 10d) / 100d,
                    ok: ok, interrupted: interrupted, nothing_drawn: nothingDrawn != null, options: options,
                    classes: [origin: classes.origin] + ClassMapText.data(classes), warnings: warnings,
                    images: all.collect { withoutIds(it) }]
        folder.write('classes.yaml', ClassMapText.yaml(classes))
        folder.write('report.csv', csv([COLUMNS] + all.collect { record -> COLUMNS.collect { field(record, it) } }))
        folder.write('areas.csv', csv(areas(all)))
        folder.write('report.json', Json.text(data) + '\n')
        return warnings + HiddenObjects.runLines(records)
    }

    /** What to say if not all is well. */
    String getMessage() {
        int failed = records.count { it.status in ['failed', 'interrupted'] }
        return nothingDrawn && !failed ? nothingDrawn : task.only != null ? records[0].error
                : "${failed} of ${records.size()} image(s) failed; report.csv in ${folder.path} says why."
    }

    /** Of one image of many: keep what the report says about the others. */
    private List<Map> withOthers() {
        def old = task.only == null ? null : Json.read(new File(folder.path, 'report.json'))
        if (!(old instanceof Map && old.project == project.file.path && old.images instanceof List))
            return records
        def ids = project.images*.id
        return (old.images.findAll { it instanceof Map && it.entry_id != task.only && it.entry_id in ids } + records)
                .sort { ids.indexOf(it.entry_id) }
    }

    /** A record without the ids of objects, which are in the sidecar. */
    private static Map withoutIds(Map record) {
        if (!(record.hidden instanceof Map))
            return record
        return record + [hidden: record.hidden + [groups: record.hidden.groups.collect { it.findAll { k, v -> k != 'ids' } }]]
    }

    private static Object field(Map record, String name) {
        def value = record[name]
        return name == 'warnings' ? (HiddenObjects.lines(record.hidden) + (value ?: [])).join(' | ')
                : name == 'hidden' ? value?.objects
                : name == 'seconds' ? String.format(Locale.ROOT, '%.2f', (value ?: 0) as double) : value
    }

    private static String csv(List<List> rows) {
        return rows.collect { row -> row.collect { Words.csv(it) }.join(',') + '\n' }.join('')
    }

    /** Area and pixels of each class (columns) in each image (rows), from the sidecars. */
    private List<List> areas(List<Map> records) {
        def found = records.findAll { it.status in ['done', 'skipped'] && it.mask }.findResults { record ->
            def sidecar = Json.read(new File(folder.path, record.mask + '.json'))
            if (!(sidecar instanceof Map && sidecar.classes instanceof List))
                return null
            def pixels = [:]
            sidecar.classes.each { pixels[it.name] = (pixels[it.name] ?: 0L) + (it.pixels as long) }
            pixels['(background)'] = (record.pixels['0'] ?: 0L) as long
            [record, pixels]
        }
        def names = found.collectMany { it[1].keySet() }.unique() - '(background)' + (found ? ['(background)'] : [])
        def mm2 = { record, n ->
            if (n == null || record.pixel_width_um == null)
                return null
            def area = (n as double) * (record.pixel_width_um as double) * (record.pixel_height_um as double) / 1e6d
            new BigDecimal(area).round(new MathContext(9)).stripTrailingZeros().toPlainString()
        }
        return [['entry_id', 'image', 'mask'] + names.collect { "${it} (mm2)" } + names.collect { "${it} (px)" }] +
                found.collect { record, pixels ->
                    [record.entry_id, record.image, record.mask] + names.collect { mm2(record, pixels[it]) } +
                            names.collect { pixels[it] }
                }
    }

    /** A line an image, and what became of all. */
    String table() {
        def rows = [['image', 'status', 'size', 'objects', 'seconds']] + records.collect {
            [it.image.toString().take(50), it.status, it.width_px ? "${it.width_px} x ${it.height_px}".toString() : '-',
             "${it.objects == null ? '-' : it.objects}".toString(), String.format(Locale.ROOT, '%.2f', it.seconds as double)]
        }
        def widths = (0..4).collect { i -> rows.collect { it[i].length() }.max() }
        def lines = rows.collect { row -> (0..4).collect { i -> row[i].padRight(widths[i]) }.join('  ').stripTrailing() }
        lines << "qpmask: ${records.count { it.status == 'done' }} done, ${records.count { it.status == 'skipped' }} skipped, " +
                "${records.count { !(it.status in ['done', 'skipped']) }} failed. Masks and report.csv are in ${folder.path}"
        return lines.join('\n')
    }
}
