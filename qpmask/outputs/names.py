"""What the files of a run are called: names that cannot collide, on any file system."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qpmask.project import ImageEntry

MASK_SUFFIX = ".ome.tif"

#: Ending of a mask by the format it is exported in.
SUFFIX_OF_FORMAT = {"ome-tiff": MASK_SUFFIX, "ome-zarr": ".ome.zarr", "ozx": ".ozx"}

MASK_SUFFIXES = tuple(SUFFIX_OF_FORMAT.values())

SIDECAR_SUFFIX = ".json"

INSTANCES_SUFFIX = ".instances.csv"

CLASSES_FILE = "classes.yaml"

REPORT_JSON = "report.json"

REPORT_CSV = "report.csv"

AREAS_CSV = "areas.csv"

PREVIEW_FOLDER = "previews"

CONTACT_SHEET = "contact_sheet.png"

#: Endings that name a slide format; a mask is called like its slide without them.
_SLIDE_SUFFIXES = (
    ".ome.tiff", ".ome.tif", ".tiff", ".tif", ".svs", ".ndpi", ".scn", ".mrxs", ".czi", ".vsi",
    ".bif", ".qptiff", ".svslide", ".lif", ".nd2", ".isyntax", ".dcm", ".ome.zarr", ".zarr",
    ".jpeg", ".jpg", ".png", ".jp2",
)  # fmt: skip

_RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)

_MAX_STEM_BYTES = 160  # leaves room for the endings within the 255 bytes that file systems allow


def mask_names(entries: Iterable[ImageEntry], suffix: str = MASK_SUFFIX) -> dict[str, str]:
    """File names of the masks of all images of a project, by entry id.

    A name is the image's, without the ending of its slide format, with characters that some file
    system refuses replaced by ``_``, and cut to a length that all take. Where two would be the same
    (on file systems that ignore case and on those that fold Unicode as well) each gets its entry id
    appended. A name depends on the project alone, not on the images that are selected.
    """
    listed = list(entries)
    stems = {e.id: slide_stem(e.name) for e in listed}
    seen: dict[str, int] = {}
    for stem in stems.values():
        seen[_folded(stem)] = seen.get(_folded(stem), 0) + 1
    taken = {_folded(stem) for stem in stems.values() if seen[_folded(stem)] == 1}
    names: dict[str, str] = {}
    for entry in listed:
        stem = stems[entry.id]
        if seen[_folded(stem)] > 1:
            tail = f"_id{_short(slide_stem(entry.id))}"
            stem += tail
            while _folded(stem) in taken:
                stem += "_"
            taken.add(_folded(stem))
        names[entry.id] = stem + suffix
    return names


def mask_stem(name: str) -> str:
    """Name of a mask without its ending."""
    endings = (*MASK_SUFFIXES, ".zarr")
    return next((name[: -len(s)] for s in endings if name.endswith(s)), name)


def slide_stem(name: str) -> str:
    """What is made from a slide, or an image, is called: its name without what no system takes."""
    text = unicodedata.normalize("NFC", name).strip()
    lower = text.lower()
    for suffix in _SLIDE_SUFFIXES:
        if lower.endswith(suffix) and len(text) > len(suffix):
            text = text[: -len(suffix)]
            break
    text = re.sub(r'[<>:"/\\|?*]', "_", text)
    if not text.isprintable():  # to compile this pattern takes half a millisecond of a start
        text = re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", "_", text)
    text = text.strip(" .")
    raw = text.encode("utf-8")
    if len(raw) > _MAX_STEM_BYTES:
        digest = hashlib.sha256(raw).hexdigest()[:8]
        text = raw[:_MAX_STEM_BYTES].decode("utf-8", "ignore").rstrip(" .") + "_" + digest
    if not text or _RESERVED.match(text):
        text = f"_{text}"
    return text


def _short(text: str) -> str:
    """An entry id as QuPath writes it, or a hash of one that is longer."""
    return text if len(text.encode()) <= 24 else hashlib.sha256(text.encode()).hexdigest()[:12]


def _folded(text: str) -> str:
    """Alike for names that are the same to a system that ignores case, in either direction."""
    return unicodedata.normalize("NFKC", text).upper().casefold()  # ı is I then, and so i
