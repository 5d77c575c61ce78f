"""An address becomes an answer. Knows nothing of HTTP's wire: :mod:`qpmask.web.server` does.

Addresses below the token: ``""`` (the page), ``static/NAME``, ``api/images``, ``api/images/I``,
``api/images/I/thumb``, ``.../mask/L/LEVEL/COL/ROW``, ``.../slide/LEVEL/COL/ROW``,
``.../objects/L``, ``.../compare/L/L``, ``.../patches/P`` (a table as JSON and numbers behind it).
Everything is named by its number in a list; no address holds a path.
"""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from importlib.resources import files as package_files
from typing import Any

import numpy as np

from qpmask._version import __version__
from qpmask.agreement import compare_masks
from qpmask.common.machine import n_cores
from qpmask.errors import MaskError, OptionsError, QpmaskError
from qpmask.geometry import Affine
from qpmask.patches import open_patches
from qpmask.viewer.opening import classes_shown
from qpmask.viewer.palette import Painter
from qpmask.web.catalog import Shown
from qpmask.web.drawing import Drawer
from qpmask.web.image import (
    Laid,
    Layer,
    OpenFilesOfImages,
    instance_table,
    lay,
    with_slide_of_patches,
)
from qpmask.web.openfiles import FileGoneError, version_of
from qpmask.web.tiles import TILE_PX, label_tile, n_levels, slide_tile, thumbnail
from qpmask.web.turns import Turns

THUMB_PX = 320
_KEPT_THUMBS = 500
_KEPT_IMAGES = 64

