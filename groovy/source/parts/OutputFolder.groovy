import java.nio.ByteBuffer
import java.nio.channels.FileChannel
import java.nio.channels.OverlappingFileLockException
import java.nio.charset.StandardCharsets
import java.nio.file.Files
import java.nio.file.StandardCopyOption
import java.nio.file.StandardOpenOption

/** The folder of the masks: one run at a time; files that appear whole or not at all; what was there before. */
class OutputFolder {
    final File path, work

    OutputFolder(File path) {
        this.path = path
        work = new File(path, '.qpmask')
    }

    /** The class map that an earlier run left, or null. */
    ClassMap classMap() {
        def saved = new File(path, 'classes.yaml')
        return saved.isFile() ? ClassMapText.load(saved) : null
    }

    /** Masks of another project are not written over: names and labels mean other things. */
    void refuseMasksOfAnother(ProjectFile project) {
        def images = project.images.collect { [it.id, it.name] } as Set
        def foreign = [:]
        sidecars().each { mask, sidecar ->
            def image = sidecar.image
            def owner = image instanceof Map ? image.project : null
            if (!(owner instanceof String) || !new File(path, mask).exists() ||
                    SlidePath.composed(owner) == SlidePath.composed(project.file.path))
                return
            // A project that has moved is the same one.
            def other = new File(owner)
            if (other.exists() ? Files.isSameFile(other.toPath(), project.file.toPath()) : [image.entry_id, image.name] in images)
                return
            foreign.computeIfAbsent(owner, { [] }) << mask
        }
        foreign.each { owner, masks ->
            throw new MaskStop("${path} holds ${Words.count(masks.size(), 'mask')} of another project, ${owner}, " +
                    "such as ${masks[0]}. Choose another folder. The setting overwrite = true goes on: masks of the same name " +
                    "are replaced, and labels follow the folder's classes.yaml.")
        }
    }

    /** Words on masks of an earlier run whose labels may mean something else. */
    List<String> staleMasks(List<String> mine, ClassMap classes) {
        def labels = ClassMap.labelsIn(classes.rules())
        def other = sidecars().findAll { mask, sidecar ->
            def then = sidecar.made_from instanceof Map && !(mask in mine) ? ClassMap.labelsIn(sidecar.made_from.rules) : labels
            !(then in [labels, [:]])  // without rules: a mask of instances, whose labels are objects
        }.keySet()
        if (!other)
            return []
        def named = other.take(3).join(', ') + (other.size() > 3 ? " and ${other.size() - 3} more" : '')
        return ["The folder also holds ${Words.count(other.size(), 'mask')} made with another class map: ${named}. ".toString() +
                'Their labels may mean something else; export them again or use another folder.']
    }

    /** Sidecars by the names of their masks. */
    private Map<String, Map> sidecars() {
        return (path.listFiles() ?: []).findAll { it.name.endsWith('.json') }.sort { it.name }
                .collectEntries { [(it.name[0..<-5]): Json.read(it)] }.findAll { it.value instanceof Map }
    }

    /** Runs this with the folder to itself: one run at a time, of this script or of qpmask. What a killed run left is removed. */
    void locked(Closure run) {
        def channel = null
        boolean isMine = false
        try {
            Files.createDirectories(work.toPath())
            channel = FileChannel.open(work.toPath().resolve('lock'), StandardOpenOption.CREATE, StandardOpenOption.WRITE)
            isMine = channel.tryLock() != null && !isLockedByPython()
        } catch (OverlappingFileLockException ignored) {
            // by this process
        } catch (IOException error) {
            channel?.close()
            throw new MaskStop("The output folder ${path} cannot be written: ${error.message}. Check the path and its permissions.")
        }
        if (!isMine) {
            channel.close()
            throw new MaskStop("Another run of qpmask is writing to ${path}. Wait for it to end, or choose another folder.")
        }
        try {
            work.listFiles().each { if (it.name != 'lock') it.delete() }
            run()
        } finally {
            channel.close()
            work.deleteDir()
        }
    }

    /** On Linux, Python's lock is of a kind that Java's knows nothing of. */
    private boolean isLockedByPython() {
        def locks = new File('/proc/locks')
        def inode = locks.canRead() ? Files.getAttribute(work.toPath().resolve('lock'), 'unix:ino') : null
        return inode && locks.readLines().any { it.contains(' FLOCK ') && it =~ /:${inode} / }
    }

    void write(String name, String text) {
        def made = work.toPath().resolve("${name}.part")
        FileChannel.open(made, StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING)
                .withCloseable { channel ->
                    channel.write(ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8)))
                    channel.force(true)
                }
        Files.move(made, path.toPath().resolve(name), StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE)
    }
}
