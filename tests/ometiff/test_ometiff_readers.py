"""Every program that masks are meant for reads all levels of a mask pixel for pixel."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from ometiff.mask_samples import (
    AWKWARD_NAME,
    CLASSES,
    PIXEL_SIZE,
    blobs,
    cut,
    levels_of,
    size_of,
    write,
)
from readers.javacalls import bio_formats_planes, qupath_planes, qupath_server

from qpmask import MaskWriter
from qpmask.errors import MaskError
from qpmask.geometry import Size
from qpmask.ometiff import MaskFile, MaskLayout, MaskMetadata, check_mask, write_mask

TILE_PX = 256


def disc_slide(dtype: str) -> np.ndarray:
    base = blobs(1100, 1301, dtype, n=30)
    factor = {"uint8": 1, "uint16": 300, "uint32": 300_000}[dtype]  # above what the next type holds
    return base * np.dtype(dtype).type(factor)


def um_of(level: int) -> list[float]:
    """Width and height of a level's pixels in micrometres."""
    return [PIXEL_SIZE.width_um * 2**level, PIXEL_SIZE.height_um * 2**level]


@pytest.fixture(
    scope="module",
    params=[
        ("uint8", "lzw", False),
        ("uint8", "lzw", True),
        ("uint8", "zlib", False),
        ("uint8", "zlib", True),
        ("uint16", "lzw", False),
        ("uint16", "zlib", True),
        ("uint32", "lzw", False),
        ("uint32", "zlib", True),
        ("uint8", "none", False),
    ],
    ids=lambda p: f"{p[0]}-{p[1]}-{'big' if p[2] else 'classic'}",
)
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A single-plane mask and its levels."""
    dtype, compression, big = request.param
    path = tmp_path_factory.mktemp("readers") / "mask.ome.tif"
    base = disc_slide(dtype)
    record = {"name": AWKWARD_NAME, "pixel_size": PIXEL_SIZE, "classes": CLASSES}
    metadata = MaskMetadata(
        **record, size=size_of(base), dtype=dtype, extra={"engine": "tests", "µ": "<&>"}
    )
    layout = MaskLayout(size_of(base), TILE_PX, dtype=dtype, compression=compression)
    result = write_mask(path, layout, metadata, cut(base, TILE_PX), _big=big)
    assert result.is_bigtiff is big
    assert check_mask(path, counts=result.counts, classes=np.unique(base).tolist()).problems == ()
    return path, levels_of(base, 4)


def test_tifffile(sample) -> None:
    path, levels = sample
    with tifffile.TiffFile(path) as tif:
        series = tif.series[0]
        assert series.kind == "ome" and len(series.levels) == 4
        for level, expected in zip(series.levels, levels, strict=True):
            assert np.array_equal(level.asarray(), expected)
    # tifffile reads the pages of an OME series as frames of the first page; a fresh start does not.
    with tifffile.TiffFile(path) as tif:
        for level, (page, expected) in enumerate(zip(tif.pages, levels, strict=True)):
            assert np.array_equal(page.asarray(), expected)
            per_cm = page.get_resolution(tifffile.RESUNIT.CENTIMETER)
            assert [1e4 / n for n in per_cm] == pytest.approx(um_of(level), rel=1e-6)


def test_openslide(sample) -> None:
    path, levels = sample
    if levels[0].dtype != np.uint8:
        pytest.skip("OpenSlide reads 8 bits only")
    openslide = pytest.importorskip("openslide", reason="OpenSlide reads masks")
    with openslide.OpenSlide(path) as slide:
        assert slide.level_count == 4
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.2527, rel=1e-12)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.25, rel=1e-12)
        for level, expected in enumerate(levels):
            height, width = expected.shape
            assert slide.level_dimensions[level] == (width, height)
            rgba = np.asarray(slide.read_region((0, 0), level, (width, height)))
            assert all(np.array_equal(rgba[..., i], expected) for i in range(3))
            assert (rgba[..., 3] == 255).all()


def test_gdal(sample) -> None:
    path, levels = sample
    rasterio = pytest.importorskip("rasterio", reason="rasterio is GDAL for Python")
    with warnings.catch_warnings():
        # A slide has no place on Earth.
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path) as dataset:
            assert np.array_equal(dataset.read(1), levels[0])
            assert dataset.overviews(1)[:3] == [2, 4, 8]
            tags = dataset.tags()
            per_cm = [float(tags[f"TIFFTAG_{axis}RESOLUTION"]) for axis in "XY"]
            assert tags["TIFFTAG_RESOLUTIONUNIT"].startswith("3"), "centimetres"
            assert [1e4 / n for n in per_cm] == pytest.approx(um_of(0), rel=1e-6)
        for overview in range(3):
            with rasterio.open(path, OVERVIEW_LEVEL=overview) as dataset:
                assert np.array_equal(dataset.read(1), levels[overview + 1])


def test_libvips(sample) -> None:
    path, levels = sample
    pyvips = pytest.importorskip("pyvips", reason="pyvips is libvips for Python")
    for level, expected in enumerate(levels):
        page = pyvips.Image.tiffload(str(path), page=level)
        assert np.array_equal(page.numpy(), expected)
        found = [1000 / page.xres, 1000 / page.yres]
        assert found == pytest.approx(um_of(level), rel=1e-6)
        if level:
            assert np.array_equal(
                pyvips.Image.tiffload(str(path), subifd=level - 1).numpy(), expected
            )


def test_pillow(sample) -> None:
    path, levels = sample
    image_module = pytest.importorskip("PIL.Image", reason="Pillow reads masks")
    with image_module.open(path) as image:
        assert image.n_frames == 4
        for level, expected in enumerate(levels):
            image.seek(level)
            assert image.mode == {1: "L", 2: "I;16", 4: "I"}[expected.itemsize]
            assert np.array_equal(np.asarray(image), expected)
            assert image.tag_v2[296] == 3, "centimetres"
            per_cm = [float(image.tag_v2[code]) for code in (282, 283)]
            assert [1e4 / n for n in per_cm] == pytest.approx(um_of(level), rel=1e-6)


def test_ome_types(sample) -> None:
    path, levels = sample
    ome_types = pytest.importorskip("ome_types", reason="ome-types validates OME-XML")
    ome = ome_types.from_tiff(path, validate=True)
    pixels = ome.images[0].pixels
    assert (pixels.size_x, pixels.size_y) == (1301, 1100)
    assert (pixels.physical_size_x, pixels.physical_size_y) == (0.2527, 0.25)
    assert pixels.type.value == levels[0].dtype.name


# --- Bio-Formats and QuPath -------------------------------------------------------------------


@pytest.mark.qupath
def test_bio_formats(sample, java_class) -> None:
    path, levels = sample
    metadata, found = bio_formats_planes(java_class, path)
    assert len(found) == 4
    for planes, expected in zip(found, levels, strict=True):
        assert len(planes) == 1 and np.array_equal(planes[0], expected)
    micrometre = java_class("ome.units.UNITS").MICROMETER
    assert metadata.getPixelsPhysicalSizeX(0).value(micrometre).doubleValue() == 0.2527
    assert metadata.getPixelsPhysicalSizeY(0).value(micrometre).doubleValue() == 0.25
    rows = [str(pair.getValue()) for pair in metadata.getMapAnnotationValue(0)]
    assert len(rows) == len(CLASSES)
    assert "Tümör <&>" in rows[0] and "肝" in rows[0]


@pytest.mark.qupath
def test_qupath(sample, java_class) -> None:
    path, levels = sample
    server = qupath_server(java_class, path)
    try:
        calibration = server.getPixelCalibration()
        assert calibration.getPixelWidthMicrons() == 0.2527
        assert calibration.getPixelHeightMicrons() == 0.25
        found = qupath_planes(java_class, server)
        assert len(found) == 4
        for channels, expected in zip(found, levels, strict=True):
            assert np.array_equal(channels[0], expected)
    finally:
        server.close()


@pytest.mark.qupath
@pytest.mark.parametrize("big", [False, True])
def test_bio_formats_several_planes(tmp_path: Path, java_class, big: bool) -> None:
    path = tmp_path / "mask.ome.tif"
    base = np.stack([blobs(300, 420, seed=i) for i in range(2 * 2 * 3)])
    write(
        path,
        base,
        tile_px=128,
        size_c=2,
        size_z=2,
        size_t=3,
        channel_names=("Stroma", AWKWARD_NAME),
        big=big,
    )
    metadata, found = bio_formats_planes(java_class, path)
    assert len(found) == 3
    for level, planes in enumerate(found):
        assert np.array_equal(np.stack(planes), base[:, :: 2**level, :: 2**level])
    assert str(metadata.getChannelName(0, 0)) == "Stroma"
    server = qupath_server(java_class, path)
    try:
        assert str(server.getChannel(0).getName()) == "Stroma"
        assert (server.nChannels(), server.nZSlices(), server.nTimepoints()) == (2, 2, 3)
        for t in range(3):
            for z in range(2):
                plane = 2 * (z + 2 * t)
                for level, channels in enumerate(qupath_planes(java_class, server, z, t)):
                    expected = base[plane : plane + 2, :: 2**level, :: 2**level]
                    assert np.array_equal(channels, expected)
    finally:
        server.close()


@pytest.mark.qupath
@pytest.mark.parametrize("compression", ["LZW", "ZLIB", "UNCOMPRESSED"])
@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_reading_what_qupath_writes(
    tmp_path: Path,
    java_class,
    compression: str,
    n_channels: int,
    interleaved: bool,
    bigtiff: bool,
) -> None:
    import jpype

    base = np.stack([blobs(900, 1300, seed=i) for i in range(n_channels)])
    buffered_image = java_class("java.awt.image.BufferedImage")
    kind = buffered_image.TYPE_BYTE_GRAY if n_channels == 1 else buffered_image.TYPE_3BYTE_BGR
    image = buffered_image(1300, 900, kind)
    for c in range(n_channels):
        samples = jpype.JArray(jpype.JInt)(base[c].astype(np.int32).ravel())
        image.getRaster().setSamples(0, 0, 1300, 900, c, samples)
    server = java_class("qupath.lib.images.servers.WrappedBufferedImageServer")("s", image)
    writer = java_class("qupath.lib.images.writers.ome.OMEPyramidWriter")
    builder = (
        writer.Builder(server)
        .tileSize(256)
        .compression(getattr(writer.CompressionType, compression))
        .bigTiff(bigtiff)
        .scaledDownsampling(1, 2)
    )
    builder = builder.channelsInterleaved() if interleaved else builder.channelsPlanar()
    path = tmp_path / "q.ome.tif"
    builder.build().writePyramid(str(path))
    with MaskFile(path) as mask:
        assert mask.n_planes == n_channels
        assert mask.size == Size(1300, 900)
        assert mask.metadata is not None and mask.metadata.classes == ()
        assert mask.metadata.size_c == n_channels
        for plane in range(n_channels):
            assert np.array_equal(mask.read(0, plane), base[plane])
        assert len(mask.levels) == 2
        with tifffile.TiffFile(path) as tif:
            for plane in range(n_channels):
                page, sample = divmod(plane, 1 if not interleaved else n_channels)
                expected = tif.pages[page].pages[0].asarray().reshape(450, 650, -1)
                assert np.array_equal(mask.read(1, plane), expected[:, :, sample])


def test_zstd_is_read_by_us_and_tifffile(tmp_path: Path) -> None:
    base = disc_slide("uint8")
    write(tmp_path / "m", base, tile_px=TILE_PX, compression="zstd")
    with tifffile.TiffFile(tmp_path / "m") as tif:
        assert np.array_equal(tif.pages[0].asarray(), base)
    with MaskFile(tmp_path / "m") as mask:
        assert np.array_equal(mask.read(), base)


def test_the_damage_no_reader_sees_is_an_error_here(tmp_path: Path) -> None:
    """Other readers give background for a tile with offset 0; that is no answer."""
    write(tmp_path / "m", disc_slide("uint8"), tile_px=TILE_PX, pyramid=False)
    with MaskFile(tmp_path / "m") as mask:
        offset = int(mask.segments()[0][7])
    data = (tmp_path / "m").read_bytes()
    (tmp_path / "m").write_bytes(data.replace(offset.to_bytes(4, "little"), bytes(4)))
    with MaskFile(tmp_path / "m") as mask, pytest.raises(MaskError, match="missing"):
        mask.read()


@pytest.mark.parametrize("size", [(2, 1), (5, 3), (100, 80), (128, 9), (130, 20), (300, 20)])
@pytest.mark.parametrize("tile_size", [16, 256, 272, 448, 512, 800, 4096])
def test_tiny_masks(tmp_path: Path, size: tuple[int, int], tile_size: int) -> None:
    """libvips refuses tiles that are far larger than the image."""
    pyvips = pytest.importorskip("pyvips", reason="pyvips is libvips for Python")
    base = blobs(size[1], size[0])
    written, streamed = tmp_path / "w.ome.tif", tmp_path / "s.ome.tif"
    with MaskWriter(written, *size, tile_size=tile_size) as writer:
        writer.write(0, 0, base)
    tiles = cut(np.pad(base, ((0, -size[1] % tile_size), (0, -size[0] % tile_size))), tile_size)
    MaskWriter.from_tiles(streamed, *size, tiles, tile_size=tile_size, order="rows")
    for path in (written, streamed):
        assert np.array_equal(pyvips.Image.tiffload(str(path)).numpy(), base)
        assert np.array_equal(tifffile.imread(path, series=0, level=0), base)
