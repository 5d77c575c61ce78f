/** What one mask will hold: first the counts of an image's objects, then what is drawn of them. */
class ImagePlan {
    Map entry                    // the image, of ProjectFile
    ImageFrame frame             // where it lies in the slide's file
    String mask                  // file name
    String slide, sha256, error  // of the slide's path, of the data file; why there will be no mask
    List<String> findings = []   // what the user should know
    // Objects by class (null for none): those of the kind that is drawn, and of these on planes that are not there.
    Map<String, Integer> counts = [:], lost = [:]
    Map<String, Integer> kinds = [:]  // objects of each kind, whatever is drawn
    Map<String, String> colors = [:]
    List<Map> cores = []

    List<List> rules = []  // class name and label, in the order of drawing
    List<Map> legend = []  // rows of the class table
    int width, height, planes, bits, drawn
    List<Double> pixelSize
    Map madeFrom           // all that decides the mask
    List<String> again     // why a mask that stands is made again
    // Once it is drawn: pixels by label, and what of HiddenObjects.
    Map pixels, hidden

    /** The data file, or null where nothing was ever annotated. */
    File getData() {
        return sha256 == null ? null : new File(entry.data, 'data.qpdata')
    }

    boolean isOnPlane(roi) {
        return roi.getZ() >= 0 && roi.getZ() < entry.sizeZ && roi.getT() >= 0 && roi.getT() < entry.sizeT
    }

    boolean isOutside(roi) {
        return roi.getBoundsX() + roi.getBoundsWidth() <= 0 || roi.getBoundsY() + roi.getBoundsHeight() <= 0 ||
                roi.getBoundsX() >= entry.width || roi.getBoundsY() >= entry.height
    }

    void note(String text) {
        findings << text
    }

    /** Ask the slide what the project does not say of its frame. */
    void askSlide() {
        def known = frame
        frame = known.located(slide)
        if (frame.steps != known.steps)
            findings = findings - known.findings() + frame.findings()
    }

    /** Decide on labels and sizes. */
    void settle(ExportTask task, ClassMap classes) {
        rules = classes.rules()
        classes.rows().each { row ->
            def names = row.unclassified ? [null] : [row.name, *(row.aliases ?: [])]
            legend << [label: row.label, name: row.name, color: row.color, objects: names.sum { counts[it] ?: 0 }]
        }
        def names = rules.collect { it[0] } as Set
        drawn = counts.findAll { name, n -> name in names }.values().sum(0)
        noteAll(task, classes)
        def d = task.downsample
        if (d > Math.max(entry.width, entry.height)) {
            error = "At a downsample of ${d} nothing is left of ${entry.label}."
            return
        }
        width = Math.max(1, Math.floor(entry.width / d) as int)
        height = Math.max(1, Math.floor(entry.height / d) as int)
        planes = entry.sizeZ * entry.sizeT
        pixelSize = entry.pixelSize?.collect { it * d }
        bits = (legend*.label.max() ?: 0) > 255 ? 16 : 8
        madeFrom = [format: 1, pixel_rules: task.engine.pixel_rules, data_sha256: sha256,
                    image: [entry.width, entry.height, entry.sizeZ, entry.sizeT], pixel_size_um: pixelSize,
                    downsample: d, frame: entry.frame.record(1.0d).mask_to_file, tile_px: task.tilePx, objects: task.objects,
                    line_thickness: 1.0d, boundary_label: null, instances: null, multichannel: false, compression: 'lzw',
                    pyramid: true, classes: ClassMapText.fingerprint(classes), rules: rules]
    }

    private void noteAll(ExportTask task, ClassMap classes) {
        if (counts.get(null) && classes.row == null)
            note("${Words.objects(counts.get(null))} without a class left out.")
        if (lost)
            note("${Words.objects(lost.values().sum())} on slices or time points that the image does not have.")
        int missing = task.objects == 'cores' ? cores.count { it.missing } : 0
        if (missing)
            note("${missing} TMA core${missing == 1 ? '' : 's'} marked as missing left out " +
                    "('all-cores' instead of 'cores' draws them too).")
        if (!drawn)
            note('No objects to draw: the mask is all background. '.concat(
                    kinds[task.kindDrawn] ? '' : ObjectCount.otherKinds([this], task)).strip())
        frame = entry.frame
        findings.addAll(frame.findings())
        if (slide == 'missing')
            note('The slide is not ' + (!entry.uris ? 'found: the project does not say where'
                    : entry.uris[0].startsWith('file:') ? "at ${entry.uris[0]}" : "looked for: it is no file (${entry.uris[0]})") +
                    '; the mask does not need it.')
    }
}
