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
        def part = new File(folder.work, "${plan.mask}.${ProcessHandle.current().pid()}.part.tif")
        def record
        try {
            record = makeMask(plan, part)
        } catch (OutOfMemoryError ignored) {
            record = MaskRecord.failed(plan, 'QuPath ran out of memory. Give it more (Edit > Preferences), or set a downsample.')
        } catch (Exception error) {
            stopped = Thread.interrupted() || error instanceof InterruptedException
            record = stopped ? MaskRecord.interrupted(plan, 'The run was interrupted.')
                    : error instanceof MaskStop ? MaskRecord.failed(plan, error.message, error.type)
                    : MaskRecord.failed(plan, "The mask of ${plan.entry.label} could not be made: ${error.message ?: error.class.simpleName}")
        } finally {
            part.delete()
        }
        record.seconds = Math.round((System.nanoTime() - began) / 1e6d) / 1000d
        return record
    }

    private Map makeMask(ImagePlan plan, File part) {
        def label = plan.entry.label
        plan.askSlide()
        def writer = new MaskTiff(part, plan, task.tilePx, MaskXml.of(plan, task).text())
        new LabelImage(plan, task, classes.order).withCloseable { image ->
            def pixels = writer.withCloseable { it.write(image) }
            def allowed = [0, *plan.legend*.label] as Set
            def strange = pixels.keySet().find { !(it in allowed) }
            if (strange != null)
                throw new MaskStop("The mask of ${label} has the label ${strange}, which is in no class. Please report this.")
            plan.pixels = pixels
            plan.hidden = HiddenObjects.of(plan, image, pixels, task.downsample)
        }
        if (plan.data != null && Hash.sha256(plan.data) != plan.sha256)
            throw new MaskStop("${plan.data} of ${label} changed while it was exported. Save the image, then run again.")
        task.checkHidden(plan)
        def sha256 = writer.readBack()
        def record = MaskRecord.of(plan, task, 'done', plan.pixels, part.length())
        Files.move(part.toPath(), new File(folder.path, plan.mask).toPath(), StandardCopyOption.REPLACE_EXISTING,
                StandardCopyOption.ATOMIC_MOVE)
        folder.write("${plan.mask}.json", Json.text(MaskRecord.sidecar(record, plan, task, project, sha256)) + '\n')
        return record
    }
}
