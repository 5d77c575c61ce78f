/*
 * export_masks.groovy: one label mask for every image of a QuPath project.
 *
 * Run it     Automate > Script editor > Run, with the project open; or without a window:
 *                QuPath script --args PROJECT --args masks export_masks.groovy
 *            where PROJECT is a .qpproj file or the folder of one.
 *            This opens no slide. `QuPath script -p project.qpproj export_masks.groovy` works too,
 *            but opens the slide of the first image before the script has its turn, and ends if
 *            that slide is missing. Each setting below can be given as --args name=value.
 * In         The project as it was last saved. It is only read.
 * Out        In the output folder, for every image: NAME.ome.tif (tiled pyramidal OME-TIFF, uint8,
 *            or uint16 for labels above 255; 0 is the background) and NAME.ome.tif.json (what it was
 *            made from); and report.json, report.csv, areas.csv and classes.yaml, the class map as used.
 *            Files and pixels are those of `qpmask export`, so that a run begun with one is taken up
 *            by the other, and `qpmask check` reads them back. Masks that still hold are skipped.
 * QuPath     0.4 to 0.7.
 * Left out   Instance masks, multichannel masks, boundaries, a downsample by micrometres, other
 *            compressions than LZW, masks without a pyramid, backups of damaged data files, and slides
 *            looked for in other folders: `qpmask export` has them.
 *
 * QuPath's LabeledImageServer draws the tiles. They go into a file that every reader takes: grayscale,
 * with the class table, and with smaller levels made by leaving out pixels, never by averaging labels.
 */

// ---- settings -----------------------------------------------------------------------------------

def settings = [
    outputFolder: 'masks',        // a path; a relative one begins in the project's folder
    tileSize    : 512,            // edge of a tile in pixels, a multiple of 16
    downsample  : 1.0d,           // pixels of the slide for one pixel of the mask; 1 is full size
    objects     : 'annotations',  // annotations, detections, cells, nuclei, or cores: those of a tissue
                                  // microarray (all-cores: also those that are marked as missing)
    unclassified: null,           // objects without a class: 'ignore', 'error' or a label (a number);
                                  // null: as the class map says, else left out with a warning
    order       : null,           // 'classes': a later class of the map covers an earlier one; 'area': larger
                                  // objects first, whatever their class; null: as the class map says
    unknown     : 'error',        // a class that the map lacks: 'error' stops, 'ignore' leaves it out
    hidden      : 'warn',         // objects that leave no pixel, such as covered ones: 'warn', or 'error': a failure
    overwrite   : false           // true: make masks again that are there and still hold
]

// The class map, in the order of drawing: a later class covers an earlier one. null: the map that an
// earlier run left in the output folder, else the project's own class list. To write one by hand:
//   [classes: [[label: 1, name: 'Stroma', color: '#96c896'],
//              [label: 2, name: 'Tumor', color: '#c80000', aliases: ['Tumour']]],
//    ignore: ['*[*]'],            // patterns of classes to leave out; QuPath ignores names with * at the end
//    unclassified: 'ignore',      // may be left out
//    order: 'area']               // may be left out: 'classes' (as above), or 'area' (larger objects first)
// A row [label: 9, unclassified: true] among the classes gives objects without a class a place in the order.
// `qpmask groovy --classes FILE` writes this script with a map filled in.

// <class map>
def classMap = null
// </class map>

// ---- what it does -------------------------------------------------------------------------------

Launch.of(this).run { List<String> given, String only ->
    // What to read and where to write. The project is taken as it was last saved.
    def task = ExportTask.of(settings, given, only)
    def project = ProjectFile.read(task.projectFile)
    def folder = new OutputFolder(task.out)
    def entries = project.chosen(only)
    println "qpmask: ${entries.size()} image(s) of ${project.file} -> ${folder.path}"
    if (!task.overwrite)
        folder.refuseMasksOfAnother(project)

    // Look at the objects of every image, so that a class without a label stops the run before the first pixel.
    def names = MaskNames.of(project.images)
    def plans = entries.collect { new ImagePlan(entry: it, mask: names[it.id]) }
    plans.each { ObjectCount.into(it, task, project) }
    def choice = new ClassChoice(task, project, plans)
    def classes = choice.made(classMap == null ? folder.classMap() : ClassMap.of(classMap, 'the script'))
    plans.findAll { !it.error }.each { it.settle(task, classes) }

    // One mask after the other; those that stand and still hold are skipped.
    def report = new RunReport(task, project, folder, classes, choice.findings)
    folder.locked {
        def maker = new MaskMaker(task, project, folder, classes)
        plans.eachWithIndex { plan, i ->
            def where = "[${i + 1}/${plans.size()}] ${plan.entry.name}"
            def record = maker.isStopped() ? MaskRecord.interrupted(plan) : plan.error ? MaskRecord.failed(plan)
                    : StandingMask.record(plan, task, folder, classes)
            if (record == null) {
                println "${where}: ${plan.width} x ${plan.height} pixels, ${plan.drawn} object(s) ..."
                record = maker.make(plan)
            }
            report.add(record)
            println "${where}: ${MaskRecord.inWords(record)}"
            record.warnings.each { println "    note: ${it}" }
        }
        report.write(plans).each { println "note: ${it}" }
        println report.table()
    }
    return report
}

// ---- what it needs ------------------------------------------------------------------------------
// <parts>
// the run      Launch, GivenSetting, MaskStop, ExportTask, OutputFolder
// the project  ProjectFile, SlidePath, ImageFrame, DataFile, ObjectCount
// the plan     ClassNames, ClassMap, ClassMapText, ClassChoice, MaskNames, ImagePlan, StandingMask
// one mask     MaskMaker, LabelImage, SlideOfSize, DrawnObjects, DrawOrder, RoiArea, LabelTile
// its file     MaskTiff, TiffDirectories, MaskXml
// unseen       ObjectSight, ObjectPen, HiddenObjects
// the records  MaskRecord, RunReport
// small tools  Words, Json, Hash
// </parts>
