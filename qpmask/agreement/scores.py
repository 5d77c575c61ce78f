"""Dice, IoU and Cohen's kappa of a confusion matrix.

With n pixels in all, a with a class in the first mask, b in the second and c in both:

- Dice = 2 c / (a + b); IoU = c / (a + b - c);
- kappa of a class = (o - e) / (1 - e), where o is the share of pixels of which both say the same
  (the class, or not the class) and e = (a b + (n - a) (n - b)) / n², what chance would make of it
  (J. Cohen, Educational and Psychological Measurement 20, 1960, p. 37);
- overall kappa: the same with all classes, e the sum of a b / n² over them, background included.

A score that would be 0 / 0 is None.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, order=True)
class ClassKey:
    """One row or column of a confusion matrix.

    Parameters
    ----------
    channel : int
        Number of the channel, 0 unless the masks have one for each class.
    is_background : bool
        Whether it is what is left between the classes.
    label : int or None
        The label; None where classes are matched by name.
    name : str
        The class.
    """

    channel: int
    is_background: bool
    label: int | None
    name: str


@dataclass(frozen=True)
class ClassScore:
    """How far two masks agree about one class.

    Parameters
    ----------
    name : str
        The class.
    label : int or None
        Its label; None where classes are matched by name.
    is_background : bool
        Whether it is what is left between the classes.
    n_first, n_second, n_both : int
        Pixels with this class in the first mask, in the second, and in both.
    n_pixels : int
        Pixels compared.
    """

    name: str
    label: int | None
    is_background: bool
    n_first: int
    n_second: int
    n_both: int
    n_pixels: int

    @property
    def dice(self) -> float | None:
        """2 both / (first + second); None if it is in neither mask."""
        return _ratio(2 * self.n_both, self.n_first + self.n_second)

    @property
    def iou(self) -> float | None:
        """Intersection over union (Jaccard index); None if it is in neither mask."""
        return _ratio(self.n_both, self.n_first + self.n_second - self.n_both)

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa of this class against all else; None if all pixels of both are alike."""
        a, b, n = self.n_first, self.n_second, self.n_pixels
        agreeing = n - a - b + 2 * self.n_both
        return _kappa(agreeing, a * b + (n - a) * (n - b), n)


class Agreement:
    """A confusion matrix and what follows from it.

    Parameters
    ----------
    pairs : mapping
        Pixels by (class in the first mask, class in the second); both of one channel.
    """

    def __init__(self, pairs: Mapping[tuple[ClassKey, ClassKey], int]) -> None:
        self._pairs = dict(pairs)

    @classmethod
    def pooled(cls, parts: Iterable[Agreement]) -> Agreement:
        """The agreement of several pairs of masks, all their pixels together."""
        total: Counter[tuple[ClassKey, ClassKey]] = Counter()
        for part in parts:
            total.update(part._pairs)
        return cls(total)

    @cached_property
    def keys(self) -> tuple[ClassKey, ...]:
        """Classes that occur in either mask, by channel and label, the background last."""
        found = {key for pair in self._pairs for key in pair}
        return tuple(
            sorted(found, key=lambda k: (k.channel, k.is_background, k.label or 0, k.name))
        )

    @cached_property
    def scores(self) -> tuple[ClassScore, ...]:
        """One score for each of `keys`."""
        first, second, both = Counter[ClassKey](), Counter[ClassKey](), Counter[ClassKey]()
        in_channel = Counter[int]()
        for (one, other), n in self._pairs.items():
            first[one] += n
            second[other] += n
            in_channel[one.channel] += n
            if one == other:
                both[one] += n
        return tuple(
            ClassScore(
                key.name,
                key.label,
                key.is_background,
                first[key],
                second[key],
                both[key],
                in_channel[key.channel],
            )
            for key in self.keys
        )

    @property
    def n_pixels(self) -> int:
        """Pixels compared."""
        return sum(self._pairs.values())

    @property
    def n_equal(self) -> int:
        """How many of them have the same class in both masks."""
        return sum(n for (one, other), n in self._pairs.items() if one == other)

    @property
    def accuracy(self) -> float | None:
        """Share of pixels that have the same class in both masks, background included."""
        return _ratio(self.n_equal, self.n_pixels)

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa over all classes and the background; None for masks of several channels."""
        if len({key.channel for key in self.keys}) != 1:
            return None
        by_chance = sum(score.n_first * score.n_second for score in self.scores)
        return _kappa(self.n_equal, by_chance, self.n_pixels)

    @property
    def mean_dice(self) -> float | None:
        """Mean of the classes' Dice, without the background."""
        return _mean(score.dice for score in self.scores if not score.is_background)

    @property
    def mean_iou(self) -> float | None:
        """Mean of the classes' IoU, without the background."""
        return _mean(score.iou for score in self.scores if not score.is_background)

    def matrix(self) -> NDArray[np.int64]:
        """Pixels by class in the first mask (rows) and in the second (columns), as in `keys`.

        Returns
        -------
        ndarray of int64, shape (n_classes, n_classes)
            As ``sklearn.metrics.confusion_matrix`` has it, the first mask as the true one.
        """
        at = {key: i for i, key in enumerate(self.keys)}
        matrix = np.zeros((len(at), len(at)), np.int64)
        for (one, other), n in self._pairs.items():
            matrix[at[one], at[other]] += n
        return matrix


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _kappa(agreeing: int, by_chance: int, n: int) -> float | None:
    """``by_chance`` is the number of agreeing pixels that chance would make, times n."""
    # Whole numbers as long as possible: pixels squared are beyond what a float can tell apart.
    above, room = agreeing * n - by_chance, n * n - by_chance
    return above / room if room else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
