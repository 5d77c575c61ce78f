/** A mask that is there already: whether it still holds, or what changed, in the words of qpmask's plan.skipping. */
class StandingMask {
    static final Map WORDS = [tile_px: 'tile size', image: 'size of the image', pixel_size_um: 'pixel size in \u00b5m',
                              boundary_label: 'label of outlines']

    /** The record of a mask that holds, or null; plan.again says why one is made again. */
    static Map record(ImagePlan plan, ExportTask task, OutputFolder folder, ClassMap classes) {
        def mask = new File(folder.path, plan.mask)
        def file = new File(folder.path, "${plan.mask}.json")
        if (!mask.exists() && !file.exists())
            return null
        def sidecar = Json.read(file)
        // Through text and back, so that both sides hold the same types of numbers.
        plan.again = changes(sidecar, Json.parse(Json.text(plan.madeFrom)) as Map, plan.legend)
        if (plan.again == ['the class map'])
            plan.again = [changedOrder(classes, sidecar.made_from.classes) ?: plan.again[0]]
        def more = plan.again ? null : task.overwrite ? 'as asked (force)'
                : !(sidecar.mask instanceof Map && sidecar.pixels instanceof Map) ? 'it has no sidecar that can be read'
                : !mask.isFile() ? 'it is not there any more'
                : mask.length() != sidecar.mask.bytes || Hash.sha256(mask) != sidecar.mask.sha256 ? 'its file is not what was written'
                : null
        if (more)
            plan.again = [more]
        if (plan.again)
            return null
        plan.hidden = sidecar.hidden
        if (task.hidden == 'error' && plan.hidden == null)  // made by a version that did not count
            return null
        try {
            task.checkHidden(plan)
        } catch (MaskStop stop) {
            return MaskRecord.failed(plan, stop.message, stop.type)
        }
        def record = MaskRecord.of(plan, task, 'skipped', sidecar.pixels.collectEntries { k, v -> [(k.toInteger()): v] }, mask.length())
        if (sidecar.engine instanceof Map)
            record.engine = "${sidecar.engine.name} ${sidecar.engine.version}".toString()
        record.verified_by = sidecar.verified_by
        return record
    }

    /** Words for an earlier map that differs by what covers what, and by nothing else; or null. */
    private static String changedOrder(ClassMap classes, earlier) {
        def was = (['classes', 'area'] - classes.order).find { ClassMapText.fingerprint(classes.changed(order: it)) == earlier }
        return was ? "order ${was} -> ${classes.order}" : null
    }

    private static List<String> changes(sidecar, Map now, List<Map> legend) {
        def old = sidecar instanceof Map ? sidecar.made_from : null
        if (!(old instanceof Map))
            return ['it has no sidecar that can be read']
        def changed = (old + now).keySet().findAll { old[it] != now[it] }
        def found = []
        changed.each { key ->
            def a = old[key]
            def b = now[key]
            if (key == 'data_sha256')
                found << (a == null ? 'annotated since' : 'saved in QuPath since')
            else if (key == 'frame' && old.containsKey(key))
                found << "it lies elsewhere in the slide's file"
            else if (key in ['format', 'frame'])
                found << 'made by another version of qpmask'
            else if (key == 'instances')
                found << "instances ${text(a != null)} -> ${text(b != null)}"
            else if (key == 'image' && a instanceof List && a.drop(2) == b.drop(2))
                found << "${WORDS[key]} ${text(a.take(2))} -> ${text(b.take(2))}"
            else if (!(key in ['classes', 'rules']) && !(key == 'pixel_size_um' && 'downsample' in changed))
                found << "${WORDS[key] ?: key.toString().replace('_', ' ')} ${text(a)} -> ${text(b)}"
        }
        if (('classes' in changed || 'rules' in changed) && !('instances' in changed)) {
            def more = labels(old.rules, now.rules) + colors(sidecar.classes, legend)
            found.addAll(more ? more.take(4) : ['the class map'])
            if (more.size() > 4)
                found << "${more.size() - 4} more changes of classes"
        }
        return found*.toString()
    }

    private static List labels(old, List now) {
        def (before, after) = [ClassMap.labelsIn(old), ClassMap.labelsIn(now)]
        if (before == null)
            return []
        def found = (before + after).keySet().findAll { before[it] != after[it] }.collect {
            "label of ${it == null ? 'unclassified objects' : "'${it}'"} ${text(before[it])} -> ${text(after[it])}"
        }
        return before == after && before.keySet() as List != after.keySet() as List ? found + ['order of the classes'] : found
    }

    private static List colors(old, List<Map> legend) {
        def rows = old instanceof List ? old.findAll { it instanceof Map } : []
        def before = rows.collectEntries { [(it.name): it.color] }
        return legend.findAll { before.containsKey(it.name) && before[it.name] != it.color }.collect {
            "colour of '${it.name}' ${text(before[it.name])} -> ${text(it.color)}"
        }
    }

    private static String text(value) {
        if (value == null)
            return 'none'
        if (value instanceof Boolean)
            return value ? 'yes' : 'no'
        if (value instanceof List)
            return value.collect { text(it) }.join(' x ')
        if (value instanceof Double)
            return new BigDecimal(value.toString()).round(new java.math.MathContext(6)).stripTrailingZeros().toPlainString()
        return value.toString()
    }
}
