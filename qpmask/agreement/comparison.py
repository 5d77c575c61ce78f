"""Two mask files compared: ``qpmask.compare_masks``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qpmask.agreement.collections import compare_planes, notes_of, planes_of, words_of
from qpmask.agreement.pairing import Pairing, frame_of, pair
from qpmask.agreement.pixels import CACHE_BYTES, compare_pixels
from qpmask.agreement.scores import Agreement, ClassKey, ClassScore
from qpmask.classes.names import class_name, same_class
from qpmask.collection.opening import is_collection, open_mask
from qpmask.common.arguments import check_callable, named, path_of
from qpmask.errors import MaskError, OptionsError
from qpmask.mask.fileinfo import classes_of
from qpmask.ometiff.maskcompare import Comparison
from qpmask.ometiff.omexml import ClassRow, MaskMetadata
from qpmask.ometiff.reader import MaskFile

By = Literal["label", "name"]

BACKGROUND = "(background)"


@dataclass(frozen=True)
class MaskComparison:
    """What a comparison of two masks found.

    Attributes
    ----------
    first, second : Path
        The files.
    pixels : Comparison
        Pairs of labels as numbers, and the first tiles that differ, in pixels of the coarser mask.
    agreement : Agreement
        Scores and confusion matrix by class.
    pairing : Pairing
        Which of the masks is the coarser, and how many pixels of the other one of its pixels is.
    notes : tuple of str
        What the numbers do not tell, such as class tables that contradict each other.
    plane_names : tuple of str
        Of two collections: the masks that were compared, each a plane of `pixels`.
    """

    first: Path
    second: Path
    pixels: Comparison
    agreement: Agreement
    pairing: Pairing
    notes: tuple[str, ...] = ()
    plane_names: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether no pixel has other labels (or, compared by name, other classes)."""
        return self.n_different == 0

    @property
    def n_pixels(self) -> int:
        """Pixels compared, of all planes."""
        return self.agreement.n_pixels

    @property
    def n_different(self) -> int:
        """How many of them differ."""
        return self.agreement.n_pixels - self.agreement.n_equal

    @property
    def scores(self) -> tuple[ClassScore, ...]:
        """Dice, IoU, kappa and pixels of each class, the background last."""
        return self.agreement.scores

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa over all classes and the background."""
        return self.agreement.kappa


@named
def compare_masks(
    first: Path | str,
    second: Path | str,
    *,
    by: By = "label",
    on_tile: Callable[[int], None] | None = None,
) -> MaskComparison:
    """Compare two masks of one image, pixel by pixel.

    Masks of different resolution are brought to the coarser one: its pixel (x, y) is compared with
    pixel (floor(x * s), floor(y * s)) of the finer, s being how many pixels of the finer it spans.
    Labels are picked, never averaged. Memory stays small, whatever the size.

    Parameters
    ----------
    first, second : path-like
        Masks of any maker, tile size and compression.
    by : {"label", "name"}
        Whether pixels agree that have the same label, or those whose labels have the same name in
        the class table of their own file.
    on_tile : callable, optional
        Called with the number of tiles compared so far.

    Raises
    ------
    MaskError
        A file cannot be read, a tile of it is missing, they are not two masks of one image, or
        one has a label for each object and the other one for each class.
    """
    first, second = path_of(first, "first"), path_of(second, "second")
    check_callable(on_tile, "on_tile", "a function that takes a number")
    if by not in ("label", "name"):
        raise OptionsError(f"by is {by!r}; it must be 'label' or 'name'.")
    if is_collection(first) or is_collection(second):
        return _compare_collections(first, second, by, on_tile)
    with (
        MaskFile(first, cache_bytes=CACHE_BYTES) as a,
        MaskFile(second, cache_bytes=CACHE_BYTES) as b,
    ):
        if a.n_planes != b.n_planes:
            raise MaskError(
                f"The masks cannot be compared: the first has {a.n_planes} planes, the second "
                f"{b.n_planes}."
            )
        _refuse_unlike(a.metadata, b.metadata)
        pairing = pair(frame_of(a), frame_of(b))
        pixels = compare_pixels(a, b, pairing, on_tile=on_tile)
        agreement = _agreement(pixels, a.metadata, b.metadata, by)
        absent = tuple(
            f"{file.path.name}: {file.structure.note}" for file in (a, b) if file.structure.note
        )
        notes = (*pairing.notes, *_contradictions(a.metadata, b.metadata, by), *absent)
    return MaskComparison(first, second, pixels, agreement, pairing, notes)


def _compare_collections(
    first: Path, second: Path, by: By, on_tile: Callable[[int], None] | None
) -> MaskComparison:
    with open_mask(first) as a, open_mask(second) as b:
        planes = planes_of(a, b)
        pixels = compare_planes(planes, on_tile)
        one, other = words_of(planes, a), words_of(planes, b)
        agreement = _agreement(pixels, one, other, by)
        notes = (*notes_of(a, b), *_contradictions(one, other, by))
    names = tuple(plane.name for plane in planes if plane.name is not None)
    return MaskComparison(first, second, pixels, agreement, Pairing(), notes, names)


def _refuse_unlike(first: MaskMetadata | None, second: MaskMetadata | None) -> None:
    """Raise :class:`MaskError` where a label is an object in one mask and a class in the other."""
    if first is None or second is None:
        return
    objects = [m.extra.get("kind") == "instances" for m in (first, second)]
    says = [bool(m.classes) or "kind" in m.extra for m in (first, second)]
    if any(objects) and not all(objects) and all(says):
        one, other = ("first", "second") if objects[0] else ("second", "first")
        raise MaskError(
            f"The masks cannot be compared: the {one} has a label for each object (--instances), "
            f"the {other} one for each class.",
            hint="Compare masks of one kind.",
        )


def _agreement(
    pixels: Comparison, first: MaskMetadata | None, second: MaskMetadata | None, by: By
) -> Agreement:
    """Pairs of labels as pairs of classes."""
    total: Counter[tuple[ClassKey, ClassKey]] = Counter()
    n_channels = max((m.size_c for m in (first, second) if m is not None), default=1)
    for plane, pairs in enumerate(pixels.confusion):
        channel = plane % n_channels if len(pixels.confusion) > 1 else 0
        tables = [classes_of(m, plane) for m in (first, second)]
        rest = _rest(channel, n_channels, first or second)
        if by == "label":
            # One name for a label, whichever file has it, so that one class is one row.
            tables = [{**tables[1], **tables[0]}] * 2
        for (one, other), n in pairs.items():
            keys = (
                _key(channel, label, table, rest, by)
                for label, table in zip((one, other), tables, strict=True)
            )
            total[tuple(keys)] += n  # type: ignore[index]
    return Agreement(total)


def _key(channel: int, label: int, table: dict[int, ClassRow], rest: str, by: By) -> ClassKey:
    row = table.get(label)
    if row is None and label == 0:
        return ClassKey(channel, True, 0 if by == "label" else None, rest)
    text = row.name if row is not None and row.name else f"label {label}"
    name = class_name(text) or text
    return ClassKey(channel, False, label if by == "label" else None, name)


def _rest(channel: int, n_channels: int, metadata: MaskMetadata | None) -> str:
    """What label 0 is called."""
    if n_channels == 1 or metadata is None or channel >= len(metadata.channel_names):
        return BACKGROUND if n_channels == 1 else f"(background of channel {channel})"
    return f"(not {metadata.channel_names[channel]})"


def _contradictions(
    first: MaskMetadata | None, second: MaskMetadata | None, by: By
) -> tuple[str, ...]:
    """Where the class tables contradict each other, which pixels cannot tell."""
    if first is None or second is None:
        return ()
    objects = [m.extra.get("kind") == "instances" for m in (first, second)]
    if any(objects):
        which = "both masks" if all(objects) else f"the {('first', 'second')[objects.index(True)]}"
        return (f"labels of {which} stand for objects, not for classes; scores are by label",)
    channels = first.channel_names, second.channel_names
    if max(first.size_c, second.size_c) > 1 and channels[0] and channels[1]:
        if channels[0] == channels[1]:
            return ()
        return (
            f"the channels are called {', '.join(channels[0])} in the first and "
            f"{', '.join(channels[1])} in the second; they were compared by number",
        )
    if by == "name":
        return ()
    a, b = ({row.label: row.name for row in m.classes} for m in (first, second))
    other = [n for n in sorted(a.keys() & b.keys()) if not same_class(a[n], b[n])]
    if not other:
        return ()
    n = other[0]
    more = f", and {len(other) - 1:,} more labels" if len(other) > 1 else ""
    return (
        f"the class tables contradict each other: label {n} is {a[n]!r} in the first and {b[n]!r} "
        f"in the second{more}; to compare by name: --by name",
    )
