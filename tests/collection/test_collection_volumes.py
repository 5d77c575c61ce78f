"""Collections of volumes where masks of planes go: slice by slice, each of them a plane."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from conftest import Cli

from qpmask import MaskCollection, compare_masks, open_mask, save_picture, trace
from qpmask.errors import MaskError, OptionsError
from qpmask.viewer.opening import open_scene

SHAPE = (21, 30, 600)  # has a smaller level, of every fourth slice, row and column


def ball(z: int, y: int, x: int, radius: int) -> np.ndarray:
    place = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    away = sum((a - b) ** 2 for a, b in zip(place, (z, y, x), strict=True))
    return np.asarray(away < radius**2)


ORGANS = {
    "liver": ball(12, 14, 100, 8),
    "tumor": ball(14, 15, 104, 3),
    "spleen": ball(6, 9, 400, 4),
}


@pytest.fixture(scope="module", params=[".ozx", ".zarr"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("v") / f"ct{request.param}"
    with MaskCollection(path, "w", shape=SHAPE, spacing=(2.0, 1.0, 0.5)) as masks:
        for name, organ in ORGANS.items():
            masks.add(name, organ)
        cells = np.zeros(SHAPE, np.int32)
        cells[3, 4:8, 590:] = 70_000
        masks.add("cells", cells)
    return path


def flat() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    for label, organ in enumerate(ORGANS.values(), 1):
        labels[organ] = label
    labels[3, 4:8, 590:] = 4
    return labels


def test_slices_are_planes(path: Path) -> None:
    labels = flat()
    with open_mask(path) as mask:
        assert (mask.n_planes, mask.shape, mask.mpp) == (21, SHAPE[1:], (500.0, 1000.0))
        assert mask.metadata is not None and mask.metadata.size_z == 21
        for z in (0, 3, 4, 12, 14, 20):
            one = mask.plane(z=z)
            assert np.array_equal(one[:], labels[z])
            assert np.array_equal(one.region(0, 0, 600, 30, 4), labels[z, ::4, ::4])
            assert np.array_equal(one.region(96, 8, 40, 16, 8), labels[z, 8:24:8, 96:136:8])
            assert one.counts() == {
                int(n): int((labels[z] == n).sum()) for n in np.unique(labels[z])
            }
            organ = mask.plane("liver", z=z)
            assert np.array_equal(organ[:] != 0, ORGANS["liver"][z])
            tiles = list(one.tiles_with("tumor"))
            assert bool(tiles) == bool((labels[z] == 2).any())
            assert np.array_equal(pickle.loads(pickle.dumps(organ))[:], organ[:])
        assert np.array_equal(mask.volume[2:15, 3:20, ::7], labels[2:15, 3:20, ::7])
        assert np.array_equal(
            mask.plane("cells").volume[3, 4], np.where(labels[3, 4] == 4, 70_000, 0)
        )
        assert mask.plane("tumor", z=14).dtype == np.uint8
        for wrong in ({"z": 21}, {"z": -1}, {"t": 1}, {"c": 1}):
            with pytest.raises(OptionsError, match="slices are 0 to 20"):
                mask.plane(**wrong)
    with open_mask(path, plane=12) as mask:
        assert np.array_equal(mask[:], labels[12])
    with pytest.raises(OptionsError):
        open_mask(path, plane=21)


def test_polygons_of_each_slice(path: Path) -> None:
    table = trace(path, classes=["liver", "spleen"])
    want = {(z, name) for name in ("liver", "spleen") for z in range(21) if ORGANS[name][z].any()}
    assert len(table) == len(want)
    assert set(table.geometries.z.tolist()) == {z for z, _ in want}
    with open_mask(path) as mask:
        assert len(trace(mask.plane(z=14), classes=["liver", "tumor"])) == 2
        assert len(trace(mask.plane("tumor", z=14))) == 1


def test_compare(path: Path, tmp_path: Path, qpmask_cli: Cli) -> None:
    other = tmp_path / "other.ozx"
    with MaskCollection(other, "w", shape=SHAPE) as masks:
        for name, organ in ORGANS.items():
            masks.add(name, organ if name != "tumor" else organ & ~ORGANS["spleen"])
        changed = ORGANS["tumor"].copy()
        changed[14, 15, 100:110] = True
        masks.add("tumor", changed, replace=True)
    found = compare_masks(path, other)
    n = int((changed & ~ORGANS["tumor"]).sum())
    assert found.n_different == n
    assert found.n_pixels == 3 * int(np.prod(SHAPE))
    assert dict(found.pixels.by_plane) == {found.plane_names.index("tumor"): n}
    assert any("'cells'" in note for note in found.notes)
    code, out, _ = qpmask_cli("compare", str(path), str(other))
    assert code == 1 and "In which masks" in out and "tumor" in out
    with MaskCollection(tmp_path / "plane.ozx", "w", shape=SHAPE[1:]) as masks:
        masks.add("tumor", changed[14])
    with pytest.raises(MaskError, match="21 planes, the second 1"):
        compare_masks(path, tmp_path / "plane.ozx")


def test_info_check_and_pictures(path: Path, tmp_path: Path, qpmask_cli: Cli) -> None:
    assert qpmask_cli("check", str(path))[0] == 0
    code, out, _ = qpmask_cli("info", str(path))
    assert code == 0 and "600 x 30 x 21 voxels" in out
    code, out, _ = qpmask_cli("info", str(path), "--json")
    assert json.loads(out)["masks"][0]["volume_mm3"] == ORGANS["liver"].sum()
    pytest.importorskip("matplotlib")
    save_picture(path, tmp_path / "a.png")
    with open_scene(path) as scene:  # where something is
        assert "plane 11 of 21" in str(scene.caption.plane)
    with open_scene(path, plane="spleen") as scene:
        assert "plane 6 of 21" in str(scene.caption.plane)
    code, _, err = qpmask_cli("view", str(path), "--plane", "21", "--save", str(tmp_path / "b.png"))
    assert code == 2 and "0 to 20" in err
