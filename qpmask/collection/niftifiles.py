"""NIfTI files of labels: what they say of the volume, names and colours of labels, and back.

Axes of NIfTI are (x, y, z), ours (z, y, x). Names stand in an XML label table in the header, as
TotalSegmentator and Connectome Workbench write it: ``<Label Key="1" Red="1" Green="0" Blue="0"
Alpha="1">liver</Label>``, colours from 0 to 1.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import MaskError, MissingExtraError
from qpmask.ometiff.omexml import Color
from qpmask.outputs import writing

AFFINE = "affine"
_HEADER = "nifti"
_MM = {"meter": 1000.0, "mm": 1.0, "micron": 1e-3, "unknown": 1.0}


@dataclass(frozen=True, eq=False)
class NiftiLabels:
    """A file that is open, its voxels not read.

    Parameters
    ----------
    path : Path
        The file.
    spacing_mm : tuple of float, optional
        Millimetres per voxel, of z, y, x; None where the file has none that make sense.
    extra : dict
        JSON from which :func:`write_nifti` makes the same geometry: affine matrix, units, codes,
        type.
    names, colors : dict
        By label, those that the file tells.
    image : Any
        nibabel's.
    """

    path: Path
    spacing_mm: tuple[float, ...] | None
    extra: dict[str, Any]
    names: dict[int, str]
    colors: dict[int, Color]
    image: Any = field(repr=False)

    def voxels(self) -> NDArray[Any]:
        """All of it as the file has it, shape (slices, rows, columns).

        Raises
        ------
        MaskError
            It is damaged.
        """
        try:
            found: NDArray[Any] = np.asarray(self.image.dataobj)
        except Exception as error:  # nibabel raises many things
            raise MaskError(f"{self.path} cannot be read as NIfTI: {error}.") from error
        return np.transpose(found.reshape(found.shape[:3]))


def read_nifti(path: Path) -> NiftiLabels:
    """Open a file for its header.

    Raises
    ------
    MaskError
        It is no NIfTI, damaged, or of other than three axes.
    MissingExtraError
        nibabel is not installed.
    """
    nibabel = _nibabel()
    try:
        image = nibabel.load(path)
        shape = tuple(image.shape)
        if len(shape) < 3 or any(n != 1 for n in shape[3:]):
            raise ValueError(f"it has the shape {shape}, not three axes")
        header = image.header
        unit = header.get_xyzt_units()[0]
        lengths = [float(n) * _MM[unit] for n in header.get_zooms()[:3]]
        extra = {
            AFFINE: np.asarray(image.affine, float).tolist(),
            _HEADER: {
                "units": unit,
                "qform_code": int(header["qform_code"]),
                "sform_code": int(header["sform_code"]),
                "dtype": header.get_data_dtype().newbyteorder("=").str.lstrip("<>|="),
            },
        }
        names, colors = _label_table(header.extensions)
    except Exception as error:  # nibabel raises many things
        raise MaskError(f"{path} cannot be read as NIfTI: {error}.") from error
    makes_sense = all(0 < n < float("inf") for n in lengths)
    return NiftiLabels(
        path, tuple(lengths[::-1]) if makes_sense else None, extra, names, colors, image
    )


def write_nifti(
    path: Path,
    voxels: NDArray[Any],
    spacing: tuple[float, ...] | None,
    extra: Mapping[str, Any],
) -> None:
    """Write a mask as NIfTI, where it was if it came from one.

    Parameters
    ----------
    path : Path
        ``NAME.nii.gz``; appears whole or not at all.
    voxels : ndarray, shape (slices, rows, columns)
        Booleans, or integers.
    spacing : tuple of float, optional
        Millimetres per voxel, of z, y, x.
    extra : mapping
        What a collection keeps: that of :func:`read_nifti`, or nothing of it.
    """
    nibabel = _nibabel()
    said = extra.get(_HEADER)
    said = said if isinstance(said, dict) else {}
    if voxels.dtype == np.bool_:
        voxels = voxels.astype(_dtype(said.get("dtype")))
    affine = extra.get(AFFINE)
    if affine is None:
        affine = np.diag([*(spacing or (1.0,) * 3)[::-1], 1.0])
    image = nibabel.Nifti1Image(voxels.T, np.asarray(affine, float), dtype=voxels.dtype)
    image.header.set_xyzt_units(said.get("units", "mm"))
    if "qform_code" in said:
        image.set_qform(image.affine, said["qform_code"])
        image.set_sform(image.affine, said["sform_code"])
    part = path.with_name(f".{path.name.removesuffix('.nii.gz')}.part.nii.gz")
    with writing(path, "The file"):
        nibabel.save(image, part)
        part.replace(path)


def _dtype(said: Any) -> np.dtype[Any]:
    """Type of voxels that are 0 and 1."""
    try:
        found = np.dtype(str(said))
    except TypeError:
        found = np.dtype(np.uint8)
    return found if found.kind in "uif" else np.dtype(np.uint8)


def _label_table(extensions: Any) -> tuple[dict[int, str], dict[int, Color]]:
    """Names and colours in the header's label table, if it has one."""
    names: dict[int, str] = {}
    colors: dict[int, Color] = {}
    for extension in extensions:
        try:
            root = ElementTree.fromstring(_content(extension).rstrip(b"\0 \r\n"))
            found = [(int(one.attrib["Key"]), one) for one in root.iter("Label")]
        except Exception:  # an extension of another kind
            continue
        for label, one in found:
            name = (one.text or "").strip()
            if label <= 0 or not name:
                continue
            names[label] = name
            color = _color(one.attrib)
            if color is not None:
                colors[label] = color
    return names, colors


def _content(extension: Any) -> bytes:
    """Bytes of an extension; ``get_content`` of nibabel 5.3 and later has none of Workbench's."""
    content = extension.content if hasattr(extension, "content") else extension.get_content()
    return content if isinstance(content, bytes) else str(content).encode()


def _color(attributes: Mapping[str, str]) -> Color | None:
    try:
        red, green, blue = (float(attributes[key]) for key in ("Red", "Green", "Blue"))
    except (KeyError, ValueError):
        return None
    if not all(0 <= n <= 1 for n in (red, green, blue)):
        return None
    return round(red * 255), round(green * 255), round(blue * 255)


def _nibabel() -> Any:
    try:
        import nibabel
    except ImportError as error:
        raise MissingExtraError(
            "NIfTI files are read and written by nibabel, which is not installed.",
            hint='Install it: pip install "qpmask[nifti]".',
        ) from error
    return nibabel
