/*
 * export_current_image.groovy: the label mask of the image that is open.
 *
 * Run it     Automate > Script editor > Run, or Run > Run for project for the images that you choose;
 *            without a window: QuPath script -p project.qpproj -i IMAGE export_current_image.groovy
 * In         The image as it was last saved, and export_masks.groovy, which must lie in the same
 *            folder: its settings and its class map hold here too.
 * Out        As export_masks.groovy. An earlier report.json keeps what it says of other images.
 * QuPath     0.4 to 0.7.
 *
 * Without a class map the labels follow the project's class list and the masks made before; a class
 * that is in use but not on that list gets the next free label when its first image is exported.
 */

import qupath.lib.gui.QuPathGUI
import qupath.lib.scripting.QP

def stop = { String message -> throw new IllegalStateException(message) }

if (QP.getProject() == null)
    stop('No project is open. Open a project (File > Project > Open project) and one of its images.')
if (QP.getProjectEntry() == null)
    stop('No image of the project is open. Open one, or export all by export_masks.groovy.')
if (!binding.hasVariable('qupath.script.file'))
    stop('Save this script in the folder of export_masks.groovy first; it needs its neighbour.')
def script = new File(new File(binding.getVariable('qupath.script.file') as String).absoluteFile.parentFile, 'export_masks.groovy')
if (!script.isFile())
    stop("There is no ${script}; `qpmask groovy` writes both scripts into one folder.")

def values = [qpmaskImage: QP.getProjectEntry().getID(), args: binding.hasVariable('args') ? args : null]
def isCommand = QuPathGUI.getInstance() == null &&
        Thread.currentThread().stackTrace.any { it.className == 'qupath.ScriptCommand' }
try {
    new GroovyShell(this.class.classLoader, new Binding(values)).evaluate(script)
} catch (RuntimeException error) {
    if (!isCommand)
        throw error
    // QuPath goes on to the next image and forgets the error.
    System.err.println("qpmask: ${error.message}")
    System.setProperty('qpmask.failed', 'true')
}
def isLast = !binding.hasVariable('qupath.script.batchLast') || binding.getVariable('qupath.script.batchLast')
if (isCommand && isLast && System.getProperty('qpmask.failed') != null)
    System.exit(1)
