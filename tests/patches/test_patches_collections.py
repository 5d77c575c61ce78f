"""Patches whose labels come from collections of masks: the same as from TIFFs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import DEMO
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mask_files import write
from patches.patch_runs import HEIGHT, LABELS, WIDTH, one, run
from patches.patch_slides import mask_file

from qpmask import MaskCollection, export_masks, export_options, open_mask, open_patches
from qpmask.collection.flatmask import CollectionMask
from qpmask.geometry import Affine
from qpmask.ometiff.reader import MaskFile
from qpmask.patches.classfractions import Axis, class_areas


@pytest.mark.parametrize("kind", ["ozx", "ome-zarr"])
@pytest.mark.parametrize("multichannel", [False, True])
def test_the_same_as_from_tiffs(kind: str, multichannel: bool, tmp_path: Path) -> None:
    made = {}
    for format in ("ome-tiff", kind):
        folder = tmp_path / format
        folder.mkdir()
        options = export_options(engine="native", multichannel=multichannel, format=format)
        assert export_masks(DEMO, folder / "masks", options=options).ok
        report = run(
            DEMO, folder, masks=folder / "masks", tissue="annotations", only="Tumor",
            target_mpp=1.0, tissue_classes=["Tumor"] if multichannel else [],
        )  # fmt: skip
        done = [record for record in report if record.ok]  # one image's slide is missing
        assert len(done) == 2 and all(record.mask is not None for record in done)
        if kind == "ozx" and format == kind:
            again = run(
                DEMO, folder, masks=folder / "masks", tissue="annotations", only="Tumor",
                target_mpp=1.0, tissue_classes=["Tumor"] if multichannel else [],
            )  # fmt: skip
            assert [r.status for r in again if r.ok] == ["skipped"] * 2
        for record in done:
            with open_patches(folder / "out" / record.file) as found:
                made[format, record.name] = found
    names = {name for _, name in made}
    assert any(len(made["ome-tiff", name]) for name in names)
    for name in names:
        want, got = made["ome-tiff", name], made[kind, name]
        assert got.classes == want.classes
        for column in ("coords", "tissue", "fractions", "majority"):
            assert np.array_equal(getattr(got, column), getattr(want, column)), column


def test_masks_that_no_export_made(slide: Path, tmp_path: Path) -> None:
    """Classes that do not overlap are told by label; with others each mask is counted by itself."""
    masks = tmp_path / "masks"
    masks.mkdir()
    mask_file(tmp_path / "a.ome.tif", LABELS, Affine(), slide, (WIDTH, HEIGHT))
    with MaskCollection(masks / "a.ozx", "w", shape=LABELS.shape) as found:
        for label in (1, 2, 3):
            found.add(f"c{label}", label == LABELS)
    report = run(slide, tmp_path, tissue="none", masks=masks)
    assert "--mask-frame slide" in str(report.records[0].error)
    how = {"tissue": "none", "masks": masks, "mask_frame": "slide"}
    patches = one(slide, tmp_path, **how)
    assert list(patches.classes) == ["c1", "c2", "c3"]
    for at, (x, y) in enumerate(patches.coords.tolist()):
        part = LABELS[y : y + 64, x : x + 64]
        want = [(part == label).mean() for label in (1, 2, 3)]
        assert patches.fractions[at] == pytest.approx(want)
    with MaskCollection(masks / "a.ozx", "a") as found:
        found.add("tissue", np.isin(LABELS, (1, 2, 3)))
        found.add("cells", (LABELS == 2) * np.uint16(999))
    patches = one(slide, tmp_path, **how, force=True)
    assert list(patches.classes) == ["c1", "c2", "c3", "tissue", "cells"]
    assert patches.fractions[:, 3] == pytest.approx(patches.fractions[:, :3].sum(axis=1), abs=1e-6)
    assert np.array_equal(patches.fractions[:, 4], patches.fractions[:, 1])
    # As tissue: any of its masks, or those that are named.
    for name, classes in ((masks, []), (masks / "a.ozx", ["c1", "c2"])):
        tissue = one(slide, tmp_path, tissue=str(name), tissue_classes=classes, force=True,
                     mask_frame="slide", min_tissue=0.0)  # fmt: skip
        chosen = (LABELS == 1) | (LABELS == 2) if classes else np.isin(LABELS, (1, 2, 3))
        for at, (x, y) in enumerate(tissue.coords.tolist()):
            share = chosen[y : y + 64, x : x + 64].mean()
            assert tissue.tissue[at] == pytest.approx(share)


def test_volumes_are_refused(slide: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    with MaskCollection(masks / "a.ozx", "w", shape=(3, *LABELS.shape)) as found:
        found.add("x", np.ones((3, *LABELS.shape), bool))
    report = run(slide, tmp_path, tissue="none", masks=masks, mask_frame="slide")
    assert "volumes" in str(report.records[0].error)


@settings(max_examples=25)
@given(data=st.data())
def test_areas_are_those_of_the_tiff(data: st.DataObject, tmp_path: Path) -> None:
    shape = data.draw(st.tuples(st.integers(1, 60), st.integers(1, 60)))
    labels = data.draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, 3), fill=st.just(0)))
    write(tmp_path / "m.ome.tif", labels, tile_px=16)
    with MaskCollection(tmp_path / "m.ozx", "w", shape=shape) as masks:
        for label in (1, 2, 3):
            masks.add(f"c{label}", labels == label)
    edge = st.floats(-9, 70, allow_nan=False)
    axes = []
    for _ in "xy":
        starts = np.array(data.draw(st.lists(edge, min_size=1, max_size=5)))
        axes.append(Axis(starts, starts + data.draw(st.floats(0.5, 40))))
    with MaskFile(tmp_path / "m.ome.tif") as tiff, open_mask(tmp_path / "m.ozx") as mask:
        assert isinstance(mask, CollectionMask)
        for wanted in ([1, 2, 3], [3, 1], None):
            one, other = (class_areas(m, wanted, *axes) for m in (tiff, mask))
            assert np.allclose(one, other, atol=1e-9)
