"""Paths that a command is given."""

from __future__ import annotations

from pathlib import Path

from qpmask.errors import OptionsError

_LISTED = 20


def mask_file(path: Path) -> Path:
    """Check that a path may be one mask.

    Raises
    ------
    OptionsError
        There is nothing, or it is a project or a folder.
    """
    if not path.exists():
        raise OptionsError(f"There is no file {path}.")
    if path.suffix.lower() == ".qpproj":
        raise OptionsError(
            f"{path} is a QuPath project and no mask.",
            hint=f"'qpmask export {path}' makes the masks of its images.",
        )
    from qpmask.collection.opening import is_collection

    if path.is_dir() and not is_collection(path):
        raise _folder_error(path)
    return path


def masks_of_folder(path: Path) -> list[str]:
    """Names of the masks in a folder."""
    from qpmask.report.foldercheck import masks_of

    return [p.name for p in masks_of(path)]


def _folder_error(path: Path) -> OptionsError:
    names = masks_of_folder(path)
    if not names:
        return OptionsError(
            f"{path} is a folder, and there are no masks in it.",
            hint="Masks are files that end in .tif, .tiff or .ozx, and folders NAME.zarr.",
        )
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    listed = ", ".join(repr(name) for name in names[:_LISTED])
    return OptionsError(
        f"{path} is a folder; one mask is wanted.",
        hint=f"Name one of its files: {listed}{more}.",
    )
