import java.awt.image.BufferedImage
import qupath.lib.images.servers.AbstractImageServer
import qupath.lib.images.servers.ImageServerBuilder
import qupath.lib.images.servers.ImageServerMetadata
import qupath.lib.regions.RegionRequest

/** A slide of which only the size is known: a label image needs no more. */
class SlideOfSize extends AbstractImageServer<BufferedImage> {
    private final ImageServerMetadata metadata

    SlideOfSize(ImageServerMetadata metadata) {
        super(BufferedImage)
        this.metadata = metadata
    }

    @Override
    ImageServerMetadata getOriginalMetadata() { return metadata }

    @Override
    Collection<URI> getURIs() { return [] }

    @Override
    String getServerType() { return 'qpmask' }

    @Override
    BufferedImage readRegion(RegionRequest request) { throw new UnsupportedOperationException('The slide is not open.') }

    @Override
    protected ImageServerBuilder.ServerBuilder<BufferedImage> createServerBuilder() { return null }

    @Override
    protected String createID() { return 'qpmask ' + UUID.randomUUID() }
}
