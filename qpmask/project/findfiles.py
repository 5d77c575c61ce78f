"""Files that are named in a project, as this machine has them: composed or decomposed, moved."""

from __future__ import annotations

import contextlib
import os
import unicodedata
from functools import lru_cache
from pathlib import Path


def composed_form(text: str) -> str:
    """Text with its accents composed (Unicode's NFC), as most systems write file names."""
    return unicodedata.normalize("NFC", text)


def find_path(path: Path) -> Path | None:
    """A file or folder by its path, whose names may be composed or decomposed; None if not there.

    A path exactly as given comes first. Only folders in which an exact name is missing are listed.
    """
    if _exists(path):
        return path
    if str(path).isascii() or not path.name:
        return None
    folder = find_path(path.parent) if path.parent != path else None
    if folder is None:
        return None
    if _exists(folder / path.name):
        return folder / path.name
    wanted = composed_form(path.name)
    with contextlib.suppress(OSError):
        return next((p for p in sorted(folder.iterdir()) if composed_form(p.name) == wanted), None)
    return None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


@lru_cache(maxsize=8)
def files_below(folder: Path) -> dict[str, Path]:
    """All files below a folder by name, the first in the order of paths; walked once."""
    found: dict[str, Path] = {}
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in (*sorted(files), *(f for f in folders if f.endswith(".zarr"))):
            found.setdefault(name, Path(root) / name)
    for name, path in list(found.items()):
        found.setdefault(composed_form(name), path)
    return found
