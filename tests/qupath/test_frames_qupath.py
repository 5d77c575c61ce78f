"""Frames against a real QuPath: its server's pixels are the file's, where the matrix leads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from slides.slide_samples import write_scn

from qpmask.geometry import Affine, Bounds, Size
from qpmask.geometry.frames import Frame
from qpmask.project.serverchain import read_frame

pytestmark = pytest.mark.qupath

WIDTH, HEIGHT = 100, 80
SIZE = Size(WIDTH, HEIGHT)
SERVERS = "qupath.lib.images.servers."


def places(width: int, height: int) -> np.ndarray:
    """A slide whose pixels say where they are: red x, green y, blue 200."""
    pixels = np.full((height, width, 3), 200, np.uint8)
    pixels[:, :, 0] = np.arange(width) + 1
    pixels[:, :, 1] = np.arange(height)[:, None] + 1
    return pixels


@pytest.fixture(scope="module")
def slide(qupath: object, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server over a slide of two series."""
    path = tmp_path_factory.mktemp("frames") / "slide 1.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        for pixels in (places(WIDTH, HEIGHT), places(60, 50)):
            tif.write(pixels, photometric="rgb")
    return path


def java(name: str) -> Any:
    import jpype

    return jpype.JClass(name)


def open_server(path: Path, *args: str) -> Any:
    return java(SERVERS + "ImageServers").buildServer(path.as_uri(), *args)


def frame_of(server: Any) -> Frame:
    """The frame as it is read from what QuPath writes of the server."""
    gson = java("qupath.lib.io.GsonTools").getInstance()
    builder = java(SERVERS + "ImageServerBuilder$ServerBuilder")
    return read_frame(json.loads(str(gson.toJson(server.getBuilder(), builder.class_))))


def pixels_of(server: Any) -> np.ndarray:
    """Red and green of what QuPath shows, shape (rows, columns, 2)."""
    import jpype

    width, height = int(server.getWidth()), int(server.getHeight())
    raster = server.readRegion(1.0, 0, 0, width, height).getRaster()
    bands = [
        np.array(raster.getSamples(0, 0, width, height, band, jpype.JInt[width * height]))
        for band in (0, 1)
    ]
    return np.stack(bands, -1).reshape(height, width, 2)


def compare(
    server: Any, *, off_px: int = 0, size: Size = SIZE, bounds: Bounds | None = None
) -> Frame:
    """Every pixel that QuPath shows is the one of the file that the matrix names."""
    frame = frame_of(server)
    to_file = frame.to_file(size, bounds)
    if bounds is not None:  # pixels say where they lie within the bounds
        to_file = Affine.shift(-bounds.x_px0, -bounds.y_px0) @ to_file
        size = bounds.size
    shown = pixels_of(server)
    assert shown.any()
    rows, cols = np.nonzero(shown.any(axis=2))  # black: beside the file
    x_file, y_file = to_file(cols + 0.5, rows + 0.5)
    found = shown[rows, cols] - 1
    expected = np.floor(np.stack([x_file, y_file], -1))
    assert np.abs(found - expected).max() <= off_px, frame.words()
    # And what is black lies beside the file.
    rows, cols = np.nonzero(~shown.any(axis=2))
    x_file, y_file = to_file(cols + 0.5, rows + 0.5)
    inside = np.minimum(
        np.minimum(x_file, size.width_px - x_file), np.minimum(y_file, size.height_px - y_file)
    )
    assert inside.max(initial=-1) <= off_px
    return frame


def turn(quarters: int) -> Any:
    rotation = java(SERVERS + "RotatedImageServer$Rotation")
    return (rotation.ROTATE_NONE, rotation.ROTATE_90, rotation.ROTATE_180, rotation.ROTATE_270)[
        quarters
    ]


def region(x: int, y: int, width: int, height: int) -> Any:
    return java("qupath.lib.regions.ImageRegion").createInstance(x, y, width, height, 0, 0)


def affine(*values: float) -> Any:
    """In Java's order: m00, m10, m01, m11, m02, m12."""
    import jpype

    return java("java.awt.geom.AffineTransform")(jpype.JDouble[:](values))


@pytest.fixture
def built(slide: Path) -> Callable[..., Any]:
    """QuPath's builder of wrapped servers, over the slide."""
    return lambda: java(SERVERS + "TransformedServerBuilder")(open_server(slide))


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_rotations(built: Callable[..., Any], quarters: int) -> None:
    frame = compare(built().rotate(turn(quarters)).build())
    assert bool(frame.words()) == (quarters > 0)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_rotated_crops_and_crops_of_rotations(built: Callable[..., Any], quarters: int) -> None:
    compare(built().crop(region(10, 20, 30, 40)).build())
    compare(built().crop(region(10, 20, 30, 40)).rotate(turn(quarters)).build())
    compare(built().rotate(turn(quarters)).crop(region(5, 7, 50, 31)).rotate(turn(1)).build())


