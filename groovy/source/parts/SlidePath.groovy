import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.Paths
import java.text.Normalizer

/** The slide of an image on this machine. */
class SlidePath {
    /** Where the project says that it is, or moved along with the project; 'missing' where it is not. */
    static String of(Map entry, ProjectFile project) {
        for (uri in entry.uris) {
            def there = path(uri)
            if (there == null)
                continue
            def found = find(there)
            def old = path(project.uri)?.parent
            if (found == null && old != null && there.startsWith(old.root)) {
                def relative = Paths.get(composed(old)).relativize(Paths.get(composed(there)))
                found = find(project.file.parentFile.toPath().resolve(relative))
            }
            if (found != null)
                return found.toString()
        }
        return 'missing'
    }

    static String composed(path) {
        return Normalizer.normalize(path.toString(), Normalizer.Form.NFC)
    }

    private static Path path(uri) {
        try {
            return uri instanceof String ? Paths.get(new URI(uri)) : null
        } catch (Exception ignored) {
            return null
        }
    }

    /** A file by its path, whose names may be composed on one system and decomposed on another; or null. */
    private static Path find(Path path) {
        if (Files.exists(path))
            return path
        if (path.toString() ==~ /\p{ASCII}*/ || path.fileName == null || path.parent == null)
            return null
        def folder = find(path.parent)
        if (folder == null)
            return null
        def exact = folder.resolve(path.fileName)
        if (Files.exists(exact))
            return exact
        return (folder.toFile().listFiles() ?: []).sort { it.name }.find { composed(it.name) == composed(path.fileName) }?.toPath()
    }
}
