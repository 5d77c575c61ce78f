"""What stands in the output folder already: whether a patch file holds, and what changed, in words.

Goes in: what a file says that it was made from, and what one would be made from now. Comes out:
:class:`Standing`. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from qpmask.common.words import value_text

_READ = "it cannot be read, or does not say what it was made from"

#: How messages call what decides patches, where its key would not do.
_WORDS = {
    "mpp": "µm per pixel of the slide",
    "edge": "edge",
    "labels": "labels",
    "patch_px": "patch size",
    "step_px": "step",
    "patch_px0": "patch size at level 0",
    "step_px0": "step at level 0",
    "target_mpp": "µm per pixel of a patch",
    "level": "level that is read",
}
_FILES = {"slide": "the slide", "mask": "the mask", "tissue_file": "what --tissue names"}


@dataclass(frozen=True)
class Standing:
    """What an earlier run left of one slide.

    Attributes
    ----------
    is_there : bool
        Whether there is a patch file.
    changes : tuple of str
        Why it is made again; nothing where it holds.
    """

    is_there: bool = False
    changes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the file is what would be made now."""
        return self.is_there and not self.changes

    @property
    def why(self) -> str | None:
        """All changes as one text."""
        return "; ".join(self.changes) or None


def changes_of(there: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> Iterator[str]:
    """What differs between what a file was made from and what one would be made from now.

    Parameters
    ----------
    there : mapping or None
        Of the file; None where it is damaged, or none of ours.
    wanted : mapping
        See :func:`qpmask.patches.patchrecords.made_from`.
    """
    if there is None:
        yield _READ
        return
    if there.get("format") != wanted.get("format"):
        yield "made by another version of qpmask"
        return
    for key in {**wanted, **there}:
        a, b = there.get(key), wanted.get(key)
        if a == b:
            continue
        if key in _FILES:
            yield from _file_changes(_FILES[key], a, b)
        elif key == "tissue_frame":
            yield "the image lies elsewhere in the slide's file"
        elif key in ("size", "choice") and isinstance(a, dict) and isinstance(b, dict):
            yield from _inner_changes(a, b)
        else:
            yield f"{_WORDS.get(key, key.replace('_', ' '))} {value_text(a)} -> {value_text(b)}"


def _file_changes(what: str, a: object, b: object) -> Iterator[str]:
    if a is None or b is None:
        yield f"{what} is new" if a is None else f"without {what} now"
    else:
        yield f"{what} is another one, or has changed"


def _inner_changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    """Of the size of patches what people said; of the rest what follows from it only if alone."""
    changed = [key for key in {**b, **a} if a.get(key) != b.get(key)]
    said = [key for key in changed if key not in _FOLLOWS]
    for key in said or changed[:1]:
        what = _WORDS.get(key, key.replace("_", " "))
        yield f"{what} {value_text(a.get(key))} -> {value_text(b.get(key))}"


_FOLLOWS = {"patch_px0", "step_px0", "mpp", "target_magnification", "level", "read_px",
            "level_scale"}  # fmt: skip
