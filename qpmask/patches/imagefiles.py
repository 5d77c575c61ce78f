"""The patches themselves as images, a file each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qpmask.batch import Reporter
from qpmask.patches.patchpixels import PatchReader
from qpmask.patches.table import PatchTable

_ENDINGS = {"png": ".png", "jpeg": ".jpg"}


def image_files(folder: Path, name: str, table: PatchTable, kind: str) -> list[Path]:
    """Where the images of patches are saved."""
    return [folder / f"{name}_x{x}_y{y}{_ENDINGS[kind]}" for x, y in table.coords.tolist()]


def drop_images(folder: Path, name: str) -> None:
    """Remove the images of patches that are cut anew: their names would say that they hold."""
    if not folder.is_dir():
        return
    for path in list(folder.iterdir()):
        if path.name.startswith(f"{name}_x") and path.suffix in _ENDINGS.values():
            path.unlink()


def save_images(
    slide: Path, table: PatchTable, folder: Path, name: str, kind: str, threads: int,
    reporter: Reporter,
) -> int:  # fmt: skip
    """Save the patches as images; those that are there already stay.

    Parameters
    ----------
    slide : Path
        The slide.
    table : PatchTable
        Its patches.
    folder : Path
        Where to.
    name : str
        How their names begin: ``NAME_x<x>_y<y>.png``.
    kind : str
        ``png`` or ``jpeg``.
    threads : int
        Threads that decode and encode.
    reporter : Reporter
        Who is told.

    Returns
    -------
    int
        How many were saved now.
    """
    from PIL import Image

    targets = image_files(folder, name, table, kind)
    missing = [i for i, target in enumerate(targets) if not target.is_file()]
    if not missing:
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    reporter.phase("images", len(missing))

    def save(i: int, pixels: NDArray[np.uint8]) -> None:
        part = targets[i].with_name(f".{targets[i].name}.part")
        try:
            Image.fromarray(pixels).save(part, format=kind.upper(), quality=90)
            part.replace(targets[i])
        finally:
            part.unlink(missing_ok=True)

    with PatchReader(slide, table) as reader:
        for n, _ in enumerate(reader.in_order(missing, threads, then=save), 1):
            reporter.done(n)
    return len(missing)
