"""Masks in strips: the same pixels, for programs that read no tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from ometiff.mask_samples import CLASSES, blobs, write

from qpmask import MaskWriter, open_mask
from qpmask.errors import Interrupted, MaskCheckError
from qpmask.ometiff import MaskFile, check_mask, tiffstrips
from qpmask.ometiff.tiffstrips import write_in_strips


@pytest.mark.parametrize("compression", ["lzw", "zlib", "none"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
@pytest.mark.parametrize("size", [(1, 1), (300, 500), (64, 65), (16, 2000)])
def test_the_same_pixels(
    tmp_path: Path, size: tuple[int, int], dtype: str, compression: str
) -> None:
    base = blobs(*size).astype(dtype)
    write(tmp_path / "tiles", base, compression=compression)
    write_in_strips(tmp_path / "tiles", tmp_path / "strips")
    with tifffile.TiffFile(tmp_path / "strips") as tif:
        page = tif.pages[0]
        assert len(tif.pages) == 1 and not page.is_tiled and page.rowsperstrip == min(16, size[0])
        assert np.array_equal(page.asarray(), base)
    with MaskFile(tmp_path / "strips") as mask:
        assert (mask.dtype, mask.compression, len(mask.levels)) == (base.dtype, compression, 1)
        assert mask.metadata is not None and mask.metadata.classes == CLASSES
        assert np.array_equal(mask.read(), base)


def test_a_check_takes_them_for_what_they_are(tmp_path: Path) -> None:
    base = blobs(300, 500)
    counts = write(tmp_path / "tiles", base).counts
    write_in_strips(tmp_path / "tiles", tmp_path / "strips")
    assert check_mask(tmp_path / "strips", counts=counts).problems == ()


def test_planes(tmp_path: Path) -> None:
    base = np.stack([blobs(100, 130, seed=i) for i in range(3)])
    write(tmp_path / "tiles", base, size_c=3)
    write_in_strips(tmp_path / "tiles", tmp_path / "strips")
    with MaskFile(tmp_path / "strips") as mask:
        assert np.array_equal(np.stack([mask.read(0, plane) for plane in range(3)]), base)
    assert np.array_equal(tifffile.imread(tmp_path / "strips"), base)


def test_equal_strips_share_their_bytes(tmp_path: Path) -> None:
    path = tmp_path / "tiles.ome.tif"
    with MaskWriter(path, 5000, 5000) as writer:
        writer.write(0, 0, np.ones((16, 16), np.uint8))
    write_in_strips(path, tmp_path / "strips")
    with MaskFile(tmp_path / "strips") as mask:
        assert len(np.unique(mask.segments()[0])) == 3  # with the label, without, the short last


def test_a_strip_that_comes_back_otherwise_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "tiles", blobs(100, 130))
    encode = tiffstrips.encode_tile
    monkeypatch.setattr(tiffstrips, "encode_tile", lambda tile, c: encode(tile[::-1], c))
    with pytest.raises(MaskCheckError, match="near row 0"):
        write_in_strips(tmp_path / "tiles", tmp_path / "strips")


def test_it_can_be_stopped_and_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path / "tiles", blobs(300, 130))

    def stop() -> None:
        raise Interrupted("stop")

    with pytest.raises(Interrupted):
        write_in_strips(tmp_path / "tiles", tmp_path / "strips", on_row=stop)
    assert not (tmp_path / "strips").exists()


def test_open_mask_reads_them(tmp_path: Path) -> None:
    base = blobs(300, 500)
    write(tmp_path / "tiles", base)
    write_in_strips(tmp_path / "tiles", tmp_path / "strips")
    with open_mask(tmp_path / "strips") as mask:
        assert np.array_equal(mask[10:200, 3:400], base[10:200, 3:400])
        assert mask.areas() == open_mask(tmp_path / "tiles").areas()