def test_flips(built: Callable[..., Any], slide: Path) -> None:
    if not hasattr(built(), "flip"):
        pytest.skip("QuPath flips since 0.7")
    flip = java(SERVERS + "FlippedImageServer$Flip")
    for how in (flip.NONE, flip.HORIZONTAL, flip.VERTICAL, flip.BOTH):
        compare(built().flip(how).build())
        compare(built().crop(region(10, 20, 30, 40)).flip(how).rotate(turn(1)).build())


@pytest.mark.parametrize(
    "values",
    [
        (1, 0, 0, 1, -10, -20),  # moved: the image begins within the file
        (1, 0, 0, 1, 12, 5),  # and before it
        (2, 0, 0, 2, 0, 0),
        (0, 1, -1, 0, HEIGHT, 0),  # a quarter turn
        (-1, 0, 0, 1, WIDTH, 0),  # mirrored
    ],
)
def test_transforms(built: Callable[..., Any], values: tuple[float, ...]) -> None:
    compare(built().transform(affine(*values)).build())


def test_transforms_by_any_angle(built: Callable[..., Any]) -> None:
    """Java's interpolation may take the neighbour."""
    compare(built().transform(affine(0.8, 0.6, -0.6, 0.8, 50, -10)).build(), off_px=1)
    compare(built().transform(affine(1.3, 0.1, 0.2, 0.9, -3.3, 4.7)).build(), off_px=1)


def test_channels_and_pyramids_move_nothing(built: Callable[..., Any], slide: Path) -> None:
    import jpype

    servers = java(SERVERS + "ImageServers")
    pyramid = servers.pyramidalize(open_server(slide), jpype.JDouble[:]([1.0, 2.0]))
    assert compare(pyramid).is_whole
    assert compare(built().concatChannels(open_server(slide)).build()).notes
    turned = built().rotate(turn(1)).concatChannels(built().rotate(turn(1)).build()).build()
    compare(turned)
    assert frame_of(built().reorderRGB("BGR").build()).is_whole
    assert frame_of(built().averageChannelProject().build()).is_whole


def test_a_series_is_named(slide: Path) -> None:
    frame = compare(open_server(slide, "--series", "1"), size=Size(60, 50))
    assert frame.file is not None and frame.file.series == 1


def test_a_rotation_among_the_arguments(slide: Path) -> None:
    frame = compare(open_server(slide, "--rotate", "ROTATE_180"))
    assert frame.words() == "rotated by 180 degrees"


@pytest.mark.parametrize("args", [(), ("--no-crop",)])
def test_openslide_s_bounds(tmp_path: Path, qupath: object, args: tuple[str, ...]) -> None:
    bounds, full = Bounds(100, 40, SIZE), Size(400, 300)
    path = write_scn(tmp_path / "a.scn", places(WIDTH, HEIGHT), 100, 40, (400, 300))
    name = SERVERS + "openslide.OpenslideServerBuilder"
    server = open_server(path, "--classname", name, *args)
    assert int(server.getWidth()) == (400 if args else WIDTH)
    builder = java(SERVERS + "TransformedServerBuilder")
    part = region(110, 50, 60, 50) if args else region(10, 10, 60, 50)
    for built in (builder(server).crop(part), builder(server).crop(part).rotate(turn(1))):
        frame = compare(built.build(), size=full, bounds=bounds)
        assert frame.file is not None and frame.file.cut == ("no" if args else "yes")
    if not args:
        compare(server, size=full, bounds=bounds)
        compare(builder(server).rotate(turn(2)).build(), size=full, bounds=bounds)


def test_compositions_are_not_known(slide: Path) -> None:
    manager = java(SERVERS + "SparseImageServer$Builder")()
    manager.serverRegion(region(0, 0, WIDTH, HEIGHT), 1.0, open_server(slide))
    frame = frame_of(manager.build())
    assert frame.matrix is None and frame.unknown is not None and "several" in frame.unknown


def test_this_module_knows_every_builder_of_this_qupath() -> None:
    """A new QuPath with a builder of its own makes this fail before it makes anyone guess."""
    factory = java(SERVERS + "ImageServers").getServerBuilderFactory()
    field = factory.getClass().getDeclaredField("labelToSubtype")
    field.setAccessible(True)
    names = {str(name) for name in field.get(factory).keySet()}
    assert "rotated" in names
    unknown = {
        name for name in names
        if "does not know" in str(read_frame({"builderType": name, "builder": {}}).unknown)
    }  # fmt: skip
    assert unknown == set()
