/*
 * import_mask.groovy: a label mask becomes annotations of the image that is open.
 *
 * Run it     Automate > Script editor > Run, with the image open. To keep the annotations, save the
 *            image afterwards. Without a window: QuPath script -p project.qpproj -i IMAGE --save
 *            --args mask.ome.tif import_mask.groovy
 * In         A mask with a class table, as qpmask and export_masks.groovy write them: by default the
 *            one that was made of the open image, found by its sidecar in the output folder.
 * Out        Annotations with the classes of the table. Exported again with the same class map they
 *            give the same mask. Pixels of unclassified objects become annotations without a class.
 *            They carry the name of the mask in their metadata ('qpmask import'; QuPath 0.5 and
 *            later), so that a second import is noticed and can take the place of the first.
 * QuPath     0.4 to 0.7.
 *
 * QuPath's ContourTracing traces the mask tile by tile and merges the pieces, so memory depends on
 * the outlines and not on the number of pixels.
 */

import qupath.lib.scripting.QP

// ---- settings -----------------------------------------------------------------------------------

def settings = [
    maskFile   : null,     // path of the mask; null: the mask of the open image in maskFolder
    maskFolder : 'masks',  // a relative path begins in the project's folder
    replace    : 'none',   // what goes: none; class: annotations of the same classes; all; imported: what came
                           // from a mask of the same name before
    again      : false,    // true: import a mask once more beside what came of it before
    addClasses : false,    // true: add classes that the project's list lacks
    splitPieces: true      // true: each connected piece an annotation; false: one for each class
]

// ---- what it does -------------------------------------------------------------------------------

(binding.hasVariable('args') && args != null ? args as List<String> : []).each {
    if (!GivenSetting.take(settings, it))
        settings.maskFile = it
}
def imageData = QP.getCurrentImageData()
if (imageData == null)
    throw new MaskStop('No image is open. Open the image that the mask belongs to.')

// The mask says which class each label is, and of which image it was made.
def file = settings.maskFile == null ? MaskSearch.ofOpenImage(settings.maskFolder) : new File(settings.maskFile)
def table = ClassTable.read(file)
table.refuseOtherImage(imageData.getServer())

// QuPath traces each label.
def made = MaskTracing.annotations(table, settings.splitPieces)

// The same rules as those of 'qpmask import'.
def hierarchy = imageData.getHierarchy()
def gone = ImportRules.makeRoom(hierarchy, made, file.name, settings)
ImportRules.mark(made, file.name)
hierarchy.addObjects(made)
def missing = ImportRules.newClasses(QP.getProject(), made, settings.addClasses)
if (missing)
    println "qpmask: the project's class list ${settings.addClasses ? 'has got' : 'lacks'} ${Words.quoted(missing, ', ')}"
println "qpmask: ${made.size()} annotation(s) of ${made*.getPathClass().unique().size()} class(es) from ${file}" +
        (gone ? ", ${Words.objects(gone)} removed" : '')

// ---- what it needs ------------------------------------------------------------------------------
// <parts>
// the mask     MaskSearch, ClassTable, MaskTracing
// its place    ImageFrame, ImportRules
// small tools  GivenSetting, MaskStop, Json, Words
// </parts>
