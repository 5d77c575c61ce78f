"""Which masks share an array: the overlap graph, and a first fit on it.

Masks that do not overlap fit one label image. Where that needs at most half as many arrays as there
are masks, they share; else each has its own, which then is two-valued and small. Mostly the pixels
of a smaller level show that many masks overlap one another; only if not, all pixels are looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qpmask.collection.arrays import THREADS
from qpmask.collection.chunkbits import Bits
from qpmask.collection.grid import Position
from qpmask.collection.sources import Added, Source
from qpmask.ometiff.threads import in_threads


def share(sources: Sequence[Source]) -> list[list[int]]:
    """Sources (by number) that share an array.

    Parameters
    ----------
    sources : sequence of Source
        Arrays of before come first in their groups, and never with one another.
    """
    shared = [i for i, s in enumerate(sources) if s.can_share]
    alone = [[i] for i, s in enumerate(sources) if not s.can_share]
    rest = [i for i in shared if not sources[i].is_layer]
    if len(rest) == len(shared) > 1 and _crowd([sources[i] for i in rest]) > len(rest) / 2:
        return [[i] for i in rest] + alone
    overlaps = overlapping([sources[i] for i in shared])
    clash = {(shared[a], shared[b]) for a, b in overlaps}
    layers = [[i] for i in shared if sources[i].is_layer]
    n_before = len(layers)
    for i in sorted(rest, key=lambda i: -sources[i].n_pixels):
        for group in layers:
            if all((min(i, j), max(i, j)) not in clash for j in group):
                group.append(i)
                break
        else:
            layers.append([i])
    if len(rest) > 1 and len(layers) - n_before > len(rest) / 2:
        layers = layers[:n_before]
        layers = [[group[0]] for group in layers] + [[i] for i in rest]
    return [sorted(group) for group in layers + alone]


def _crowd(sources: Sequence[Source]) -> int:
    """Of how many sources it is quickly seen that each overlaps each: as many arrays they need."""
    seen: dict[Position, tuple[list[int], list[NDArray[np.bool_]]]] = {}
    for number, source in enumerate(sources):
        assert isinstance(source, Added)
        for at in source.positions():
            pixels = source.picked(at) if source.has_picked else None
            if pixels is not None:
                numbers, parts = seen.setdefault(at, ([], []))
                numbers.append(number)
                parts.append(pixels.reshape(-1))
    clash = np.zeros((len(sources),) * 2, bool)
    for numbers, parts in seen.values():
        together = np.asarray(parts, np.float32)
        clash[np.ix_(numbers, numbers)] |= together @ together.T > 0
    most = 0
    for first in np.argsort(-clash.sum(axis=1), kind="stable")[:8]:
        crowd: list[int] = [int(first)]
        for other in sorted(np.flatnonzero(clash[first]), key=lambda n: -int(clash[n].sum())):
            if other != first and clash[other, crowd].all():
                crowd.append(int(other))
        most = max(most, len(crowd))
    return most


def overlapping(sources: Sequence[Source]) -> set[tuple[int, int]]:
    """Pairs of sources (lower number first) that have a pixel in common."""
    at: dict[Position, list[int]] = {}
    for number, source in enumerate(sources):
        for position in source.positions():
            at.setdefault(position, []).append(number)
    found: set[tuple[int, int]] = set()
    both = {  # two arrays of before never share, so whether they overlap does not matter
        (a, b)
        for a in range(len(sources))
        for b in range(a + 1, len(sources))
        if sources[a].is_layer and sources[b].is_layer
    }

    def look(item: tuple[Position, list[int]]) -> set[tuple[int, int]]:
        position, numbers = item
        pairs = [(a, b) for i, a in enumerate(numbers) for b in numbers[i + 1 :]]
        if all(pair in found or pair in both for pair in pairs):
            return set()
        seen: dict[int, Bits] = {}
        union: Bits | None = None
        new: set[tuple[int, int]] = set()
        for number in numbers:
            bits = sources[number].bits(position)
            if bits is None:
                continue
            if union is None:
                union = bits.copy()
            else:
                if (bits & union).any():
                    new |= {
                        (other, number)
                        for other, its in seen.items()
                        if (other, number) not in found and (bits & its).any()
                    }
                union |= bits
            seen[number] = bits
        return new

    crowded = [(position, numbers) for position, numbers in at.items() if len(numbers) > 1]
    for new in in_threads(look, crowded, THREADS):
        found |= new
    return found - both
