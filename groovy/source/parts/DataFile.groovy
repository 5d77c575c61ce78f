import qupath.lib.objects.hierarchy.PathObjectHierarchy

/** The data file of an image, read from its first line to its last. */
class DataFile {
    /**
     * Objects and the text that says how to open the image. QuPath itself answers a damaged file with
     * an image without objects, which would make a blank mask; here it is an error.
     */
    static Map read(File file) {
        def result = [:]
        try {
            file.withInputStream { raw ->
                def bytes = new BufferedInputStream(raw, 1 << 20)
                def stream = new ObjectInputStream(bytes)
                if (!(stream.readUTF().strip() ==~ /Data file version [234](\.0)?/))
                    throw new IOException('its first line does not name a version that is known')
                result.server = stream.readObject()
                for (int i = 0; ; i++) {
                    def value
                    try {
                        value = stream.readObject()
                    } catch (ClassNotFoundException error) {
                        if (i > 100)
                            throw error
                        continue  // something of an extension that is not installed
                    }
                    if (value instanceof PathObjectHierarchy) {
                        if (value.getRootObject() == null)
                            throw new IOException('its hierarchy has no root')
                        result.hierarchy = new PathObjectHierarchy()
                        result.hierarchy.setHierarchy(value)
                    } else if ('EOF'.equals(value)) {
                        break
                    }
                }
                if (bytes.read() != -1)
                    throw new IOException('bytes follow after its end')
            }
            if (result.hierarchy == null)
                throw new IOException('it holds no objects and no list of them')
            return result
        } catch (OutOfMemoryError error) {
            throw file.length() < Runtime.runtime.maxMemory().intdiv(20) ? damaged(file, 'it asks for more memory than there is') : error
        } catch (FileNotFoundException error) {
            throw error
        } catch (Exception | StackOverflowError error) {
            throw damaged(file, error instanceof EOFException ? 'it ends too early' : error.message ?: error.class.simpleName)
        }
    }

    private static MaskStop damaged(File file, String why) {
        def backup = new File(file.path + '.bkp')
        return new MaskStop("${file} is damaged: ${why}. " + (backup.isFile()
                ? "QuPath's backup of it lies beside it: ${backup}." : 'Restore it from a backup.'))
    }
}
