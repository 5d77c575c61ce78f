"""Scores and confusion matrices as rows for CSV files."""

from __future__ import annotations

from collections.abc import Iterator

from qpmask.agreement.scores import Agreement, ClassKey
from qpmask.errors import OptionsError

SCORE_COLUMNS = (
    "mask", "class", "label", "pixels_first", "pixels_second", "pixels_both", "dice", "iou",
    "kappa",
)  # fmt: skip
ALL = "(all)"

_MAX_CLASSES = 4096  # of a matrix; more labels are objects and no classes


def score_rows(mask: str, found: Agreement) -> Iterator[list[object]]:
    """One row a class, then one for all.

    Dice and IoU of the last are the means over the classes without the background, its kappa is
    that of all classes; ``pixels_both`` counts the pixels with the same class in both masks.
    """
    for score in found.scores:
        yield [
            mask,
            score.name,
            _text(score.label),
            score.n_first,
            score.n_second,
            score.n_both,
            *map(_number, (score.dice, score.iou, score.kappa)),
        ]
    yield [
        mask,
        ALL,
        "",
        found.n_pixels,
        found.n_pixels,
        found.n_equal,
        *map(_number, (found.mean_dice, found.mean_iou, found.kappa)),
    ]


def matrix_header(found: Agreement) -> list[str]:
    """The first row of the confusion matrix: classes of the second mask.

    Raises
    ------
    OptionsError
        There are so many labels that they are no classes.
    """
    if len(found.keys) > _MAX_CLASSES:
        raise OptionsError(
            f"A confusion matrix of {len(found.keys):,} labels would have {len(found.keys) ** 2:,} "
            "numbers.",
            hint="Are these masks of objects (--instances)? Compare masks of classes.",
        )
    return ["first \\ second", *map(_title, found.keys)]


def matrix_rows(found: Agreement) -> Iterator[list[object]]:
    """The rows of the confusion matrix: a class of the first mask, then its pixels by column."""
    for key, row in zip(found.keys, found.matrix().tolist(), strict=True):
        yield [_title(key), *row]


def _title(key: ClassKey) -> str:
    return key.name


def _text(label: int | None) -> str:
    return "" if label is None else str(label)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
