import qupath.lib.scripting.QP

/** Finds the mask that was made of the open image, by its sidecar. */
class MaskSearch {
    static File ofOpenImage(String maskFolder) {
        def entry = QP.getProjectEntry()
        def projectFile = QP.getProject()?.getPath()?.toFile()
        if (entry == null || projectFile == null)
            throw new MaskStop('No project is open, so name the mask in the setting maskFile.')
        def folder = new File(maskFolder)
        folder = folder.absolute ? folder : new File(projectFile.parentFile, maskFolder)
        def sidecar = (folder.listFiles() ?: []).find {
            def image = it.name.endsWith('.ome.tif.json') ? Json.read(it)?.image : null
            image instanceof Map && image.entry_id == entry.getID() && image.name == entry.getImageName()
        }
        if (sidecar == null)
            throw new MaskStop("There is no mask of ${entry.getImageName()} in ${folder}. Export it, or name it in the setting maskFile.")
        return new File(sidecar.path[0..<-5])
    }
}