#: What the page consists of; nothing else of the package is served.
PAGE_FILES = {
    "style.css": "text/css; charset=utf-8",
    "main.js": "text/javascript; charset=utf-8",
    "api.js": "text/javascript; charset=utf-8",
    "list.js": "text/javascript; charset=utf-8",
    "image.js": "text/javascript; charset=utf-8",
    "pane.js": "text/javascript; charset=utf-8",
    "labels.js": "text/javascript; charset=utf-8",
    "paint.js": "text/javascript; charset=utf-8",
    "legend.js": "text/javascript; charset=utf-8",
    "place.js": "text/javascript; charset=utf-8",
    "vendor/openseadragon.min.js": "text/javascript; charset=utf-8",
    "vendor/openseadragon-LICENSE.txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class Answer:
    """What is sent back.

    Attributes
    ----------
    status : int
        HTTP's.
    kind : str
        Media type.
    body : bytes
        What is sent.
    headers : mapping
        Further ones.
    """

    status: int
    kind: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(data: object, status: int = 200) -> Answer:
    """Plain data as JSON, packed where that pays."""
    body = json.dumps(data, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    if len(body) < 4096:
        return Answer(status, "application/json", body)
    packed = gzip.compress(body, 1, mtime=0)
    return Answer(status, "application/json", packed, {"Content-Encoding": "gzip"})


def error_answer(status: int, text: str, hint: str | None = None) -> Answer:
    """A reason that the page can show."""
    return json_answer({"error": text, "hint": hint}, status)


class Site:
    """All that can be asked for. Safe to share between threads.

    Parameters
    ----------
    images : sequence of Shown
        What is served.

    Attributes
    ----------
    turns : Turns
        A thread takes one for an answer.
    """

    def __init__(self, images: Sequence[Shown]) -> None:
        self._images = tuple(images)
        self.turns = Turns(max(2, n_cores()))
        self._files = OpenFilesOfImages(self.turns)
        self._drawer = Drawer(self.turns)
        self._comparing = threading.Lock()  # one at a time: each reads two whole masks
        self._thumbs = _Kept(_KEPT_THUMBS)
        self._laid = _Kept(_KEPT_IMAGES)
        self._compared = _Kept(_KEPT_IMAGES)
        self._completed = _Kept(len(self._images))

    def close(self) -> None:
        """Close files, remove what was drawn."""
        self._files.close()
        self._drawer.close()

    def answer(self, path: str) -> Answer:
        """What is at an address below the token."""
        for pattern, name in _ROUTES:
            match = pattern.fullmatch(path)
            if match is None:
                continue
            try:
                numbers = [int(n) for n in match.groups() if n is not None and n.isdecimal()]
                handler: Callable[..., Answer] = getattr(self, name)
                return handler(match.group(1)) if name == "_static" else handler(*numbers)
            except FileGoneError as error:
                return error_answer(410, str(error), error.hint)
            except (MaskError, QpmaskError) as error:
                return error_answer(422, str(error), error.hint)
            except OSError as error:
                return error_answer(422, f"A file cannot be read: {error.strerror or error}.")
        return error_answer(404, "There is nothing at this address.")

    # --- the page -----------------------------------------------------------------------------

    def _page(self) -> Answer:
        return Answer(200, "text/html; charset=utf-8", _page_file("index.html"))

    def _static(self, name: str) -> Answer:
        if name not in PAGE_FILES:
            return error_answer(404, "There is no such file.")
        return Answer(200, PAGE_FILES[name], _page_file(name))

    # --- images -------------------------------------------------------------------------------

    def _list(self) -> Answer:
        return json_answer(
            {"version": __version__, "images": [self._summary(i) for i in range(len(self._images))]}
        )

    def _summary(self, number: int) -> dict[str, Any]:
        image = self._images[number]
        first = image.masks[0] if image.masks else None
        return {
            "number": number,
            "name": image.name,
            "status": image.status,
            "problem": image.problem,
            "masks": [mask.title for mask in image.masks],
            "slide": image.slide.name if image.slide is not None else None,
            "nPatchFiles": len(image.patches),
            "project": image.project.path.parent.name if image.project is not None else None,
            "classes": [asdict(c) for c in (first.classes if first else ()) if c.pixels > 0],
        }

    def _image(self, number: int) -> Answer:
        image, laid = self._lay(number)
        pixel = laid.pixel_size
        return json_answer(
            {
                **self._summary(number),
                "width": laid.size.width_px,
                "height": laid.size.height_px,
                "levels": n_levels(laid.size),
                "tile": TILE_PX,
                "mpp": None if pixel is None else [pixel.width_um, pixel.height_um],
                "hasSlide": laid.to_slide is not None,
                "slideVersion": laid.slide_version,
                "notes": list(laid.notes),
                "layers": [self._layer(image, layer) for layer in laid.layers],
                "patches": [path.stem for path in image.patches],
            }
        )

    @staticmethod
    def _layer(image: Shown, layer: Layer) -> dict[str, Any]:
        totals = {c.label: c for c in image.masks[layer.mask].classes}
        counted = layer.kind == "classes"
        rows = []
        for row in layer.classes:
            total = totals.get(row["label"]) if counted else None
            rows.append({**row, "pixels": total.pixels if total else None,
                         "area_mm2": total.area_mm2 if total else None})  # fmt: skip
        return {
            "mask": layer.mask,
            "title": layer.title,
            "file": image.masks[layer.mask].path.name,
            "kind": layer.kind,
            "width": layer.size.width_px,
            "height": layer.size.height_px,
            "scale": layer.scale,
            "dtype": layer.dtype,
            "levels": n_levels(layer.size),
            "version": layer.version,
            "classes": rows,
        }

    def _thumb(self, number: int) -> Answer:
        image, laid = self._lay(number)
        key = number, _versions(image)
        picture = self._thumbs.get(key)
        if picture is None:
            picture = self._thumbs.keep(key, self._draw_thumb(image, laid))
        return Answer(200, "image/jpeg", picture)

    def _draw_thumb(self, image: Shown, laid: Laid) -> bytes:
        under = over = None
        masks, slides = self._files.masks, self._files.slides(laid.series)
        layer = laid.layers[0] if laid.layers else None
        if layer is None:
            assert image.slide is not None and laid.to_slide is not None
            with slides.use(image.slide) as (slide, _):
                return thumbnail(laid.size, THUMB_PX, (slide, laid.to_slide), None)
        with masks.use(image.masks[layer.mask].path) as (mask, _):
            painter = Painter(classes_shown(mask.first))
            over = mask.sampler(layer.plane), painter, layer.scale[0]
            if image.slide is not None and laid.to_slide is not None:
                try:
                    with slides.use(image.slide) as (slide, _):
                        under = slide, laid.to_slide
                        return thumbnail(laid.size, THUMB_PX, under, over)
                except OptionsError:
                    under = None  # a slide without smaller levels
            return thumbnail(laid.size, THUMB_PX, under, over)

    # --- pixels -------------------------------------------------------------------------------

    def _mask(self, number: int, of: int, level: int, col: int, row: int) -> Answer:
        image, laid = self._lay(number)
        layer = _chosen(laid.layers, of, "layer")
        with self._files.masks.use(image.masks[layer.mask].path) as (mask, version):
            if version != layer.version:
                return error_answer(409, "The mask was made again; it is loaded anew.")
            body = label_tile(mask.sampler(layer.plane), level, col, row)
        return Answer(200, "application/octet-stream", body, {"Content-Encoding": "gzip"})

    def _slide(self, number: int, level: int, col: int, row: int) -> Answer:
        image, laid = self._lay(number)
        if image.slide is None or laid.to_slide is None:
            return error_answer(404, "This image has no slide.")
        with self._files.slides(laid.series).use(image.slide) as (slide, _):
            tile = level, col, row
            return Answer(200, "image/jpeg", slide_tile(slide, laid.to_slide, laid.size, tile))

    # --- what stands behind the pixels --------------------------------------------------------

    def _objects(self, number: int, of: int) -> Answer:
        image, laid = self._lay(number)
        layer = _chosen(laid.layers, of, "layer")
        table = instance_table(image.masks[layer.mask].path).astype("<u2")
        body = gzip.compress(table.tobytes(), 1, mtime=0)
        return Answer(200, "application/octet-stream", body, {"Content-Encoding": "gzip"})

    def _compare(self, number: int, first: int, second: int) -> Answer:
        image, laid = self._lay(number)
        layers = [_chosen(laid.layers, of, "layer") for of in (first, second)]
        paths = [image.masks[layer.mask].path for layer in layers]
        key = number, first, second, *(version_of(path) for path in paths)
        figures = self._compared.get(key)
        if figures is None:
            with self.turns.waiting_for(self._comparing):
                figures = self._compared.get(key)
                if figures is None:
                    figures = self._compared.keep(key, _figures(*paths))
        return json_answer(figures)

    def _patches(self, number: int, of: int) -> Answer:
        image, laid = self._lay(number)
        path = _chosen(image.patches, of, "patch file")
        return _patch_answer(open_patches(path), laid)

    # --- behind the scenes --------------------------------------------------------------------

    def _lay(self, number: int) -> tuple[Shown, Laid]:
        chosen = _chosen(self._images, number, "image")
        image = self._completed.get(number) or self._completed.keep(
            number, with_slide_of_patches(chosen)
        )
        image, note = self._drawer.with_mask(image)
        key = number, _versions(image)
        laid: Laid | None = self._laid.get(key)
        if laid is None:
            laid = lay(image, self._files)
            if note is not None:
                laid = replace(laid, notes=(note, *laid.notes))
            self._laid.keep(key, laid)
        return image, laid


def _versions(image: Shown) -> tuple[str, ...]:
    """Versions of the files of an image; an empty one for a file that is gone."""
    found = []
    for path in (*(mask.path for mask in image.masks), *([image.slide] if image.slide else [])):
        try:
            found.append(version_of(path))
        except FileGoneError:
            found.append("")
    return tuple(found)


def _chosen(things: Sequence[Any], number: int, what: str) -> Any:
    if number >= len(things):
        raise OptionsError(f"There is no {what} {number}.")
    return things[number]


def _figures(first: Any, second: Any) -> dict[str, Any]:
    result = compare_masks(first, second)
    return {
        "pixels": result.n_pixels,
        "different": result.n_different,
        "kappa": result.kappa,
        "notes": list(result.notes),
        "scores": [
            {"name": s.name, "label": s.label, "background": s.is_background, "dice": s.dice,
             "iou": s.iou, "kappa": s.kappa, "first": s.n_first, "second": s.n_second}
            for s in result.scores
        ],
    }  # fmt: skip


def _patch_answer(patches: Any, laid: Laid) -> Answer:
    """A line of JSON, then int32 corners (n, 2), float32 tissue (n,), fractions (n, classes)."""
    to_image = (laid.to_slide or Affine()).inverse()
    if not to_image.keeps_axes:
        raise OptionsError("The image is turned by other than 90 degrees; its patches lie askew.")
    side = int(patches.patch_size_level0)
    corners = patches.coords.astype(np.float64)
    far = corners + side
    ends = [np.stack(to_image(points[:, 0], points[:, 1]), axis=1) for points in (corners, far)]
    low = np.rint(np.minimum(*ends)).astype("<i4")
    wide = np.abs(ends[1] - ends[0]).max(axis=0, initial=0).tolist()
    fractions = np.ascontiguousarray(patches.fractions, "<f4")
    head = {"n": len(low), "size": wide or [side, side], "classes": list(patches.classes)}
    line = json.dumps(head).encode() + b"\n"
    line += b" " * (-len(line) % 4)  # numbers start on a multiple of 4
    parts = (low, np.ascontiguousarray(patches.tissue, "<f4"), fractions)
    body = len(line).to_bytes(4, "little") + line + b"".join(part.tobytes() for part in parts)
    packed = gzip.compress(body, 1, mtime=0)
    return Answer(200, "application/octet-stream", packed, {"Content-Encoding": "gzip"})


class _Kept:
    """The last results, by key."""

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._things: dict[Any, Any] = {}
        self._lock = threading.Lock()

    def get(self, key: object) -> Any:
        with self._lock:
            return self._things.get(key)

    def keep(self, key: object, thing: Any) -> Any:
        with self._lock:
            self._things[key] = thing
            while len(self._things) > self._at_most:
                del self._things[next(iter(self._things))]
        return thing


@lru_cache
def _page_file(name: str) -> bytes:
    return package_files("qpmask.web").joinpath("page", *name.split("/")).read_bytes()


_N = r"(\d{1,9})"
_IMAGE = rf"api/images/{_N}"
_ROUTES = tuple(
    (re.compile(pattern, re.ASCII), name)
    for pattern, name in (
        (rf"{_IMAGE}/mask/{_N}/{_N}/{_N}/{_N}", "_mask"),
        (rf"{_IMAGE}/slide/{_N}/{_N}/{_N}", "_slide"),
        (r"", "_page"),
        (r"static/([a-z/.-]+|[a-z/]+openseadragon-LICENSE\.txt)", "_static"),
        (r"api/images", "_list"),
        (_IMAGE, "_image"),
        (rf"{_IMAGE}/thumb", "_thumb"),
        (rf"{_IMAGE}/objects/{_N}", "_objects"),
        (rf"{_IMAGE}/compare/{_N}/{_N}", "_compare"),
        (rf"{_IMAGE}/patches/{_N}", "_patches"),
    )
)
