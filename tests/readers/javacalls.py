"""What Bio-Formats and QuPath's own image server read; for tests that need a QuPath."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def bio_formats_planes(java_class: Any, path: Path) -> tuple[Any, list[list[np.ndarray]]]:
    """The metadata and, by level, the planes that Bio-Formats reads."""
    reader = java_class("loci.formats.ImageReader")()
    metadata = java_class("loci.formats.MetadataTools").createOMEXMLMetadata()
    reader.setMetadataStore(metadata)
    reader.setFlattenedResolutions(False)
    reader.setId(str(path))
    assert str(reader.getFormat()) == "OME-TIFF" and reader.getSeriesCount() == 1
    levels = []
    try:
        for level in range(reader.getResolutionCount()):
            reader.setResolution(level)
            bits = reader.getBitsPerPixel()
            dtype = np.dtype(f"{'<' if reader.isLittleEndian() else '>'}u{bits // 8}")
            shape = (reader.getSizeY(), reader.getSizeX())
            levels.append(
                [
                    np.frombuffer(bytes(reader.openBytes(plane)), dtype).reshape(shape)
                    for plane in range(reader.getImageCount())
                ]
            )
    finally:
        reader.close()
    return metadata, levels


def qupath_server(java_class: Any, path: Path) -> Any:
    builder = java_class("qupath.lib.images.servers.bioformats.BioFormatsServerBuilder")()
    return builder.buildServer(java_class("java.io.File")(str(path)).toURI())


def qupath_planes(java_class: Any, server: Any, z: int = 0, t: int = 0) -> list[np.ndarray]:
    """By level, the channels that QuPath's own server reads, shape (channels, rows, columns)."""
    import jpype

    tiles = server.getTileRequestManager()
    levels = []
    for level in range(server.nResolutions()):
        md = server.getMetadata()
        out = np.zeros(
            (server.nChannels(), md.getLevel(level).getHeight(), md.getLevel(level).getWidth()), int
        )
        for request in tiles.getTileRequestsForLevel(level):
            if request.getZ() != z or request.getT() != t:
                continue
            raster = server.readRegion(request.getRegionRequest()).getRaster()
            height, width = raster.getHeight(), raster.getWidth()
            y, x = request.getTileY(), request.getTileX()
            for c in range(server.nChannels()):
                samples = jpype.JArray(jpype.JInt)(height * width)
                raster.getSamples(0, 0, width, height, c, samples)
                out[c, y : y + height, x : x + width] = np.array(samples).reshape(height, width)
        levels.append(out)
    return levels


def imagej_reading(java_class: Any, path: Path, expected: np.ndarray) -> str:
    """What ImageJ makes of a file: ``right``, ``wrong`` or ``refused``."""
    image = java_class("ij.IJ").openImage(str(path))
    if image is None:
        return "refused"
    pixels = np.array(image.getProcessor().getPixels())
    if pixels.dtype.kind == "i":
        pixels = pixels.view(f"u{pixels.itemsize}")
    return "right" if np.array_equal(pixels.reshape(expected.shape), expected) else "wrong"
