"""Reads a Java Object Serialization stream at many places at the same time, with numpy.

A lane is a place that is taken for the start of something, and how far it has been read from
there. All lanes take the same step together, so that what one token costs in Python is shared by
thousands of objects. Only forms that are frequent are followed: where a lane meets anything else
(a new class, an enum, deep nesting, the end of the data) it ends, and what it was to read is left
to :class:`~qpmask.qpdata.javastream.JavaStream`, which reads all forms and explains what is wrong.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from qpmask.qpdata.javacodes import (
    FIRST_HANDLE,
    TC_ARRAY,
    TC_BLOCKDATA,
    TC_ENDBLOCKDATA,
    TC_NULL,
    TC_OBJECT,
    TC_REFERENCE,
    TC_STRING,
)
from qpmask.qpdata.lanedata import ITEMS, UNTIL_END, ClassForms, Ints, LaneData

#: Levels of objects inside a value, and steps until it is read.
MAX_LEVELS: Final = 12
MAX_STEPS: Final = 4096

# In place of a code: the value is complete; or the lane cannot go on.
_THROUGH: Final = 1
_FAILED: Final = 0
# The codes that are followed, by themselves; all others are the end.
_FOLLOWED: Final = np.full(256, _FAILED, np.uint8)
_CODES: Final = [
    *(TC_NULL, TC_REFERENCE, TC_OBJECT, TC_STRING, TC_ARRAY, TC_BLOCKDATA, TC_ENDBLOCKDATA)
]
_FOLLOWED[_CODES] = _CODES

#: Two bytes: an object, an array of a class that is referred to.
OBJECT_OF: Final = TC_OBJECT << 8 | TC_REFERENCE
ARRAY_OF: Final = TC_ARRAY << 8 | TC_REFERENCE
#: Bytes of a reference, of the head of an object, and of that of an array.
REFERENCE_BYTES: Final = 5
OBJECT_BYTES: Final = 6
ARRAY_BYTES: Final = 10


class Lanes:
    """Lanes and how far they have been read.

    Every method takes the numbers of the lanes to go on with, and gives those that could.

    Parameters
    ----------
    source : LaneData
        The data.
    forms : ClassForms
        The classes that are known.
    starts : ndarray of int64, shape (n,)
        Where each lane starts.

    Attributes
    ----------
    pos : ndarray of int64, shape (n,)
        Where each lane is.
    n_handles : ndarray of int64, shape (n,)
        How many handles it took so far.
    good : ndarray of bool, shape (n,)
        Whether it could be read so far.
    """

    def __init__(self, source: LaneData, forms: ClassForms, starts: Ints) -> None:
        self.source = source
        self.forms = forms
        self.pos = starts.copy()
        self.n_handles = np.zeros(len(starts), np.int64)
        self.good = starts < source.end
        self._refs: list[tuple[Ints, Ints, Ints]] = []

    def append(self, other: Lanes) -> None:
        """Add other lanes after these."""
        n_lanes = len(self.pos)
        self.pos = np.concatenate([self.pos, other.pos])
        self.n_handles = np.concatenate([self.n_handles, other.n_handles])
        self.good = np.concatenate([self.good, other.good])
        self._refs += [(lanes + n_lanes, handles, before) for lanes, handles, before in other._refs]

    def all(self) -> Ints:
        """Give the lanes that could be read so far."""
        return np.flatnonzero(self.good)

    def keep(self, lanes: Ints, good: npt.NDArray[np.bool_]) -> Ints:
        """End the lanes that are not good."""
        if good.all():
            return lanes
        self.good[lanes[~good]] = False
        return lanes[good]

    def move(self, lanes: Ints, pos: Ints) -> Ints:
        """Go on to other places."""
        self.pos[lanes] = pos
        return self.keep(lanes, pos < self.source.end)

    def codes(self, lanes: Ints) -> npt.NDArray[np.uint8]:
        """Give the next byte of each lane."""
        codes: npt.NDArray[np.uint8] = self.source.u1[self.pos[lanes]]
        return codes

    def expect(self, lanes: Ints, code: int) -> Ints:
        """Read one byte that must be there."""
        lanes = self.keep(lanes, self.codes(lanes) == code)
        return self.move(lanes, self.pos[lanes] + 1)

    def expect_object(self, lanes: Ints) -> tuple[Ints, Ints]:
        """Read the head of an object of a known class; give the numbers of the classes too."""
        lanes = self.keep(lanes, self.source.u2[self.pos[lanes]] == OBJECT_OF)
        classes = self.forms.numbers(self.source.i4_at(self.pos[lanes] + 2))
        self.n_handles[lanes] += 1
        pos = self.pos[lanes] + OBJECT_BYTES
        return self.move(lanes, pos), classes[pos < self.source.end]

    def expect_array(self, lanes: Ints, item_size: int) -> tuple[Ints, Ints, Ints]:
        """Read the head of an array and pass over its items, if they are numbers.

        Parameters
        ----------
        lanes : ndarray of int64, shape (n,)
            The lanes.
        item_size : int
            Bytes of an item, 0 for objects.

        Returns
        -------
        tuple of ndarray of int64, shape (m,)
            The lanes that go on, the numbers of their classes, the numbers of items.
        """
        lanes = self.keep(lanes, self.source.u2[self.pos[lanes]] == ARRAY_OF)
        classes = self.forms.numbers(self.source.i4_at(self.pos[lanes] + 2))
        same = self.forms.item_size[classes] == item_size
        lanes, classes = self.keep(lanes, same), classes[same]
        n_items = self.source.i4_at(self.pos[lanes] + OBJECT_BYTES)
        self.n_handles[lanes] += 1
        pos = self.pos[lanes] + ARRAY_BYTES + n_items * item_size
        self.pos[lanes] = pos
        good = (n_items >= 0) & (pos < self.source.end)
        return self.keep(lanes, good), classes[good], n_items[good]

    def take_references(self, lanes: Ints) -> tuple[Ints, Ints]:
        """Read references, which the lanes have before them; give their handles too."""
        pos = self.pos[lanes]
        handles = self.source.i4_at(pos + 1) - FIRST_HANDLE
        self.note_references(lanes, handles, self.n_handles[lanes])
        pos += REFERENCE_BYTES
        self.pos[lanes] = pos
        good = (pos < self.source.end) & (handles >= 0)
        return self.keep(lanes, good), handles[good]

    def note_references(self, lanes: Ints, handles: Ints, before: Ints) -> None:
        """Keep references that were read."""
        self._refs.append((lanes, handles, before))

    def take_texts(self, lanes: Ints) -> tuple[Ints, Ints]:
        """Pass over texts, which the lanes have before them; give where their lengths are too."""
        places = self.pos[lanes] + 1
        pos = places + 2 + self.source.u2[places].astype(np.int64)
        self.n_handles[lanes] += 1
        return self.move(lanes, pos), places[pos < self.source.end]

    def references(self) -> tuple[Ints, Ints, Ints]:
        """Give all references that were read.

        Returns
        -------
        tuple of ndarray of int64, shape (n,)
            The lanes, the handles, and how many handles the lane had taken before.
        """
        if not self._refs:
            return (np.zeros(0, np.int64),) * 3
        lanes, handles, before = (np.concatenate(parts) for parts in zip(*self._refs, strict=True))
        return lanes, handles, before

    # ------------------------------------------------------------- any value

    def skip_values(self, lanes: Ints) -> Ints:
        """Pass over one value in each lane, with all that it holds."""
        codes = self.codes(lanes)
        null = codes == TC_NULL
        self.pos[lanes[null]] += 1
        more = lanes[~null]
        if len(more):
            _Walk(self, more).run()
        return self.keep(lanes, self.good[lanes] & (self.pos[lanes] < self.source.end))


class _Walk:
    """Passes over one value in each of some lanes, token after token.

    Lanes are taken out when many of them have ended, so the arrays here are about the others.
    """

    def __init__(self, lanes: Lanes, numbers: Ints) -> None:
        self.lanes = lanes
        self.source = lanes.source
        self.forms = lanes.forms
        self.numbers = numbers
        self.pos = lanes.pos[numbers]
        self.n_handles = lanes.n_handles[numbers]
        n_lanes = len(numbers)
        # What is being read (the first thing is one item), and what to go back to.
        self.step = np.full(n_lanes, ITEMS, np.int64)
        self.left = np.ones(n_lanes, np.int64)
        self.level = np.zeros(n_lanes, np.int64)
        self.steps = np.zeros((n_lanes, MAX_LEVELS), np.int64)
        self.lefts = np.zeros((n_lanes, MAX_LEVELS), np.int64)
        # The next byte of each lane, or why there is none.
        self.codes = _FOLLOWED[lanes.codes(numbers)]
        self.steps_left = MAX_STEPS

    def run(self) -> None:
        """Read until every lane is through or cannot go on."""
        # In an order in which tokens often follow one another. Kept in self these would keep
        # the walk, and the data with it, from being freed.
        readers = (
            (TC_ARRAY, self._arrays),
            (TC_OBJECT, self._objects),
            (TC_BLOCKDATA, self._blocks),
            (TC_NULL, self._nulls),
            (TC_STRING, self._texts),
            (TC_REFERENCE, self._references),
            (TC_ENDBLOCKDATA, self._ends),
        )
        while self.steps_left > 0:
            self.steps_left -= 1
            ended = self.codes <= _THROUGH
            n_ended = np.count_nonzero(ended)
            if 4 * n_ended > len(ended):
                self._take_out(ended)
                if not len(self.numbers):
                    return
            for code, read in readers:
                found = np.flatnonzero(self.codes == code)
                if len(found):
                    read(found)
        self._take_out(self.codes <= _THROUGH)
        self.lanes.good[self.numbers] = False

    def _take_out(self, ended: npt.NDArray[np.bool_]) -> None:
        lanes = self.lanes
        through = self.codes == _THROUGH
        lanes.pos[self.numbers[through]] = self.pos[through]
        lanes.n_handles[self.numbers[through]] = self.n_handles[through]
        lanes.good[self.numbers[ended & ~through]] = False
        kept = np.flatnonzero(~ended)
        self.codes = self.codes[kept]
        self.numbers, self.pos, self.n_handles = (
            values[kept] for values in (self.numbers, self.pos, self.n_handles)
        )
        self.step, self.left, self.level = (
            values[kept] for values in (self.step, self.left, self.level)
        )
        self.steps, self.lefts = self.steps[kept], self.lefts[kept]

    def _look(self, found: Ints) -> None:
        """Look at the next bytes, after something was read that is not the last of a value."""
        pos = self.pos[found]
        inside = pos < self.source.end
        if inside.all():
            self.codes[found] = _FOLLOWED[self.source.u1[pos]]
        else:
            self.codes[found[inside]] = _FOLLOWED[self.source.u1[pos[inside]]]
            self.codes[found[~inside]] = _FAILED

    def _keep(self, found: Ints, good: npt.NDArray[np.bool_]) -> Ints:
        if good.all():
            return found
        self.codes[found[~good]] = _FAILED
        return found[good]

    def _nulls(self, found: Ints) -> None:
        self.pos[found] += 1
        self._complete(found)

    def _references(self, found: Ints) -> None:
        # Mostly several in a row, the names of measurements.
        while len(found) and self.steps_left > 0:
            self.steps_left -= 1
            handles = self.source.i4_at(self.pos[found] + 1) - FIRST_HANDLE
            self.lanes.note_references(self.numbers[found], handles, self.n_handles[found])
            self.pos[found] += REFERENCE_BYTES
            self._complete(found)
            found = found[self.codes[found] == TC_REFERENCE]

    def _texts(self, found: Ints) -> None:
        self.pos[found] += 3 + self.source.u2[self.pos[found] + 1].astype(np.int64)
        self.n_handles[found] += 1
        self._complete(found)

    def _blocks(self, found: Ints) -> None:
        found = self._keep(found, self.left[found] == UNTIL_END)
        self.pos[found] += 2 + self.source.u1[self.pos[found] + 1].astype(np.int64)
        self._look(found)

    def _ends(self, found: Ints) -> None:
        found = self._keep(found, self.left[found] == UNTIL_END)
        self.pos[found] += 1
        self._next_step(found)
        self._look_on(found)

    def _classes(self, found: Ints) -> tuple[Ints, Ints]:
        found = self._keep(found, self.source.u1[self.pos[found] + 1] == TC_REFERENCE)
        return found, self.forms.numbers(self.source.i4_at(self.pos[found] + 2))

    def _objects(self, found: Ints) -> None:
        found, classes = self._classes(found)
        step = self.forms.first_step[classes]
        good = step >= 0
        found, step = self._keep(found, good), step[good]
        self.n_handles[found] += 1
        self.pos[found] += OBJECT_BYTES + self.forms.step_skip[step]
        n_values = self.forms.step_values[step]
        empty = n_values == 0
        self._go_into(found[~empty], step[~empty], n_values[~empty])
        self._complete(found[empty])

    def _arrays(self, found: Ints) -> None:
        found, classes = self._classes(found)
        item_size = self.forms.item_size[classes]
        n_items = self.source.i4_at(self.pos[found] + OBJECT_BYTES)
        good = (item_size >= 0) & (n_items >= 0)
        found, item_size, n_items = self._keep(found, good), item_size[good], n_items[good]
        self.n_handles[found] += 1
        self.pos[found] += ARRAY_BYTES + n_items * item_size
        more = (item_size == 0) & (n_items > 0)
        self._go_into(found[more], np.full(int(more.sum()), ITEMS), n_items[more])
        self._complete(found[~more])

    def _go_into(self, found: Ints, step: Ints, left: Ints) -> None:
        if not len(found):
            return
        level = self.level[found]
        good = level < MAX_LEVELS
        found, step, left, level = self._keep(found, good), step[good], left[good], level[good]
        self.steps[found, level] = self.step[found]
        self.lefts[found, level] = self.left[found]
        self.step[found] = step
        self.left[found] = left
        self.level[found] = level + 1
        self._look(found)

    def _complete(self, found: Ints) -> None:
        """Count a value that was read, and look at what comes next."""
        if not len(found):
            return
        left = self.left[found]
        self.left[found] = left - (left > 0)
        last = left == 1
        if last.any():
            self._next_step(found[last])
        self._look_on(found)

    def _look_on(self, found: Ints) -> None:
        """Look at the next bytes, where more is to be read."""
        on = self.left[found] != 0
        self.codes[found[~on]] = np.where(self.pos[found[~on]] < self.source.end, _THROUGH, _FAILED)
        self._look(found[on])

    def _next_step(self, found: Ints) -> None:
        """Go on where all the values of a step have been read; nothing is left at the end."""
        while len(found):
            step = self.step[found] + 1
            self.step[found] = step
            self.pos[found] += self.forms.step_skip[step]
            left = self.forms.step_values[step]
            self.left[found] = left
            found = found[left == 0]  # the object or the array is complete
            level = self.level[found] - 1
            inside = level >= 0
            found, level = found[inside], level[inside]
            self.level[found] = level
            self.step[found] = self.steps[found, level]
            left = self.lefts[found, level]
            self.left[found] = left - (left > 0)
            found = found[left == 1]
