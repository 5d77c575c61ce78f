"""What a typed client and an editor see of the public names, and what wrong types are told."""

from __future__ import annotations

import inspect
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, TINY

import qpmask
from qpmask.errors import ClassMapError, OptionsError, QpmaskError, WrongTypeError

CLIENT = """
from pathlib import Path

import numpy as np

import qpmask
from qpmask import MaskWriter, check_mask, compare_masks, export_masks, export_options, open_mask

options = export_options(downsample=4, unknown="ignore", images="A*", compression="zstd")
report = export_masks("p.qpproj", Path("masks"), {"Tumor": 1}, options, progress=print)
names: list[str] = [record.image for record in report if record.ok]
plan = qpmask.plan_export("p.qpproj", classes=qpmask.load_preset("prostate"))
sizes = [image.job.size.width_px for image in plan.images if image.job is not None]
with open_mask("a.ome.tif") as mask:
    tumor = mask.binary("Tumor")[:100, :100]
    mm2: list[float | None] = [area.area_mm2 for area in mask.areas().values()]
with MaskWriter("b.ome.tif", 100, 80, classes={1: "A"}, mpp=0.5) as writer:
    writer.write(0, 0, np.zeros((8, 8), np.uint8), rule="max")
MaskWriter.from_tiles("c.ome.tif", 512, 512, [0], mpp=(0.5, 0.5))
dice: list[float | None] = [score.dice for score in compare_masks("a.tif", "b.tif").scores]
ok: bool = check_mask("a.ome.tif", counts={1: 5}).ok
"""

MISTAKES = {
    'qpmask.export_mask("p")': "has no attribute",
    "export_options(downsampl=4)": "Unexpected keyword argument",
    'export_options(compression="lwz")': "arg-type",
    'export_options(workers="2")': "arg-type",
    "open_mask(3)": "arg-type",
    'export_masks("p", "m", options={"downsample": 4})': "arg-type",
}


def parameters_of(name: str, function: Any) -> dict[str, inspect.Parameter]:
    return {f"{name}({p.name})": p for p in inspect.signature(function).parameters.values()}


def public_functions() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in qpmask.__all__:
        value = getattr(qpmask, name)
        if not inspect.isclass(value):
            if callable(value):
                found[name] = value
            continue
        if issubclass(value, Exception):
            continue
        found[name] = value
        for method, _ in inspect.getmembers(value, callable):
            home = getattr(getattr(value, method), "__module__", None) or ""
            if not method.startswith("_") and home.startswith("qpmask"):
                found[f"{name}.{method}"] = getattr(value, method)
    return found


def test_no_public_signature_swallows_names() -> None:
    """``**kwargs`` would take any misspelt name, and no editor could complete one."""
    for name, function in public_functions().items():
        for place, parameter in parameters_of(name, function).items():
            assert parameter.kind is not inspect.Parameter.VAR_KEYWORD, place
            if parameter.name not in ("self", "cls"):
                assert parameter.annotation is not inspect.Parameter.empty, place
                assert parameter.annotation not in ("Any", Any), place


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(qpmask.__file__).parent / "py.typed").is_file()


