"""Which objects go before others come, and whether any may have to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from qpmask.engines.qupath.datafilewriter import Removal
from qpmask.imageobjects import ImageObjects, ObjectKind, ObjectTable
from qpmask.intoqupath.options import MARK, ImportOptions
from qpmask.javastream.texts import utf
from qpmask.project import ImageEntry
from qpmask.qpdata import read_qpdata


@dataclass(eq=False)
class Incoming:
    """What one input brings to an image.

    Attributes
    ----------
    source : str
        What its objects are said to come from.
    table : ObjectTable
        In the image's frame.
    warnings : list of str
        What people should know.
    lost, mended : int
        Features that were left out, and that were mended.
    """

    source: str
    table: ObjectTable
    warnings: list[str] = field(default_factory=list)
    lost: int = 0
    mended: int = 0


def imported(source: str) -> Removal:
    """What was imported from a source before."""
    return Removal("imported", key=MARK, value=source) if source else Removal()


def removals(coming: Sequence[Incoming], options: ImportOptions) -> list[Removal]:
    """What goes."""
    if options.replace == "all":
        return [Removal("all")]
    if options.replace == "imported":
        return [imported(source) for source in dict.fromkeys(one.source for one in coming)]
    if options.replace == "none":
        return []
    found = []
    for is_annotation in (True, False):
        names: dict[str | None, None] = {}
        for one in coming:
            table = one.table
            of_sort = (table.kind == ObjectKind.ANNOTATION) == is_annotation
            for i in np.unique(table.class_index[of_sort]).tolist():
                names[None if i < 0 else table.classes[i].name] = None
        if names:
            found.append(
                Removal(
                    "classes",
                    annotations=is_annotation,
                    detections=not is_annotation,
                    classes=tuple(names),
                )
            )
    return found


class Standing:
    """What an image holds, as far as it is known without QuPath.

    Parameters
    ----------
    entry : ImageEntry
        The image.
    objects : ImageObjects
        Its objects.
    options : ImportOptions
        What is to go.
    """

    def __init__(self, entry: ImageEntry, objects: ImageObjects, options: ImportOptions) -> None:
        self._entry, self._objects, self._options = entry, objects, options
        self._marks: Counter[str] | None = None

    def may_go(self, coming: Sequence[Incoming]) -> bool:
        """Whether some of it may have to go."""
        return any(self._has(removal) for removal in removals(coming, self._options))

    def marked(self, source: str) -> int:
        """How many objects were imported from a source before."""
        if not source or not len(self._objects):
            return 0
        if self._marks is None:
            self._marks = Counter()
            # Reading metadata takes long: only where the words stand in the file.
            if utf(MARK) in self._entry.data_path.read_bytes():
                details = read_qpdata(self._entry.data_path, details=True).details
                assert details is not None
                self._marks.update(m[MARK] for m in details.metadata.values() if MARK in m)
        return self._marks[source]

    def _has(self, removal: Removal) -> bool:
        objects = self._objects
        kind = objects.kind
        if removal.what == "all":
            return bool((kind != ObjectKind.TMA_CORE).any())
        if removal.what != "classes":
            return self.marked(removal.value) > 0
        is_annotation = kind == ObjectKind.ANNOTATION
        of_sort = is_annotation if removal.annotations else ~is_annotation
        used = np.unique(objects.class_index[of_sort]).tolist()
        return any((None if i < 0 else objects.classes[i].name) in removal.classes for i in used)
