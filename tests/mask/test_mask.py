"""An open mask: what it says about itself, as an array, its planes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from mask_files import BASE, CLASSES, blobs, write, write_foreign
from ometiff.mask_samples import AWKWARD_NAME, PIXEL_SIZE, histogram

import qpmask
from qpmask.errors import NoSuchClassError, OptionsError
from qpmask.geometry import Size
from qpmask.mask import Mask, open_mask
from qpmask.ometiff import ClassRow, MaskLayout, MaskMetadata, write_mask

# --- what it is -------------------------------------------------------------------------------


def test_what_it_says_about_itself(path: Path) -> None:
    with qpmask.open_mask(str(path)) as mask:
        assert isinstance(mask, qpmask.Mask)
        assert mask.path == path
        assert (mask.shape, mask.ndim, mask.size, len(mask)) == ((200, 330), 2, 66000, 200)
        assert (mask.dtype, mask.nbytes) == (np.uint8, 66000)
        assert [level.size for level in mask.levels] == [
            Size(330, 200), Size(165, 100), Size(83, 50), Size(42, 25)
        ]  # fmt: skip
        assert mask.levels[3].tile == Size(64, 64)
        assert mask.level_scales == ((1, 1), (2, 2), (4, 4), (8, 8))
        assert mask.mpp == (0.2527, 0.25)
        assert mask.pixel_size == PIXEL_SIZE
        assert dict(mask.classes) == {row.label: row for row in CLASSES}
        assert mask.metadata is not None and mask.metadata.name == "a mask"
        assert "m.ome.tif of 200 rows x 330 columns, uint8, 4 levels, 4 classes" in repr(mask)
        with pytest.raises(TypeError):
            mask.classes[9] = CLASSES[0]  # type: ignore[index]


def test_names_of_labels(mask: Mask) -> None:
    assert [mask.name_of(label) for label in (0, 1, 2, 7)] == [
        "(background)", AWKWARD_NAME, "Stroma", "label 7 (no class)"
    ]  # fmt: skip
    assert mask.labels_of("Stroma", 200, "Necrosis: late", 2, np.uint8(9)) == (2, 200, 3, 9)


def test_classes_that_are_not_there(mask: Mask) -> None:
    with pytest.raises(NoSuchClassError, match=r"no class 'stroma'.* mean 'Stroma'\?"):
        mask.binary("stroma")
    with pytest.raises(LookupError, match=r"Classes of this file: .*'Stroma', 'Necrosis: late'"):
        mask.tiles_with("Xylophone")
    for label in (-1, 256):
        with pytest.raises(NoSuchClassError, match=f"no label {label}"):
            mask.binary(label)
    with pytest.raises(OptionsError, match=r"not 1\.5"):
        mask.binary(1.5)  # type: ignore[arg-type]
    with pytest.raises(OptionsError, match="No class is given"):
        mask.binary()


def test_a_file_that_names_no_class(tmp_path: Path) -> None:
    write_foreign(tmp_path / "x.tif", BASE)
    with open_mask(tmp_path / "x.tif") as mask:
        assert dict(mask.classes) == {} and mask.mpp is None and mask.metadata is None
        with pytest.raises(NoSuchClassError, match="Classes of this file: none"):
            mask.binary("Tumor")
        assert mask.areas()[200].name == "label 200 (no class)"
        assert mask.areas()[200].area_mm2 is None


@pytest.mark.parametrize(
    ("resolution", "unit", "mpp"),
    [
        ((40000, 20000), "CENTIMETER", (0.25, 0.5)),
        ((50800, 50800), "INCH", (0.5, 0.5)),
        ((300, 300), "INCH", None),  # a printer's
        ((10, 10), "CENTIMETER", None),  # what libvips writes if it knows nothing
        ((4, 4), "NONE", None),
        ((0, 0), "CENTIMETER", None),  # as QuPath has it for a slide without a pixel size
    ],
)
def test_pixel_size_from_the_resolution(
    tmp_path: Path, resolution: Any, unit: str, mpp: tuple[float, float] | None
) -> None:
    path = tmp_path / "x.tif"
    write_foreign(path, BASE, resolution=resolution, resolutionunit=unit)
    with open_mask(path) as mask:
        assert mask.mpp == (None if mpp is None else pytest.approx(mpp))


@pytest.mark.parametrize(
    ("unit", "mpp"),
    [("micron", 0.5), ("\\u00B5m", 0.5), ("um", 0.5), ("Angstrom", 0.5e-4), ("inch", 12_700.0),
     ("cm", 5_000.0), ("mm", 500.0), ("nm", 0.5e-3), ("pixel", None), ("parsec", None)],
)  # fmt: skip
def test_pixel_size_in_the_unit_of_imagej(tmp_path: Path, unit: str, mpp: float | None) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, BASE, imagej=True, resolution=(2, 4), metadata={"unit": unit})
    with open_mask(path) as mask:
        assert mask.mpp == (None if mpp is None else pytest.approx((mpp, mpp / 2)))


# --- as an array ------------------------------------------------------------------------------


def test_as_an_array(mask: Mask) -> None:
    assert np.array_equal(np.asarray(mask), BASE)
    assert np.asarray(mask, np.int64).dtype == np.int64
    assert np.array_equal(np.array(mask, copy=True), BASE)
    assert np.array_equal(np.unique(mask), np.unique(BASE))
    with pytest.raises(ValueError, match="without a copy"):
        mask.__array__(copy=False)


def test_a_large_mask_is_not_loaded_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    size = Size(32769, 32768)
    layout = MaskLayout(size, 4096)
    write_mask(path, layout, MaskMetadata("x", size), (2 for _ in range(layout.grid.n_tiles)))
    with open_mask(path) as mask:
        assert mask.nbytes > 2**30
        for load in (np.asarray, np.unique, np.asarray):
            with pytest.raises(OptionsError, match=r"1\.1 GB .*region.*dask.*aszarr"):
                load(mask)
        assert mask[32767, -1] == 2
        assert mask.counts() == {2: size.area_px}
        assert mask.thumbnail(100).shape == (100, 100)


# --- planes -----------------------------------------------------------------------------------


def test_planes(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    base = np.stack([blobs(80, 90, seed=i) for i in range(12)])
    write(path, base, size_c=3, size_z=2, size_t=2, channel_names=("A", "B", "C"))
    with open_mask(path) as mask:
        assert (mask.n_planes, mask.plane_number) == (12, 0)
        assert "plane 0 of 12" in repr(mask)
        assert np.array_equal(mask[:], base[0])
        for t in range(2):
            for z in range(2):
                for c, name in enumerate("ABC"):
                    expected = base[c + 3 * (z + 2 * t)]
                    assert np.array_equal(mask.plane(c, z, t)[:], expected)
                    assert np.array_equal(mask.plane(name, z=z, t=t)[:], expected)
                    assert mask.plane(c, z, t).counts() == histogram(expected)
        with pytest.raises(NoSuchClassError, match=r"no channel 'D'.*'A', 'B', 'C'"):
            mask.plane("D")
        with pytest.raises(OptionsError, match=r"no plane z=2.*0 to 1"):
            mask.plane(0, 2)
    with open_mask(path, plane=7) as mask:
        assert np.array_equal(mask[:], base[7])
    for plane in (12, -1):
        with pytest.raises(OptionsError, match=f"no plane {plane}.*0 to 11"):
            open_mask(path, plane=plane)


def test_planes_of_a_multichannel_mask_are_classes(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    base = np.zeros((2, 50, 60), np.uint8)
    base[1, :10] = 255
    write(
        path, base, size_c=2, channel_names=("Stroma", "Tumor"), classes=(),
        extra={"kind": "multichannel"},
    )  # fmt: skip
    with open_mask(path) as mask:
        tumor = mask.plane("Tumor")
        assert dict(tumor.classes) == {255: ClassRow(255, "Tumor")}
        assert tumor.areas()[255].n_pixels == 600
        assert mask.areas()[255].n_pixels == 0
        assert np.array_equal(tumor.binary("Tumor")[:], base[1] > 0)
