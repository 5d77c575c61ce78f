"""Stage 6 for whole folders: masks, their sidecars and the report, read back from disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qpmask.collection import MaskCollection
from qpmask.collection.check import check_collection
from qpmask.collection.opening import is_collection
from qpmask.errors import OptionsError
from qpmask.ometiff.check import check_mask
from qpmask.ometiff.directoryreader import is_in_color
from qpmask.outputs import (
    INSTANCES_SUFFIX,
    MASK_SUFFIXES,
    REPORT_JSON,
    SIDECAR_SUFFIX,
    path_bytes,
    path_sha256,
    read_json,
    read_sidecar,
)

_SUFFIXES = (".tif", ".tiff")


@dataclass(frozen=True)
class Verdict:
    """What is wrong with one mask; ``problems`` is empty if nothing is."""

    path: Path
    problems: tuple[str, ...]
    n_tiles: int = 0
    file_bytes: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def masks_in(path: Path) -> list[Path]:
    """The masks that a path stands for: itself, or those of a folder.

    Masks that the folder's report or a sidecar names count as well, even if they are gone.

    Raises
    ------
    OptionsError
        There is nothing there.
    """
    if not path.is_dir() or is_collection(path):
        if not path.exists():
            raise OptionsError(f"There is no file or folder {path}.")
        return [path]
    found = set(masks_of(path))
    for suffix in MASK_SUFFIXES:
        for sidecar in path.glob(f"*{suffix}{SIDECAR_SUFFIX}"):
            found.add(sidecar.with_name(sidecar.name.removesuffix(SIDECAR_SUFFIX)))
    found |= _reported(path)
    if not found:
        raise OptionsError(
            f"There are no masks in {path}.",
            hint="Masks are files that end in .tif, .tiff or .ozx, and folders NAME.zarr.",
        )
    return sorted(found)


def masks_of(folder: Path) -> list[Path]:
    """Masks of a folder by name: TIFFs and collections; none if it is a collection itself."""
    if is_collection(folder):
        return []
    found = {p for p in folder.iterdir() if not p.name.startswith(".") and is_collection(p)}
    return sorted(found.union(mask_files(folder)))


def mask_files(folder: Path) -> list[Path]:
    """Files of a folder that are masks or should be: all TIFFs but those in colour, by name."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in _SUFFIXES
        and not path.name.startswith(".")
        and path.is_file()
        and not is_in_color(path)
    )


def check_outputs(folder: Path, paths: Iterable[Path]) -> Iterator[Verdict]:
    """Check masks one by one; ``folder`` is what the user named."""
    reported = _reported(folder)
    for path in paths:
        yield check_output(path, needs_sidecar=path in reported)


def _reported(folder: Path) -> set[Path]:
    """The masks that a folder's report names: those that were exported into it."""
    report = read_json(folder / REPORT_JSON) or {}
    records = report.get("images")
    return {
        folder / str(record["mask"])
        for record in (records if isinstance(records, list) else [])
        if isinstance(record, dict) and record.get("mask")
    }


def check_output(path: Path, *, needs_sidecar: bool = False) -> Verdict:
    """Check a mask against itself and its sidecar.

    Parameters
    ----------
    path : Path
        The mask.
    needs_sidecar : bool
        Whether a missing sidecar is a problem, as it is of an exported mask in its folder. A mask
        that was made in Python has none.
    """
    if not path.exists():
        return Verdict(path, ("the file is gone; export it again",))
    sidecar_path = path.with_name(path.name + SIDECAR_SUFFIX)
    sidecar = read_sidecar(path)
    problems: list[str] = []
    counts = None
    if sidecar is None:
        if sidecar_path.exists():
            problems.append(f"its sidecar {sidecar_path.name} cannot be read")
        elif needs_sidecar:
            problems.append(f"its sidecar {sidecar_path.name} is missing")
    else:
        counts = _counts(sidecar)
        if counts is None:
            problems.append(f"its sidecar {sidecar_path.name} has no pixel counts")
        problems += _against_sidecar(path, sidecar)
    if is_collection(path):
        found = check_collection(path)
        problems += [*found.problems, *_against_sidecar_counts(path, sidecar, found.ok)]
        return Verdict(path, tuple(problems), found.n_chunks, found.file_bytes)
    report = check_mask(path, counts=counts, classes=_labels(sidecar))
    problems += [str(p) for p in report.problems]
    if report.n_problems > len(report.problems):
        problems.append(f"and {report.n_problems - len(report.problems):,} more problems")
    return Verdict(path, tuple(problems), report.n_tiles, report.file_bytes)


def _counts(sidecar: dict[str, Any]) -> dict[int, int] | None:
    try:
        return {int(k): int(v) for k, v in sidecar["pixels"].items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _against_sidecar_counts(
    path: Path, sidecar: dict[str, Any] | None, is_sound: bool
) -> Iterator[str]:
    """What a sidecar says of the pixels of each mask of a collection."""
    rows = (sidecar or {}).get("classes")
    if not is_sound or not isinstance(rows, list):
        return
    with MaskCollection(path) as masks:
        found = {row.name: row.n_pixels for row in masks.rows()}
    for row in rows:
        if isinstance(row, dict) and row.get("pixels") != found.get(str(row.get("name")), 0):
            yield f"the mask {row.get('name')!r} has other pixels than its sidecar says"


def _labels(sidecar: dict[str, Any] | None) -> list[int] | None:
    """Labels that may occur where the file's own class table does not say it all."""
    return [255] if sidecar is not None and sidecar.get("kind") == "multichannel" else None


def _against_sidecar(path: Path, sidecar: dict[str, Any]) -> Iterator[str]:
    mask = sidecar.get("mask")
    n_bytes = mask.get("bytes") if isinstance(mask, dict) else None
    if not isinstance(mask, dict) or not isinstance(n_bytes, int):
        yield "its sidecar does not say how large it is"
    elif n_bytes != path_bytes(path):
        yield f"it has {path_bytes(path):,} bytes, its sidecar says {n_bytes:,}"
    elif mask.get("sha256") not in (None, path_sha256(path)):
        yield "its bytes are not those that were written: its hash is not the sidecar's"
    if (
        sidecar.get("kind") == "instances"
        and not (path.with_name(path.name + INSTANCES_SUFFIX)).is_file()
    ):
        yield f"its table of instances {path.name + INSTANCES_SUFFIX} is missing"
