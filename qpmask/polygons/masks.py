"""Mask files as what a run of ``qpmask polygons`` works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qpmask.batch import Reporter
from qpmask.collection import MaskCollection
from qpmask.collection.opening import is_collection, open_mask
from qpmask.errors import OptionsError
from qpmask.mask import Mask
from qpmask.objectfiles.work import FileItem, Made
from qpmask.outputs import INSTANCES_SUFFIX, SIDECAR_SUFFIX, file_mark
from qpmask.polygons.trace import TraceOptions, trace_file
from qpmask.report.foldercheck import mask_files


def masks_of(inputs: Sequence[Path]) -> tuple[FileItem, ...]:
    """The masks that files and folders name, each once.

    Raises
    ------
    OptionsError
        There is no such file, or a folder holds none.
    """
    found: dict[Path, FileItem] = {}
    for path in inputs:
        if path.suffix.lower() == ".qpproj":
            raise OptionsError(
                f"{path} is a QuPath project and no mask.",
                hint=f"'qpmask annotations {path}' writes its annotations; 'qpmask export' makes "
                "masks.",
            )
        if not path.exists():
            raise OptionsError(f"There is no file {path}.")
        many = [path]
        if path.is_dir() and not is_collection(path):
            many = mask_files(path)
            many += sorted(p for p in path.iterdir() if p.name[0] != "." and is_collection(p))
        if not many:
            raise OptionsError(f"{path} is a folder, and there are no masks in it.")
        for one in many:
            found.setdefault(one.resolve(), FileItem(one))
    return tuple(found.values())


@dataclass(frozen=True)
class MaskTracer:
    """Traces mask files; see :class:`~qpmask.objectfiles.work.Maker`."""

    options: TraceOptions

    def made_from(self, source: FileItem) -> dict[str, Any]:
        """The mask, the tables beside it, the options."""
        beside = {}
        for suffix in (SIDECAR_SUFFIX, INSTANCES_SUFFIX):
            path = source.path.with_name(source.path.name + suffix)
            if path.is_file():
                beside[suffix] = file_mark(path)
        options = asdict(self.options)
        if is_collection(source.path):
            with MaskCollection(source.path) as masks:
                return {"mask": [source.name, masks.fingerprint], "options": options}
        return {"mask": file_mark(source.path), "beside": beside, "options": options}

    def make(self, source: FileItem, reporter: Reporter) -> Made:
        """Trace one."""
        with open_mask(source.path) as mask:
            reporter.phase("tracing", mask.levels[0].size.height_px * mask.n_planes)
            said: list[str] = []
            table = trace_file(mask, self.options, reporter.done, said.append)
            if not len(table):
                said.append("It has no labels: the file has no objects.")
            return Made(table, about(mask), tuple(said))


def about(mask: Mask) -> dict[str, Any]:
    """What a file of objects says of the mask that it was made of."""
    extra = mask.metadata.extra if mask.metadata is not None else {}
    said = {key: extra[key] for key in ("image", "entry_id") if key in extra}
    return {"mask": mask.path.name, **said}
