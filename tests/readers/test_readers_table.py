"""The table of programs (``ometiff.otherprograms``) is what they do, and what the README says.

A cell that says ``right`` must be so with any version. One that says ``wrong`` or ``refused`` is
about one version; where another one is installed and does better, the table can be mended, and the
test says so and is skipped.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from ometiff.mask_samples import blobs, levels_of, write
from readers.calls import CALLS, reading
from readers.javacalls import imagej_reading, qupath_planes, qupath_server

from qpmask.ometiff.otherprograms import PROGRAMS, Program
from qpmask.ometiff.tiffstrips import write_in_strips

TILE_PX = 256
SCALE = {"uint8": 1, "uint16": 300, "uint32": 700_000}

CELLS = ("uint8", "uint16", "uint32", "zlib", "zstd", "none")
QUPATH, IMAGEJ = (next(p for p in PROGRAMS if p.name == name) for name in ("QuPath", "ImageJ"))
OTHERS = tuple(p for p in PROGRAMS if p.package)


def kind_of(cell: str) -> tuple[str, str]:
    """Pixel type and compression of the masks that a column of the table is about."""
    return (cell, "lzw") if cell in SCALE else ("uint8", cell)


def installed(program: Program) -> None:
    """Skip, and say so, where the program is not there."""
    module = CALLS[program.name][0].split(".")[0]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{program.name} is not installed ({program.package})")


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory):
    """Masks by pixel type and compression, each written once, with their level 0."""
    folder = tmp_path_factory.mktemp("masks")
    made: dict[tuple[str, str], tuple[Path, np.ndarray]] = {}

    def mask(dtype: str, compression: str) -> tuple[Path, np.ndarray]:
        if (dtype, compression) not in made:
            base = blobs(1100, 1301, n=30).astype(dtype) * np.array(SCALE[dtype], dtype)
            path = folder / f"{dtype}-{compression}.ome.tif"
            write(path, base, tile_px=TILE_PX, compression=compression)
            made[dtype, compression] = path, base
        return made[dtype, compression]

    return mask


def agree(program: Program, cell: str, found: str, said: str) -> None:
    """Compare what was found with what the table says."""
    if found == said:
        return
    version = importlib.metadata.version(program.package)
    if found == "right" and version != program.version:
        pytest.skip(f"{program.name} {version} reads {cell} right; the table says {said}")
    pytest.fail(f"{program.name} {version}: {cell} is {found}; the table says {said}")


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("program", OTHERS, ids=lambda p: p.name)
def test_level_0(program: Program, cell: str, masks) -> None:
    installed(program)
    path, base = masks(*kind_of(cell))
    agree(program, cell, reading(program.name, path, 0, base), getattr(program, cell))


@pytest.mark.parametrize("dtype", SCALE)
@pytest.mark.parametrize("program", OTHERS, ids=lambda p: p.name)
def test_masks_in_strips(program: Program, dtype: str, masks, tmp_path: Path) -> None:
    installed(program)
    path, base = masks(dtype, "lzw")
    write_in_strips(path, tmp_path / "m.ome.tif")
    said = program.strips
    if said == "right" and not program.is_mended:
        said = getattr(program, dtype)
    found = reading(program.name, tmp_path / "m.ome.tif", 0, base)
    agree(program, f"{dtype} in strips", found, said)


@pytest.mark.parametrize("program", OTHERS, ids=lambda p: p.name)
def test_whole_smaller_levels(program: Program, masks) -> None:
    installed(program)
    path, base = masks("uint8", "lzw")
    said = "refused" if program.levels == "one" else "right"
    for level, expected in enumerate(levels_of(base, 4)):
        if level:
            agree(program, f"level {level}", reading(program.name, path, level, expected), said)


@pytest.mark.qupath
@pytest.mark.parametrize("cell", CELLS)
def test_qupath(cell: str, masks, java_class, tmp_path: Path) -> None:
    path, base = masks(*kind_of(cell))
    server = qupath_server(java_class, path)
    try:
        found = qupath_planes(java_class, server)
    finally:
        server.close()
    levels = levels_of(base, 4)
    assert len(found) == len(levels)
    for channels, expected in zip(found, levels, strict=True):
        assert np.array_equal(channels[0], expected) is (getattr(QUPATH, cell) == "right")
    if cell in SCALE:
        write_in_strips(path, tmp_path / "m.ome.tif")
        server = qupath_server(java_class, tmp_path / "m.ome.tif")
        try:
            (channels,) = qupath_planes(java_class, server)
            assert np.array_equal(channels[0], base)
        finally:
            server.close()


@pytest.mark.qupath
@pytest.mark.parametrize("cell", CELLS)
def test_imagej(cell: str, masks, java_class, tmp_path: Path) -> None:
    """The one that QuPath brings."""
    path, base = masks(*kind_of(cell))
    assert imagej_reading(java_class, path, base) == getattr(IMAGEJ, cell)
    if cell in SCALE:
        write_in_strips(path, tmp_path / "m.ome.tif")
        assert imagej_reading(java_class, tmp_path / "m.ome.tif", base) == "right"
