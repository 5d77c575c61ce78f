"""What a mask's directories must look like for every reader to see all levels and the labels."""

from __future__ import annotations

from collections.abc import Iterator

from qpmask.ometiff.directories import Image, Structure
from qpmask.ometiff.tiffstrips import LAYOUT_KEY, STRIPS

_RELATIVE_TOLERANCE = 1e-6  # of the pixel size: TIFF holds it as a fraction of 32-bit numbers
_UM_PER_UNIT = {2: 25_400.0, 3: 10_000.0}


def structure_problems(structure: Structure) -> Iterator[str]:
    """What is wrong with the structure of a mask file.

    Parameters
    ----------
    structure : Structure
        The file's directories.

    Yields
    ------
    str
        One sentence without a full stop for each problem.
    """
    first = structure.images[0][0]
    metadata = structure.metadata
    in_strips = metadata is not None and metadata.extra.get(LAYOUT_KEY) == STRIPS
    if structure.byte_order != "<":
        yield "the file is big-endian, which OpenSlide does not read"
    if first.directory_offset >= 2**32:
        yield "its first directory lies beyond 4 GiB, where Pillow reads wrong pixels"
    for plane, images in enumerate(structure.images):
        for level, image in enumerate(images):
            yield from _image_problems(image, first, plane, level, in_strips)
        for level in range(1, len(images)):
            size, half = images[level].level.size, images[level - 1].level.size.halved()
            if size != half:
                yield f"level {level} is {size} pixels; half of level {level - 1} is {half}"
    if len(structure.images) == 1:
        yield from _chain_problems(structure)
    yield from _metadata_problems(structure)


def _image_problems(
    image: Image, first: Image, plane: int, level: int, in_strips: bool
) -> Iterator[str]:
    where = f"level {level}" if plane == 0 else f"level {level} of plane {plane}"
    if not image.is_tiled and not in_strips:
        yield f"{where} is stored in strips, not in tiles, so that parts of it are slow to read"
    if image.is_signed:
        yield f"{where} has signed integers, which not every reader takes for labels"
    if image.photometric != 1:
        yield (
            f"{where} has the photometric interpretation {image.photometric}; some readers give "
            "colours instead of labels unless it is 1 (grayscale)"
        )
    if image.has_colormap:
        yield f"{where} has a colour map; some readers give its colours instead of labels"
    if image.has_predictor:
        yield f"{where} uses a predictor, which not every reader knows"
    if image.level.tile != first.level.tile:
        yield f"{where} has tiles of {image.level.tile} pixels, level 0 of {first.level.tile}"
    if image.compression != first.compression:
        yield f"{where} is compressed with {image.compression}, level 0 with {first.compression}"
    if level > 0 and not image.subfile_type & 1:
        yield f"{where} is not marked as a smaller copy (NewSubfileType), so OpenSlide ignores it"


def _chain_problems(structure: Structure) -> Iterator[str]:
    """Levels must be both in the main chain and among the SubIFDs."""
    levels = tuple(image.directory_offset for image in structure.images[0][1:])
    if levels and structure.chain[1:] != levels:
        yield "the levels are not the main chain of directories, so OpenSlide sees one level"
    if structure.sub_directories != levels:
        yield (
            "the levels are not the SubIFDs of the first directory, so QuPath and tifffile "
            "see one level"
        )


def _metadata_problems(structure: Structure) -> Iterator[str]:
    metadata = structure.metadata
    if metadata is None:
        yield structure.metadata_problem or "it has no OME-XML, so QuPath sees one level"
        return
    first = structure.images[0][0]
    if metadata.size != first.level.size:
        yield f"the OME-XML says {metadata.size} pixels; the file has {first.level.size}"
    if metadata.dtype != structure.dtype.name:
        yield f"the OME-XML says {metadata.dtype}; the file has {structure.dtype.name}"
    if metadata.n_planes != structure.n_planes:
        yield f"the OME-XML says {metadata.n_planes} planes; the file has {structure.n_planes}"
    if metadata.pixel_size is None:
        return
    resolution = first.resolution
    um_per_unit = _UM_PER_UNIT.get(resolution[2]) if resolution is not None else None
    if resolution is None or um_per_unit is None:
        yield "the OME-XML has a pixel size and the TIFF tags have none, so OpenSlide has none"
        return
    for axis, per_unit, length_um in zip(
        "XY",
        resolution[:2],
        (metadata.pixel_size.width_um, metadata.pixel_size.height_um),
        strict=True,
    ):
        if abs(per_unit * length_um / um_per_unit - 1) > _RELATIVE_TOLERANCE:
            tag_um = um_per_unit / per_unit if per_unit else float("inf")
            yield (
                f"the pixel size in {axis} is {length_um} µm in the OME-XML and {tag_um} µm "
                "in the TIFF tags"
            )
