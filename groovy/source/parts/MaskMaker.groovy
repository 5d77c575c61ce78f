import java.nio.file.Files
import java.nio.file.StandardCopyOption

/** Makes one mask: QuPath draws it, it is written and read back, and only then it gets its name. */
class MaskMaker {
    private final ExportTask task
    private final ProjectFile project
    private final OutputFolder folder
    private final ClassMap classes
    private boolean stopped = Thread.interrupted()  // by Run > Kill running script; while it is set no file can be written

    MaskMaker(ExportTask task, ProjectFile project, OutputFolder folder, ClassMap classes) {
        this.task = task
        this.project = project
        this.folder = folder
        this.classes = classes
    }

    boolean isStopped() {
        stopped |= Thread.interrupted()
        return stopped
    }

    /** The record of the mask, which is there, or of why it is not. */
    Map make(ImagePlan plan) {
        long began = System.nanoTime()
        def pid = ProcessHandle.current().pid()
        def scratch = new File(folder.work, "${plan.mask}.${pid}.scratch.ome.tif")
        def part = new File(folder.work, "${plan.mask}.${pid}.part.tif")
        def record
        try {
            record = makeMask(plan, scratch, part)
        } catch (OutOfMemoryError ignored) {
            record = MaskRecord.failed(plan, task, 'QuPath ran out of memory. Give it more (Edit > Preferences), or set a downsample.')
        } catch (Exception error) {
            stopped = Thread.interrupted() || error instanceof InterruptedException
            record = stopped ? MaskRecord.interrupted(plan, task, 'The run was interrupted.')
                    : MaskRecord.failed(plan, task, error instanceof MaskStop ? error.message
                    : "The mask of ${plan.entry.label} could not be made: ${error.message ?: error.class.simpleName}")
        } finally {
            scratch.delete()
            part.delete()
        }
        record.seconds = Math.round((System.nanoTime() - began) / 1e6d) / 1000d
        return record
    }

    private Map makeMask(ImagePlan plan, File scratch, File part) {
        def entry = plan.entry
        def file = new File(entry.data, 'data.qpdata')
        LabelImage.draw(plan, task, classes.order, plan.sha256 == null ? null : file, scratch)
        def writer = new MaskTiff(part, plan, task.tilePx, MaskXml.of(plan, task).bytes())
        def pixels
        try {
            pixels = writer.write(new TiffScratch(scratch, plan.bits, plan.width, plan.height, task.tilePx, plan.planes))
        } finally {
            writer.close()
        }
        def allowed = [0, *plan.legend*.label] as Set
        def strange = pixels.keySet().find { !(it in allowed) }
        if (strange != null)
            throw new MaskStop("The mask of ${entry.label} has the label ${strange}, which is in no class. Please report this.")
        if (plan.sha256 != null && Hash.sha256(file) != plan.sha256)
            throw new MaskStop("${file} of ${entry.label} changed while it was exported. Save the image, then run again.")
        plan.hidden = HiddenObjects.of(plan, pixels)
        def sha256 = writer.readBack()
        def record = MaskRecord.of(plan, task, 'done', pixels, part.length())
        Files.move(part.toPath(), new File(folder.path, plan.mask).toPath(), StandardCopyOption.REPLACE_EXISTING,
                StandardCopyOption.ATOMIC_MOVE)
        folder.write("${plan.mask}.json", Json.text(MaskRecord.sidecar(record, plan, task, project, sha256)) + '\n')
        return record
    }
}
