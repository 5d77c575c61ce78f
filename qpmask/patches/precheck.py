"""What a run is asked for, held against what there is, before a slide is cut or a mask drawn.

Whatever is wrong for all slides alike ends the run here, said once, instead of once a slide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qpmask.errors import OptionsError
from qpmask.patches.options import ChoiceOptions, PatchOptions
from qpmask.patches.sources import SlideSource
from qpmask.patches.table import storable
from qpmask.patches.tissuefile import is_geojson

if TYPE_CHECKING:
    from qpmask.project import Project


def check_asked(
    options: PatchOptions, project: Project | None, sources: Sequence[SlideSource]
) -> None:
    """Raise if options contradict each other or name what is not there.

    Raises
    ------
    OptionsError
        What the message says.
    MissingExtraError
        ``--tissue sam2`` without what it needs.
    """
    has_masks = options.masks is not None or (project is not None and options.labels)
    choice = options.choice
    if choice.tissue == "annotations" and not has_masks:
        raise OptionsError(
            "--tissue annotations needs masks.", hint="Give a QuPath project, or --masks."
        )
    if choice.only and not (has_masks and options.labels):
        raise OptionsError("--only needs labels.", hint="Give a QuPath project, or --masks.")
    if choice.sam2 is not None:
        from qpmask.tissue.sam2 import require_sam2

        require_sam2(choice.sam2)
    elif choice.tissue not in ("auto", "annotations", "none"):
        _check_file(choice, len(sources))
    if options.masks is not None:
        _check_names(_names_to_check(choice), [s.mask for s in sources if s.mask is not None])


def check_classes(choice: ChoiceOptions, names: Iterable[str]) -> None:
    """Raise :class:`OptionsError` for a class that a project does not have."""
    from qpmask.classes.names import same_class

    known = list(names)
    for option, wanted in _names_to_check(choice):
        if not any(same_class(name, wanted) for name in known):
            raise _no_class(option, wanted, known, "the project does not have")


def _names_to_check(choice: ChoiceOptions) -> list[tuple[str, str]]:
    """Classes that are asked for by name, each with its option."""
    found = [("--only", name) for name in choice.only]
    if choice.tissue == "annotations":
        found += [("--tissue-class", name) for name in choice.tissue_classes]
    return found


def _check_file(choice: ChoiceOptions, n_slides: int) -> None:
    path = Path(choice.tissue).expanduser()
    if path.is_dir():
        return
    if not path.is_file():
        raise OptionsError(
            f"--tissue is {choice.tissue!r}, which is no file.",
            hint="It is auto, annotations, none, sam2, a mask or GeoJSON, or a folder of them.",
        )
    if n_slides > 1:
        raise OptionsError(
            f"--tissue {path} is of one slide, and there are {n_slides:,}.",
            hint="Name a folder that has a mask or GeoJSON for each, called like the slide.",
        )
    if is_geojson(path):
        from qpmask.tissue.polygons import read_geojson

        read_geojson(path, choice.tissue_classes)


def _check_names(asked: list[tuple[str, str]], masks: Iterable[Path]) -> None:
    """Raise for a class that none of some masks has; a mask without a class table may have any."""
    from qpmask.classes.names import same_class

    missing, known = list(asked), dict[str, None]()
    for path in masks:
        if not missing:
            return
        names = _classes_of(path)
        if not names:
            return
        known.update(dict.fromkeys(names))
        missing = [(o, w) for o, w in missing if not any(same_class(n, w) for n in names)]
    if missing and known:
        raise _no_class(*missing[0], list(known), "no mask has")


def _classes_of(path: Path) -> list[str]:
    """Names of a mask's classes, or of its planes; none where it has no table, or is no mask."""
    from qpmask.collection.flatmask import CollectionMask
    from qpmask.collection.opening import open_mask
    from qpmask.errors import MaskError

    try:
        with open_mask(path) as mask:
            if isinstance(mask, CollectionMask):
                return [storable(name) for name in mask.collection.names()]
            m = mask.metadata
            if m is not None and m.extra.get("kind") == "multichannel":
                return [storable(name) for name in m.channel_names]
            return [storable(row.name) for label, row in mask.classes.items() if label]
    except (MaskError, OptionsError):
        return []


def _no_class(option: str, wanted: str, known: list[str], who: str) -> OptionsError:
    from qpmask.mask.fileinfo import nearest_hint  # takes long to import

    return OptionsError(
        f"{option} is {wanted!r}, and {who} a class of that name.",
        hint=nearest_hint(wanted, known, "The classes"),
    )