def test_a_typed_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = pytest.importorskip("mypy.api", reason="mypy comes with the extra 'dev'")
    monkeypatch.setenv("MYPYPATH", str(ROOT))
    client = tmp_path / "client.py"
    client.write_text(CLIENT + "\n".join(MISTAKES), "utf-8")
    limit = sys.getrecursionlimit()
    try:  # mypy raises it, and leaves it so
        out, err, _ = api.run(
            ["--strict", "--follow-imports=silent", "--python-executable", sys.executable,
             "--cache-dir", os.fspath(tmp_path / "cache"), os.fspath(client)]
        )  # fmt: skip
    finally:
        sys.setrecursionlimit(limit)
    assert not err
    first = CLIENT.count("\n") + 1
    errors = [line for line in out.splitlines() if "error:" in line]
    assert len(errors) == len(MISTAKES), out
    for number, (mistake, words) in enumerate(MISTAKES.items(), first):
        (line,) = [line for line in errors if f"client.py:{number}:" in line]
        assert words in line, (mistake, line)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda p: qpmask.open_project(3), "project"),
        (lambda p: qpmask.open_project(b"x"), "project"),
        (lambda p: qpmask.open_project(""), "project"),
        (lambda p: qpmask.plan_export(3), "project"),
        (lambda p: qpmask.plan_export(TINY, 3), "out"),
        (lambda p: qpmask.plan_export(TINY, classes=3), "classes"),
        (lambda p: qpmask.plan_export(TINY, classes=["A"]), "classes"),
        (lambda p: qpmask.plan_export(TINY, options={"downsample": 4}), "options"),
        (lambda p: qpmask.export_masks(TINY, None), "out"),
        (lambda p: qpmask.export_masks(TINY, p, progress="yes"), "progress"),
        (lambda p: qpmask.export_masks(TINY, p, stop=True), "stop"),
        (lambda p: qpmask.load_class_map(None), "path"),
        (lambda p: qpmask.load_preset(3), "name"),
        (lambda p: qpmask.ClassEntry("1", "A"), "label"),
        (lambda p: qpmask.ClassEntry(1, None), "name"),
        (lambda p: qpmask.ClassMap(({"label": 1},)), "ClassEntry"),
        (lambda p: qpmask.open_mask(None), "path"),
        (lambda p: qpmask.open_mask(p / "a.tif", plane=1.0), "plane"),
        (lambda p: qpmask.open_mask(p / "a.tif", plane="A"), "plane"),
        (lambda p: qpmask.open_mask(p / "a.tif", cache_bytes="1g"), "cache_bytes"),
        (lambda p: qpmask.check_mask(3), "path"),
        (lambda p: qpmask.check_mask(p / "a.tif", counts="1"), "counts"),
        (lambda p: qpmask.check_mask(p / "a.tif", classes=3), "classes"),
        (lambda p: qpmask.check_mask(p / "a.tif", classes="Tumor"), "classes"),
        (lambda p: qpmask.check_mask(p / "a.tif", threads="2"), "threads"),
        (lambda p: qpmask.check_mask(p / "a.tif", on_tile=3), "on_tile"),
        (lambda p: qpmask.compare_masks(3, p), "first"),
        (lambda p: qpmask.compare_masks(p, None), "second"),
        (lambda p: qpmask.compare_masks(p, p, by=3), "by"),
        (lambda p: qpmask.MaskWriter(3, 10, 10), "path"),
        (lambda p: qpmask.MaskWriter(p / "w.tif", "10", 10), "width"),
        (lambda p: qpmask.MaskWriter(p / "w.tif", 10, 10.0), "height"),
        (lambda p: qpmask.MaskWriter(p / "w.tif", 10, 10, mpp="0.5"), "mpp"),
        (lambda p: qpmask.MaskWriter(p / "w.tif", 10, 10, tile_size=None), "tile_size"),
        (lambda p: qpmask.MaskWriter(p / "w.tif", 10, 10, dtype=object), "object"),
        (lambda p: qpmask.MaskWriter(p / "w.tif", 10, 10, compression=5), "compression"),
        (lambda p: qpmask.MaskWriter(p / "w.tif", 10, 10, pyramid="no"), "pyramid"),
        (lambda p: qpmask.MaskWriter(p / "w.tif", 10, 10, bits=1), "bits"),
        (lambda p: qpmask.MaskWriter(p / "w.tif", 10, 10, name=5), "name"),
        (lambda p: qpmask.MaskWriter(p / "w.tif", 10, 10, extra=["a"]), "extra"),
        (lambda p: qpmask.MaskWriter(p / "w.tif", 10, 10, threads="2"), "threads"),
        (lambda p: qpmask.MaskWriter(p / "w.tif", 10, 10, classes=3), "class table"),
        (lambda p: qpmask.MaskWriter.from_tiles(p / "w.tif", 10, 10, 3), "tiles"),
        (lambda p: qpmask.MaskWriter.from_tiles(p / "w.tif", 10, 10, [0], on_tile=3), "on_tile"),
        (lambda p: qpmask.MaskWriter.resume(3), "path"),
        (lambda p: qpmask.finalize(3), "path"),
        (lambda p: qpmask.ClassMap(3), "entries"),
        (lambda p: qpmask.ClassMap((), ignore="a*"), "ignore"),
        (lambda p: qpmask.ClassEntry(1, "T", 3), "color"),
        (lambda p: qpmask.ClassEntry(1, "T", (1, 2, "3")), "color"),
        (lambda p: qpmask.ClassEntry(1, "T", None, "U"), "aliases"),
        (lambda p: qpmask.open_patches(3), "path"),
        (lambda p: qpmask.open_patches(p / "a.h5", 3), "slide|a.h5"),
        (lambda p: qpmask.trace(ARRAY, downsample="x"), "downsample"),
        (lambda p: qpmask.trace(ARRAY, simplify_um="x"), "simplify_um"),
        (lambda p: qpmask.trace(ARRAY, split=3), "split"),
        (lambda p: qpmask.trace(ARRAY, classes=3), "classes"),
        (lambda p: qpmask.trace(ARRAY, instances="no"), "instances"),
        (lambda p: qpmask.feature_options(3), "extractors"),
        (lambda p: qpmask.feature_options([3]), r"extractors\[0\]"),
        (lambda p: qpmask.feature_options("resnet50", batch_size="8"), "batch_size"),
        (lambda p: qpmask.feature_options("resnet50", device=0), "device"),
        (lambda p: qpmask.feature_options("resnet50", weights=3), "weights"),
        (lambda p: qpmask.feature_options("resnet50", slides=3), "slides"),
        (lambda p: qpmask.feature_options("resnet50", views=3), "views"),
        (lambda p: qpmask.extract_features(3, FEATURES), "patches"),
        (lambda p: qpmask.extract_features([p, 3], FEATURES), r"patches\[1\]"),
        (lambda p: qpmask.extract_features(p, {"device": "cpu"}), "options"),
        (lambda p: qpmask.extract_features(p, FEATURES, progress=3), "progress"),
        (lambda p: qpmask.add_objects(1, 2, 3, 4), "project"),
        (lambda p: qpmask.add_objects(TINY, 2, 3, 4), "image"),
        (lambda p: qpmask.add_objects(TINY, "a", 3, 4), "polygons"),
        (lambda p: qpmask.add_objects(TINY, "a", [], 4), "classes"),
        (lambda p: qpmask.add_objects(TINY, "a", [], measurements=4), "measurements"),
        (lambda p: qpmask.add_objects(TINY, "a", [], nuclei=4), "nuclei"),
        (lambda p: qpmask.add_objects(TINY, "a", [], options={"replace": "all"}), "options"),
        (lambda p: qpmask.import_objects(3, TINY), "inputs"),
        (lambda p: qpmask.import_objects(p, TINY, image=3), "image"),
        (lambda p: qpmask.write_geojson(3, qpmask.trace(ARRAY)), "path"),
        (lambda p: qpmask.write_geojson(p / "w.tif.geojson", 3), "objects"),
        (lambda p: qpmask.finalize(p / "w.tif", skip_damaged="no"), "skip_damaged"),
    ],
)
def test_a_wrong_type_is_our_error_and_names_the_argument(
    tmp_path: Path, call: Callable[[Path], object], name: str
) -> None:
    with qpmask.MaskWriter(tmp_path / "a.tif", 10, 10) as writer:
        writer.write(0, 0, [[1]])
    with pytest.raises(OptionsError, match=name):
        call(tmp_path)
    assert not list(tmp_path.glob("w.tif*")), "nothing is left of what was not begun"


def test_a_wrong_type_is_also_a_type_error(tmp_path: Path) -> None:
    assert issubclass(WrongTypeError, TypeError) and issubclass(WrongTypeError, QpmaskError)
    with pytest.raises(TypeError, match="stop is True"):
        qpmask.export_masks(TINY, tmp_path, stop=True)  # type: ignore[arg-type]
    stopped = threading.Event()
    stopped.set()
    assert qpmask.export_masks(TINY, tmp_path / "m", stop=stopped, options=NATIVE).interrupted


def test_a_color_beyond_a_byte_is_refused() -> None:
    for color in ((1, 2), (1, 2, 256)):
        with pytest.raises(ClassMapError, match="color of class 1"):
            qpmask.ClassEntry(1, "T", color)  # type: ignore[arg-type]


NATIVE = qpmask.export_options(engine="native", unclassified="ignore")
ARRAY = np.ones((2, 2), np.uint8)
FEATURES = qpmask.feature_options("resnet50")
