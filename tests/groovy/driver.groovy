/*
 * Runs scripts one after the other in one QuPath, as the Script editor would, and notes what came of
 * each. In: --args jobs.json, a list of {name, script, args, project, image, save, interrupt}. Out:
 * results.json beside it.
 */

import com.google.gson.Gson
import java.awt.image.BufferedImage
import qupath.lib.projects.ProjectIO
import qupath.lib.scripting.QP

def jobsFile = new File(args[0])
def results = [:]
def classes = [:]
new Gson().fromJson(jobsFile.getText('UTF-8'), List).each { job ->
    def printed = new StringWriter()
    def error = null
    def thread = Thread.start {
        def project = null
        def imageData = null
        try {
            project = job.project ? ProjectIO.loadProject(new File(job.project), BufferedImage) : null
            def entry = project?.getImageList()?.find { it.getImageName() == job.image }
            imageData = entry?.readImageData()
            QP.setBatchProjectAndImage(project, imageData)
            def shell = new GroovyShell(this.class.classLoader)
            def type = classes.computeIfAbsent(job.script, { shell.parse(new File(job.script)).class })
            def script = type.getDeclaredConstructor().newInstance()
            script.binding = new Binding([args: job.args as String[], out: new PrintWriter(printed, true),
                                          'qupath.script.file': job.script])
            if (job.interrupt)
                Thread.currentThread().interrupt()
            script.run()
            if (job.save)
                entry.saveImageData(imageData)
        } catch (Throwable thrown) {
            error = thrown
        } finally {
            imageData?.getServer()?.close()
            QP.resetBatchProjectAndImage()
        }
    }
    thread.join()
    results[job.name] = [error: error?.message ?: error?.toString(), type: error?.class?.simpleName, output: printed.toString()]
}
new File(jobsFile.parentFile, 'results.json').setText(new Gson().toJson(results), 'UTF-8')
