import groovy.xml.XmlSlurper
import loci.formats.tiff.TiffParser
import qupath.lib.images.servers.ImageServer
import qupath.lib.images.servers.ImageServerBuilder.ServerBuilder
import qupath.lib.io.GsonTools

/** What a mask says about itself: its classes, and the image that it was made of. */
class ClassTable {
    final File file
    final SortedMap<Integer, Map> classes = new TreeMap<>()  // name and colour of each label
    final Map<String, String> notes = [:]                    // such as kind, downsample, frame

    static ClassTable read(File file) {
        if (!file.isFile())
            throw new MaskStop("There is no mask ${file}.")
        return new ClassTable(file)
    }

    private ClassTable(File file) {
        this.file = file
        def parser = new TiffParser(file.path)
        try {
            new XmlSlurper().parseText(parser.getComment().trim()).StructuredAnnotations.MapAnnotation.each { table ->
                table.Value.M.each { row ->
                    if (table.@Namespace == 'qpmask/classes')
                        classes[row.@K.text() as int] = Json.parse(row.text()) as Map
                    else
                        notes[row.@K.text()] = row.text()
                }
            }
        } catch (Exception error) {
            throw new MaskStop("${file} has no class table that can be read (${error.message}). It must be a mask of qpmask.")
        } finally {
            parser.getStream().close()
        }
        if (!classes || notes.kind != 'classes')
            throw new MaskStop("${file} has no class table: it is no mask of classes by qpmask.")
    }

    double getDownsample() {
        return notes.downsample as double
    }

    /** The open image has to be of the size and to lie in its file as the one that the mask was made of. */
    void refuseOtherImage(ImageServer server) {
        if (notes.image_width_px as int != server.getWidth() || notes.image_height_px as int != server.getHeight())
            throw new MaskStop("${file} was made of an image of ${notes.image_width_px} x ${notes.image_height_px} pixels; the open " +
                    "one has ${server.getWidth()} x ${server.getHeight()}.")
        def frame = notes.frame ? Json.parse(notes.frame) : null
        if (frame?.mask_to_file == null)
            return
        def builder = Json.parse(GsonTools.getInstance().toJson(server.getBuilder(), ServerBuilder)) as Map
        def said = { steps -> steps.findAll { !it.startsWith('cut to') && it != 'rotated by its arguments' }.join(', ') }
        def (then, now) = [said(frame.steps), said(ImageFrame.read(builder, null).steps)]
        if (then != now)
            throw new MaskStop("${file} was made of an image that QuPath shows ${then ?: 'as its file is'}; the open one is shown " +
                    "${now ?: 'as its file is'}.")
    }
}
