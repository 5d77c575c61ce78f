"""What stands in an output folder already: what holds, what changed, whose it is.

Goes in: a plan and a folder. Comes out: :class:`~qpmask.plan.planrecords.Standing` of each image,
in words that people read, and masks of other projects. Nothing is written, no pixel is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from qpmask.classes import ClassMap, format_color
from qpmask.common.words import value_text
from qpmask.options import ORDERS
from qpmask.outputs import (
    INSTANCES_SUFFIX,
    SIDECAR_SUFFIX,
    path_bytes,
    path_sha256,
    read_json,
    read_sidecar,
)
from qpmask.plan.maskfingerprint import fingerprint
from qpmask.plan.planrecords import ImagePlan, LegendRow, Standing
from qpmask.project import Project, composed_form

_MAX_CLASSES = 4  # changes of classes that are said
_CLASS_MAP = "the class map"  # where nothing more is known of what changed in it

#: How messages call what decides a mask, where its key would not do.
_text = partial(value_text, between=" x ")
_WORDS = {
    "tile_px": "tile size",
    "image": "size of the image",
    "pixel_size_um": "pixel size in µm",
    "boundary_label": "label of outlines",
}


def look_at(
    image: ImagePlan,
    class_map: ClassMap,
    pixel_rules: str | None,
    folder: Path,
    *,
    verified: bool = False,
    force: bool = False,
) -> Standing:
    """Find out whether the mask of an image is there and still holds.

    It holds if it was made from the same data file with the same classes and options by a format
    and pixel rules of the same version, and if its bytes are those that were checked then.

    Parameters
    ----------
    image : ImagePlan
        What the mask would be made of.
    class_map : ClassMap
        Labels.
    pixel_rules : str or None
        Of the engine that would draw; None where that is not known, and any will do.
    folder : Path
        The output folder.
    verified : bool
        Ask for a mask that a second engine has verified.
    force : bool
        Ask for a new one, whatever is there.
    """
    path = folder / image.mask_name
    sidecar = read_sidecar(path)
    if image.job is None or not (
        path.exists() or path.with_name(path.name + SIDECAR_SUFFIX).exists()
    ):
        return Standing()
    if sidecar is None:
        return Standing(True, ("it has no sidecar that can be read",))
    made_from = sidecar.get("made_from")
    wanted = fingerprint(image, class_map, pixel_rules or "")
    if pixel_rules is None and isinstance(made_from, dict):
        wanted["pixel_rules"] = made_from.get("pixel_rules")
    changes = list(_changes(made_from, wanted, sidecar.get("classes"), image.legend))
    if isinstance(made_from, dict) and changes == [_CLASS_MAP]:
        changes = [_order_change(made_from, class_map) or _CLASS_MAP]
    if verified and not sidecar.get("verified_by"):
        changes.append("no second engine has verified it")
    if not changes and force:
        changes.append("as asked (force)")
    if not changes:
        changes += _damage(path, sidecar)
    table = folder / (image.mask_name + INSTANCES_SUFFIX)
    if not changes and image.job.render.instances and not table.is_file():
        changes.append("its table of objects is not there")
    return Standing(True, tuple(changes), sidecar)


def _damage(path: Path, sidecar: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a mask that was made of the right things."""
    mask = sidecar.get("mask")
    try:
        {int(k): int(v) for k, v in sidecar["pixels"].items()}
        [(str(row["name"]), int(row["pixels"])) for row in sidecar["classes"]]
        n_bytes, sha256 = mask["bytes"], mask["sha256"]  # type: ignore[index]
    except (KeyError, TypeError, ValueError, AttributeError):
        yield "it has no sidecar that can be read"
        return
    try:
        if path_bytes(path) != n_bytes or path_sha256(path) != sha256:
            yield "its file is not what was written"
    except OSError:
        yield "it is not there any more"


