"""Masks of other kinds of files, packed and unpacked."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from conftest import Cli

from qpmask import MaskCollection, MaskWriter, open_mask
from qpmask.collection.packing import pack, unpack
from qpmask.errors import MaskError, OptionsError

VOLUME = (12, 20, 16)


def organ(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(VOLUME) > 0.8


def test_nifti_as_totalsegmentator_writes_it(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    affine = np.array([[-1.5, 0, 0.1, 10], [0, -1.5, 0, 20], [0, 0.2, 3, 30], [0, 0, 0, 1.0]])
    folder = tmp_path / "segmentations"
    folder.mkdir()
    for i, name in enumerate(("liver", "rib_left_1", "spleen")):
        image = nibabel.Nifti1Image(organ(i).T.astype(np.uint8), affine)
        nibabel.save(image, folder / f"{name}.nii.gz")
    assert pack([folder], tmp_path / "ct.ozx") == ("liver", "rib_left_1", "spleen")
    with MaskCollection(tmp_path / "ct.ozx") as masks:
        assert masks.spacing == pytest.approx(nibabel.affines.voxel_sizes(affine)[::-1])
        assert masks.unit == "millimeter"
        assert np.array_equal(masks["spleen"][:], organ(2))
    for path in unpack(tmp_path / "ct.ozx", tmp_path / "back", names=["liver", "spleen"]):
        back, before = nibabel.load(path), nibabel.load(folder / path.name)
        assert np.array_equal(np.asarray(back.dataobj), np.asarray(before.dataobj))
        assert back.get_data_dtype() == np.uint8
        assert np.allclose(back.affine, affine, atol=1e-5)


def test_nifti_that_lies_elsewhere(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    for name, shift in (("a", 0), ("b", 7)):
        affine = np.eye(4)
        affine[0, 3] = shift
        nibabel.save(
            nibabel.Nifti1Image(organ(0).astype(np.uint8), affine), tmp_path / f"{name}.nii"
        )
    with pytest.raises(MaskError, match=r"b\.nii lies elsewhere than"):
        pack([tmp_path / "a.nii", tmp_path / "b.nii"], tmp_path / "ct.ozx")
    assert not list(tmp_path.glob("ct*"))


LABEL_TABLE = (
    b'<?xml version="1.0" encoding="UTF-8"?> <CaretExtension>  <Date><![CDATA[2013-07-14]]></Date>'
    b'<VolumeInformation Index="0">   <LabelTable>\n'
    b'<Label Key="0" Red="0" Green="0" Blue="0" Alpha="0"><![CDATA[???]]></Label>'
    b'<Label Key="1" Red="1.0" Green="0.501960784" Blue="0" Alpha="1"><![CDATA[spleen]]></Label>\n'
    b'<Label Key="5" Red="0" Green="0.1" Blue="7" Alpha="1"><![CDATA[liver]]></Label>\n'
    b'<Label Key="9" Red="0" Green="0" Blue="0" Alpha="1"><![CDATA[brain]]></Label>\n'
    b"</LabelTable> <VolumeType><![CDATA[Label]]></VolumeType> </VolumeInformation>"
    b"</CaretExtension>\n              "
)


@pytest.mark.parametrize("code", [0, 30])  # what TotalSegmentator has, and what it should be
def test_a_label_map_with_names_and_colours_in_its_header(code: int, tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    labels = np.zeros(VOLUME, np.uint8)
    labels[2:5], labels[6:9, 4:8] = 1, 5
    labels[11, 19, 15] = 7  # has no name
    image = nibabel.Nifti1Image(labels.T, np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(6, b"<a comment"))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(code, LABEL_TABLE))
    nibabel.save(image, tmp_path / "all.nii.gz")
    pack([tmp_path / "all.nii.gz"], tmp_path / "ct.ozx")
    with MaskCollection(tmp_path / "ct.ozx") as masks:
        found = {row.name: (row.label, row.color) for row in masks.rows()}
        assert found == {"spleen": (1, (255, 128, 0)), "liver": (5, None), "all 7": (7, None)}
        assert np.array_equal(masks.flat[:], labels)


@pytest.mark.parametrize(
    "unit, factor, dtype, codes",
    [("mm", 1, np.int16, (1, 1)), ("micron", 1e-3, np.uint8, (0, 2)), ("unknown", 1, "f4", (3, 0))],
)
def test_nifti_comes_back_with_its_geometry_units_and_type(
    unit: str, factor: float, dtype: Any, codes: tuple[int, int], tmp_path: Path
) -> None:
    nibabel = pytest.importorskip("nibabel")
    affine = np.array([[0, -2, 0, 5], [1.5, 0, 0, -7], [0, 0, 3, 30], [0, 0, 0, 1.0]])
    before = {}
    for number, name in enumerate(("liver", "CON", "rib_left_1")):
        image = nibabel.Nifti1Image(organ(number).T.astype(dtype), affine)
        image.header.set_xyzt_units(unit)
        image.set_qform(affine, codes[0])
        image.set_sform(affine, codes[1])
        nibabel.save(image, tmp_path / f"{name}.nii.gz")
        before[name] = nibabel.load(tmp_path / f"{name}.nii.gz")
    pack([tmp_path], tmp_path / "ct.ozx")
    with MaskCollection(tmp_path / "ct.ozx") as masks:
        assert masks.spacing == pytest.approx([3 * factor, 2 * factor, 1.5 * factor])
        assert all(masks[name].dtype == bool for name in masks)
    files = unpack(tmp_path / "ct.ozx", tmp_path / "back")
    names = {path.name.removesuffix(".nii.gz").lstrip("_"): path for path in files}
    assert set(names) == set(before)  # a name that Windows keeps has an underscore in front
    for name, path in names.items():
        after = nibabel.load(path)
        assert np.array_equal(np.asarray(after.dataobj), np.asarray(before[name].dataobj))
        assert np.allclose(after.affine, before[name].affine)
        assert after.get_data_dtype() == before[name].get_data_dtype()
        assert after.header.get_zooms() == pytest.approx(before[name].header.get_zooms())
        for key in ("xyzt_units", "qform_code", "sform_code"):
            assert after.header[key] == before[name].header[key], key


def test_nifti_that_is_none(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    path = tmp_path / "x.nii.gz"
    four = organ(0).T.astype(np.uint8)[..., None]
    nibabel.save(nibabel.Nifti1Image(four, np.eye(4)), path)  # a fourth axis of one
    pack([path], tmp_path / "ct.ozx")
    with MaskCollection(tmp_path / "ct.ozx") as masks:
        assert np.array_equal(masks["x"][:], organ(0))
    for values in (np.repeat(four, 2, axis=3), np.full(VOLUME, 0.5), np.full(VOLUME, np.nan)):
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)
        with pytest.raises(MaskError, match=r"x\.nii\.gz"):
            pack([path], tmp_path / "other.ozx")
    path.write_bytes(b"no such file")
    with pytest.raises(MaskError, match=r"x\.nii\.gz"):
        pack([path], tmp_path / "other.ozx")
    assert not (tmp_path / "other.ozx").exists()


def test_pages_of_a_tiff(tmp_path: Path) -> None:
    pages = np.stack([organ(k)[0] for k in range(4)])
    tifffile.imwrite(tmp_path / "stack.tif", pages * np.uint8(255), photometric="minisblack")
    names = pack([tmp_path / "stack.tif"], tmp_path / "s.ozx")
    assert names == ("stack 1", "stack 2", "stack 3", "stack 4")
    with MaskCollection(tmp_path / "s.ozx") as masks:
        for name, page in zip(names, pages, strict=True):
            assert np.array_equal(masks[name][:], page)


def medmask_array(array: np.ndarray) -> bytes:
    name = str(array.dtype).encode()
    is_bool = array.dtype == bool
    raw = np.packbits(array).tobytes() if is_bool else array.tobytes()
    shape = np.array(array.shape, "<i8").tobytes()
    head = bytes([is_bool, len(name)]) + name + bytes([array.ndim]) + shape
    return head + bytes(imagecodecs.zstd_encode(raw, 3))


def medmask_archive(path: Path, masks: dict[str, np.ndarray]) -> None:
    space = json.dumps({"spacing": [0.5, 1.0, 2.0], "shape": list(VOLUME[::-1])}).encode()
    blobs = {name: medmask_array(array) for name, array in masks.items()}
    at, index = 90 + len(space) + 4000, []
    for name, blob in blobs.items():
        index.append({"name": name, "offset": at, "length": len(blob), "mapping": {name: 1}})
        at += len(blob)
    data = b"".join(blobs.values())
    head = struct.pack(
        "<4s2BB7Q27x", b"MSKA", 1, 0, 0, 90, len(space), 90 + len(space), 4000,
        90 + len(space) + 4000, len(data), len(blobs),
    )  # fmt: skip
    path.write_bytes(head + space + json.dumps(index).encode().ljust(4000, b"\0") + data)


def test_medmask_archives(tmp_path: Path) -> None:
    path = tmp_path / "ct.mska"
    medmask_archive(path, {"liver": organ(1), "spleen": organ(2).astype(np.uint8)})
    pack([path], tmp_path / "ct.ozx")
    with MaskCollection(tmp_path / "ct.ozx") as masks:
        assert masks.spacing == (2.0, 1.0, 0.5)
        assert np.array_equal(masks["liver"][:], organ(1))
        assert np.array_equal(masks["spleen"][:], organ(2))
    whole = path.read_bytes()
    for n in (3, 80, 150, len(whole) - 5):
        path.write_bytes(whole[:n])
        with pytest.raises(MaskError, match=r"ct\.mska"):
            pack([path], tmp_path / "other.ozx")


def test_medmask_reads_and_writes_the_same(tmp_path: Path) -> None:
    medmask = pytest.importorskip("medmask")
    labels = organ(1) * np.uint8(1) + (~organ(1) & organ(2)) * np.uint8(7)
    mask = medmask.SegmentationMask(labels, {"liver": 1, "spleen": 7})
    medmask.save_mask(mask, str(tmp_path / "ct.msk"))
    with_two = medmask.MaskArchive(str(tmp_path / "ct.mska"), "w")
    with_two.add_segmask(medmask.SegmentationMask(organ(3), {"kidney": 1}), "kidney")
    pack([tmp_path / "ct.msk", tmp_path / "ct.mska"], tmp_path / "ct.ozx")
    with MaskCollection(tmp_path / "ct.ozx") as masks:
        assert (masks.row("liver").label, masks.row("spleen").label) == (1, 7)
        assert np.array_equal(masks["liver"][:], labels == 1)
        assert np.array_equal(masks["spleen"][:], labels == 7)
        assert np.array_equal(masks["kidney"][:], organ(3))


def test_npz_there_and_back(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", a=organ(1)[0], b=np.arange(320).reshape(20, 16))
    with pytest.raises(OptionsError, match="ozx"):
        pack([tmp_path], tmp_path / "m.tif")
    pack([tmp_path / "m.npz"], tmp_path / "m.zarr")
    (back,) = unpack(tmp_path / "m.zarr", tmp_path / "back", kind="npz")
    with np.load(back) as arrays, np.load(tmp_path / "m.npz") as before:
        assert {n: arrays[n].dtype for n in arrays} == {n: before[n].dtype for n in before}
        assert all(np.array_equal(arrays[n], before[n]) for n in before)


def test_tiffs_classes_and_folders(tmp_path: Path, qpmask_cli: Cli) -> None:
    labels = np.zeros((700, 600), np.uint8)
    labels[10:300, 20:200], labels[400:, 300:] = 2, 3
    folder = tmp_path / "masks"
    folder.mkdir()
    with MaskWriter(
        folder / "slide.ome.tif", 600, 700, classes={2: "Tumor", 3: "Stroma"}, mpp=0.5
    ) as writer:
        writer.write(0, 0, labels)
    (folder / "hole.png").write_bytes(imagecodecs.png_encode((labels == 0).astype(np.uint8) * 255))
    code, out, err = qpmask_cli("pack", str(folder), "-o", str(tmp_path / "s.ozx"))
    assert (code, err) == (0, "")
    assert "3 masks" in out
    with MaskCollection(tmp_path / "s.ozx") as masks:
        assert set(masks.names()) == {"Tumor", "Stroma", "hole"}
        assert masks.row("Tumor").label == 2
        assert masks.mpp is None or masks.mpp == (0.5, 0.5)
        assert np.array_equal(masks["hole"][:], labels == 0)
    assert qpmask_cli("pack", str(folder), "-o", str(tmp_path / "s.ozx"))[0] == 2
    code, out, _ = qpmask_cli(
        "unpack", str(tmp_path / "s.ozx"), "-o", str(tmp_path / "back"), "--masks", "Tumor"
    )
    assert code == 0
    with open_mask(tmp_path / "back" / "Tumor.ome.tif") as mask:
        assert np.array_equal(mask[:], (labels == 2) * 2)
        assert mask.classes[2].name == "Tumor"
    code, _, err = qpmask_cli(
        "unpack", str(tmp_path / "s.ozx"), "-o", str(tmp_path), "--masks", "Tumour"
    )
    assert code == 2 and "Tumor" in err


def test_files_whose_names_differ_in_case_alone(tmp_path: Path, qpmask_cli: Cli) -> None:
    for folder, name in (("a", "Tumor"), ("b", "tumor")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}.png").write_bytes(
            imagecodecs.png_encode(organ(1)[0].astype(np.uint8) * 255)
        )
    both = str(tmp_path / "a"), str(tmp_path / "b")
    code, _, err = qpmask_cli("pack", *both, "-o", str(tmp_path / "c.ozx"))
    assert code == 2 and "'tumor'" in err and "'Tumor'" in err and "--odd-names keep" in err
    assert not (tmp_path / "c.ozx").exists()
    kept = "--odd-names", "keep"
    assert qpmask_cli("pack", *both, *kept, "-o", str(tmp_path / "c.ozx"))[0] == 0
    # A collection that holds them is packed again, and its masks become files of their own.
    assert pack([tmp_path / "c.ozx"], tmp_path / "d.zarr") == ("Tumor", "tumor")
    files = unpack(tmp_path / "d.zarr", tmp_path / "back")
    assert len({file.name.casefold() for file in files}) == 2


def test_an_archive_whose_index_was_written_over_its_masks(tmp_path: Path) -> None:
    """As MedMask leaves one to which a mask with many labels was added."""
    path = tmp_path / "c.mska"
    mapping = {f"structure_{n:03d}": n for n in range(1, 101)}
    index = json.dumps(
        [{"name": "x", "offset": 4092, "length": 9, "mapping": mapping}] * 2
    ).encode()
    head = struct.pack("<4s2BB7Q27x", b"MSKA", 1, 0, 0, 90, 2, 92, 4000, 4092, 9, 2)
    path.write_bytes(head + b"{}" + index)
    assert len(index) > 4000
    with pytest.raises(MaskError, match=r"c\.mska.*MedMask 0\.1\.3"):
        pack([path], tmp_path / "c.ozx")
    path.write_bytes(head + b"{}" + b"[{" + bytes(4000))
    with pytest.raises(MaskError, match=r"c\.mska.*Is it whole"):
        pack([path], tmp_path / "c.ozx")
    assert not list(tmp_path.glob("*.ozx"))