def _changes(
    old: object, new: Mapping[str, Any], classes: object, legend: Sequence[LegendRow]
) -> Iterator[str]:
    """What differs between what a mask was made from and what one would be made from now."""
    if not isinstance(old, dict):
        yield "it has no sidecar that can be read"
        return
    changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    for key in changed:
        a, b = old.get(key), new.get(key)
        if key == "data_sha256":
            yield "annotated since" if a is None else "saved in QuPath since"
        elif key == "pixel_size_um" and "downsample" in changed:
            continue  # a consequence
        elif key == "instances":
            if a is None or b is None:
                yield f"instances {_text(a is not None)} -> {_text(b is not None)}"
            else:
                yield "other objects have labels"
        elif key == "frame" and key in old:
            yield "it lies elsewhere in the slide's file"
        elif key in ("format", "frame"):
            yield "made by another version of qpmask"
        elif key == "image" and isinstance(a, list) and isinstance(b, list) and a[2:] == b[2:]:
            yield f"{_WORDS[key]} {_text(a[:2])} -> {_text(b[:2])}"
        elif key not in ("classes", "rules"):
            yield f"{_WORDS.get(key, key.replace('_', ' '))} {_text(a)} -> {_text(b)}"
    if {"classes", "rules"} & set(changed) and "instances" not in changed:
        found = [*_label_changes(old.get("rules"), new["rules"]), *_color_changes(classes, legend)]
        yield from found[:_MAX_CLASSES] or [_CLASS_MAP]
        if len(found) > _MAX_CLASSES:
            yield f"{len(found) - _MAX_CLASSES} more changes of classes"


def _order_change(old: Mapping[str, Any], class_map: ClassMap) -> str | None:
    """Words for a map that differs by what covers what, and by nothing else."""
    for order in ORDERS:
        if order != class_map.order and replace(class_map, order=order).fingerprint() == old.get(
            "classes"
        ):
            return f"order {order} -> {class_map.order}"
    return None


def _label_changes(old: object, new: Iterable[Sequence[Any]]) -> Iterator[str]:
    try:
        before = {row[0]: row[1] for row in old}  # type: ignore[attr-defined]
    except (TypeError, LookupError):
        return
    after = {row[0]: row[1] for row in new}
    for name in {**before, **after}:
        a, b = before.get(name), after.get(name)
        what = "unclassified objects" if name is None else repr(name)
        if a != b:
            yield f"label of {what} {_text(a)} -> {_text(b)}"
    if before == after and list(before) != list(after):
        yield "order of the classes"


def _color_changes(old: object, legend: Iterable[LegendRow]) -> Iterator[str]:
    rows = old if isinstance(old, list) else []
    before = {r.get("name"): r.get("color") for r in rows if isinstance(r, dict)}
    for row in legend:
        color = None if row.color is None else format_color(row.color)
        if row.name in before and before[row.name] != color:
            yield f"colour of {row.name!r} {_text(before[row.name])} -> {_text(color)}"


def blanked_masks(folder: Path, images: Iterable[ImagePlan]) -> list[ImagePlan]:
    """Images whose masks hold objects and would become blank, though nothing changed in QuPath.

    Another kind of objects was asked for, or classes are left out: with these options nothing is
    left to draw. Where the objects themselves are gone, a blank mask is right.
    """
    found = []
    for image in images:
        if image.job is None or image.drawn or not image.data_sha256:
            continue
        sidecar = read_sidecar(folder / image.mask_name) or {}
        made_from, drawn = sidecar.get("made_from"), sidecar.get("objects_drawn")
        is_same = isinstance(made_from, dict) and made_from.get("data_sha256") == image.data_sha256
        if is_same and isinstance(drawn, int) and drawn and (folder / image.mask_name).exists():
            found.append(image)
    return found


def foreign_masks(folder: Path, project: Project) -> dict[str, list[str]]:
    """Masks in a folder that were made of other projects: names by the project's path.

    A project that has moved is the same one: where its old path was there is nothing, and it has an
    image of the id and name that the sidecar gives.
    """
    found: dict[str, list[str]] = {}
    images = {(e.id, e.name) for e in project.images}
    for path in sorted(folder.glob(f"*{SIDECAR_SUFFIX}")):
        mask = path.name.removesuffix(SIDECAR_SUFFIX)
        image = (read_json(path) or {}).get("image")
        owner = image.get("project") if isinstance(image, dict) else None
        if not isinstance(owner, str) or not (folder / mask).exists():
            continue
        assert isinstance(image, dict)
        if not _is_same(owner, project, (image.get("entry_id"), image.get("name")) in images):
            found.setdefault(owner, []).append(mask)
    return found


def _is_same(owner: str, project: Project, has_image: bool) -> bool:
    if composed_form(owner) == composed_form(str(project.path)):
        return True
    try:
        other = Path(owner)
        return other.samefile(project.path) if other.exists() else has_image
    except (OSError, ValueError):
        return has_image
