"""The Groovy scripts, really run in a QuPath without a window: the jobs, and what came of them.

One QuPath runs most jobs one after the other (``driver.groovy``), since it takes ten seconds to
start; a few jobs start it by its own command.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import projects
import pytest
from conftest import DEMO, QUPATH, ROOT, TINY, hash_tree
from odd_names import odd_names

from qpmask import export_masks, export_options
from qpmask.agreement import compare_masks
from qpmask.classes import class_map_from_dict
from qpmask.engines.jvm import QuPathInstall
from qpmask.engines.qupath import pixel_rules
from qpmask.ometiff.reader import MaskFile
from qpmask.options import ExportOptions
from qpmask.report import Report
from qpmask.report.foldercheck import check_output, masks_in
from qpmask.setup.groovyscripts import write_scripts

GROOVY = ROOT / "groovy"
DRIVER = Path(__file__).with_name("driver.groovy")
LONG = "L" * 200
CLASS_MAP = {
    "classes": [
        {"label": 7, "name": "Área 'ñ' \"x\" $y \\ 🙂", "color": "#0a0b0c"},
        {"label": 11, "name": "Covered"},
        {"label": 3, "name": "Bening gland", "color": "#3cb44b", "aliases": ["Benign gland"]},
        {"label": 1, "name": "Tumor", "color": "#c80000"},
        {"label": 2, "name": "Tumor: Positive"},
        {"label": 12, "name": "Strona"},
    ],
    "ignore": ["*[*]", "Not?his", "[!A-Z]*"],
}


def launcher() -> Path:
    """QuPath's own command."""
    if not isinstance(QUPATH, QuPathInstall):
        pytest.skip(f"needs a QuPath: {QUPATH}")
    patterns = ("bin/QuPath", "MacOS/QuPath*", "*/MacOS/QuPath*", "*(console).exe", "QuPath.exe")
    for pattern in patterns:
        for path in sorted(QUPATH.folder.glob(pattern)):
            return path
    pytest.skip(f"there is no command in {QUPATH.folder}")


def run_qupath(*args: object) -> subprocess.CompletedProcess[str]:
    """``QuPath script ...``."""
    return subprocess.run(
        [launcher(), "script", *map(str, args)],
        capture_output=True, text=True, timeout=900, check=False, encoding="utf-8",
    )  # fmt: skip


def python_options(**values: Any) -> ExportOptions:
    """Options for a Python engine that follows the rules of this QuPath."""
    assert isinstance(QUPATH, QuPathInstall)
    engine = "native" if pixel_rules(QUPATH.version) == "qupath-0.6" else "qupath"
    return export_options(engine=engine, **values)


def statuses(report: Report | dict[str, Any]) -> dict[str, str]:
    """Status by image, of a report or of a report file."""
    if isinstance(report, Report):
        return {r.image: r.status for r in report}
    return {r["image"]: r["status"] for r in report["images"]}


def report_of(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / "report.json").read_text("utf-8"))
    return data


def as_groovy(record: dict[str, Any]) -> dict[str, Any]:
    """What the script writes where Python writes this, of an image: all that may differ is here.

    Settings are called as they are inside QuPath.
    """
    warnings = [re.sub(r"\(--objects (\S+)\)", r"(objects = '\1')", w) for w in record["warnings"]]
    return {**record, "warnings": warnings}


def assert_same(ours: Path, theirs: Path, n_masks: int) -> None:
    """Masks and sidecars of two folders are the same, but for what :func:`as_groovy` names."""
    masks = masks_in(theirs)
    assert len(masks) == n_masks
    assert sorted(p.name for p in masks_in(ours)) == sorted(p.name for p in masks)
    for mask in masks:
        found = compare_masks(ours / mask.name, mask)
        assert found.equal, f"{mask.name}: {found.n_different} pixels"
        assert check_output(ours / mask.name, needs_sidecar=True).problems == ()
        with MaskFile(ours / mask.name) as one, MaskFile(mask) as other:
            assert one.metadata is not None and other.metadata is not None
            assert one.metadata.classes == other.metadata.classes
            assert one.metadata.pixel_size == other.metadata.pixel_size
            assert one.metadata.name == other.metadata.name
            assert {**one.metadata.extra, "engine": ""} == {**other.metadata.extra, "engine": ""}
            assert one.dtype == other.dtype
            for level in range(len(other.levels)):
                np.testing.assert_array_equal(one.read(level=level), other.read(level=level))
        a, b = (json.loads((f / f"{mask.name}.json").read_text("utf-8")) for f in (ours, theirs))
        for sidecar in (a, b):
            for key in ("bytes", "sha256"):
                del sidecar["mask"][key]
            del sidecar["engine"]
        if b["hidden"]["counted"] == "labels":  # QuPath drew what the native engine does not
            assert a["hidden"]["counted"] == "objects"
            a["hidden"] = b["hidden"]
        assert a == as_groovy(b)
    assert (ours / "classes.yaml").read_text("utf-8") == (theirs / "classes.yaml").read_text(
        "utf-8"
    )


# -- the one run --------------------------------------------------------------------------------


@dataclass
class Runs:
    """What came of all jobs, and where their files are."""

    folder: Path
    jobs: list[dict[str, Any]] = field(default_factory=list)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    before: dict[Path, dict[str, str]] = field(default_factory=dict)

    def copy(self, source: Path, name: str) -> Path:
        """A copy of a project whose slides lie where its URIs say."""
        target = self.folder / name
        shutil.copytree(source, target)
        path = target / "project.qpproj"
        text = path.read_text("utf-8").replace("file:/tmp/qpmask/demo_project", target.as_uri())
        path.write_text(text, "utf-8")
        return target

    def watch(self, project: Path) -> Path:
        """From now on, this project must not change."""
        self.before[project] = hash_tree(project)
        return project

    def out(self, name: str) -> Path:
        return self.folder / "out" / name

    def add(
        self, name: str, script: str | Path, *args: object, project: Path | None = None,
        image: str | None = None, save: bool = False, interrupt: bool = False,
    ) -> None:  # fmt: skip
        """Add a job; ``project`` and ``image`` are what is open."""
        self.jobs.append({
            "name": name, "script": str(script if isinstance(script, Path) else GROOVY / script),
            "args": list(map(str, args)), "image": image, "save": save,
            "interrupt": interrupt,
            "project": None if project is None else str(project / "project.qpproj"),
        })  # fmt: skip

    def go(self) -> None:
        """Run all jobs."""
        jobs = self.folder / "jobs.json"
        jobs.write_text(json.dumps(self.jobs), "utf-8")
        done = run_qupath("--args", jobs, DRIVER)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        self.results = json.loads((self.folder / "results.json").read_text("utf-8"))

    def error(self, name: str) -> str | None:
        """Message of the error that ended a job, if any."""
        error: str | None = self.results[name].get("error")
        return error


def every_roi(folder: Path) -> Path:
    """A project with ROIs of every type, written by QuPath."""
    from qupath_writer import ProjectWriter

    slide = folder / "slide.ome.tif"
    import tifffile

    tifffile.imwrite(
        slide, np.zeros((700, 1100), np.uint8), ome=True,
        metadata={"axes": "YX", "PhysicalSizeX": 0.2527, "PhysicalSizeY": 0.2531},
    )  # fmt: skip
    rng = np.random.default_rng(5)
    writer = ProjectWriter(folder / "rois", {"Tumor": (200, 0, 0), "Bening gland": (60, 180, 75)})
    rare = CLASS_MAP["classes"][0]["name"]  # type: ignore[index]
    with writer.image(slide, "every/ROI:type?.ome.tif") as w:
        for i in range(12):
            x, y = rng.uniform(0, 1000), rng.uniform(0, 600)
            angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
            radii = rng.uniform(20, 150, 9)
            ring = np.c_[x + radii * np.cos(angles), y + radii * np.sin(angles)]
            w.add(w.polygon([tuple(p) for p in ring.tolist()]), "Tumor" if i % 3 else str(rare))
        w.add(w.ellipse(80.3, 60.7, 300.2, 410.9), "Benign gland")
        w.add(w.rectangle(500.5, 300.25, 90.4, 80.6), "Tumor: Positive")
        w.add(w.rectangle(510, 310, 30, 30), "Covered")
        w.add(w.rectangle(700, 600, 20, 20, z=3), "Tumor")
        w.add(w.polyline([(10, 10), (600.5, 300.2), (1000, 20)]), "Bening gland")
        w.add(w.line(5, 690, 1090, 10.5), "Tumor")
        w.add(w.points([(50.5, 600.5), (1099.9, 699.9), (0, 0)]), "Tumor: Positive")
        w.add(w.geometry(
            "MULTIPOLYGON (((700 100, 950.123 120.456, 900 500, 710 450, 700 100), "
            "(750 200, 850 210, 800 300, 750 200)), ((20 300, 90 310.5, 60 380, 20 300)))"
        ), "Tumor")  # fmt: skip
        w.add(w.rectangle(300, 30, 200, 60), None)
        w.add(w.rectangle(600, 30, 50, 60), "Ignore*")
        w.detection(w.ellipse(640, 500, 100, 80), "Tumor")
        w.tile(w.rectangle(900, 550, 64, 64), "Bening gland")
        w.cell(w.ellipse(200, 500, 90, 90), w.ellipse(220, 520, 40, 40), "Tumor")
        w.cell(w.ellipse(330, 500, 70, 90), None, "Tumor: Positive")
        w.core(100.5, 100, 200, "Tumor", "A-1")
        w.core(280, 120, 200, "Tumor", "A-2", missing=True)
        w.core(460, 100, 200, None, "A-3")
        w.core(640, 110.25, 200, "Bening gland", "A-4")
    for name in ("Same.svs", "same.tif", "  CON .x. ", "Straße", "STRASSE", LONG, "\u00a0é/..\\é"):
        with writer.image(slide, name) as w:
            w.add(w.rectangle(10, 10, 400, 300), "Tumor")
    writer.close()
    return folder / "rois"


def unseen(folder: Path) -> Path:
    """A project of objects that leave no pixel, for each reason, and in several planes."""
    import tifffile
    from qupath_writer import ProjectWriter

    flat, stack = folder / "flat.ome.tif", folder / "z.ome.tif"
    tifffile.imwrite(flat, np.zeros((700, 1100), np.uint8), ome=True, metadata={"axes": "YX"})
    tifffile.imwrite(stack, np.zeros((2, 600, 600), np.uint8), ome=True, metadata={"axes": "ZYX"})
    names = ("Low", "Middle", "Other", "High", "Line")
    writer = ProjectWriter(folder / "unseen", dict.fromkeys(names, (9, 8, 7)))
    for name in ("one", "two"):
        with writer.image(flat, name) as w:
            w.add(w.rectangle(0, 0, 600, 300), "Low")  # 3/4 of it covered
            w.add(w.ellipse(20, 20, 40, 40), "Low")  # covered by two
            w.add(w.rectangle(10, 10, 30, 300), "Middle")
            w.add(w.rectangle(400, 300, 200, 200), "Low")
            w.add(w.rectangle(420, 320, 100, 100), "Middle")  # covered by what covers it as well
            w.add(w.rectangle(430, 330, 60, 60), "Low")
            w.add(w.rectangle(440, 340, 20, 20), "Low")
            w.add(w.rectangle(0, 0, 450, 300), "High")
            w.add(w.rectangle(400, 300, 60, 200), "Other")
            w.add(w.rectangle(455, 300, 200, 250), "High")
            w.add(w.rectangle(1200, 10, 30, 30), "Middle")  # outside
            w.add(w.rectangle(-50.5, -50.5, 50, 30), "Low")
            w.add(w.rectangle(700.1, 10.1, 0.3, 60), "Other")  # thin
            w.add(w.polygon([(800.2, 600.2), (800.4, 600.2), (800.3, 600.4)]), None)
            w.add(w.line(720, 400, 1000, 420), "Line")
            w.add(w.rectangle(690, 350, 400, 100), "Line")
            w.add(w.points([(500, 500)]), "Low")
            w.add(w.rectangle(500, 480, 90, 90, z=4), "Other")  # on no plane
            for i in range(4 if name == "one" else 0):
                w.add(w.rectangle(500 + 8 * i, 510, 6, 6), "Other")
            w.cell(w.ellipse(900, 500, 90, 90), w.ellipse(920, 520, 40, 40), "Low")
            w.cell(w.ellipse(910, 510, 80, 80), w.ellipse(915, 515, 60, 60), "High")
    with writer.image(flat, "blank") as w:
        w.add(w.rectangle(2000, 10, 30, 30), "High")
    with writer.image(stack, "stack") as w:
        w.add(w.rectangle(10, 10, 60, 60, z=0), "Low")
        w.add(w.rectangle(10, 10, 90, 90, z=0), "Other")
        w.add(w.rectangle(10, 10, 60, 60, z=1), "Low")
        w.add(w.rectangle(100, 510, 60, 60, z=1), "Low")
        w.add(w.rectangle(90, 500, 90, 90, z=1), "High")
    with writer.image(flat, "seen") as w:
        w.add(w.rectangle(10, 10, 60, 60), "Low")
    writer.close()
    return folder / "unseen"


def scanned(folder: Path, data: dict[str, Any]) -> None:
    """An image that OpenSlide cut to what was scanned: where, only the slide can say."""
    from slides.slide_samples import write_scn

    pytest.importorskip("openslide")
    slide = write_scn(
        folder / "scanned.scn", np.zeros((700, 1100, 3), np.uint8), 300, 200, (2000, 1500)
    )
    builder = projects.entry(data, "seen")["serverBuilder"]
    builder["uri"] = slide.as_uri()
    builder["providerClassName"] = "qupath.lib.images.servers.openslide.OpenslideServerBuilder"
    builder["args"] = []


def turned_and_cropped(data: dict[str, Any]) -> None:
    """Images that are not their files: QuPath turns one, crops another, composes a third."""
    for name, how in {
        "squares.ome.tif": {"builderType": "rotated", "rotation": "ROTATE_180"},
        "cells.ome.tif": {"builderType": "cropped",
                          "region": {"x": 3, "y": 5, "width": 40, "height": 40}},
        "empty.ome.tif": {"builderType": "sparse", "regions": []},
    }.items():  # fmt: skip
        entry = projects.entry(data, name)
        inner = entry["serverBuilder"]
        if how["builderType"] == "cropped":
            outer = inner["metadata"]
            inner = {**inner, "metadata": {**outer, "width": 50, "height": 60}}
            entry["serverBuilder"] = {**how, "builder": inner, "metadata": outer}
        else:
            entry["serverBuilder"] = {**how, "builder": inner, "metadata": inner["metadata"]}


def turn_a(data: dict[str, Any]) -> None:
    """Let QuPath show Prostate A upside down."""
    entry = projects.entry(data, "Prostate A")
    inner = entry["serverBuilder"]
    entry["serverBuilder"] = {
        "builderType": "rotated", "rotation": "ROTATE_180", "builder": inner,
        "metadata": inner["metadata"],
    }  # fmt: skip


def damaged(runs: Runs) -> Path:
    """A project whose data files are damaged in many ways, and one that is well."""
    project = runs.copy(TINY, "damaged")
    names = ["well", "short by one", "half", "head", "empty", "longer", "gone", "flipped"]
    projects.multiply(project, "squares.ome.tif", names)
    raw = projects.data_file(project, "well").read_bytes()
    for name, data in {
        "short by one": raw[:-1], "half": raw[: len(raw) // 2], "head": raw[:40], "empty": b"",
        "longer": raw + b"\0", "flipped": raw.replace(b"rootObject", b"rootOb\0ect"),
    }.items():  # fmt: skip
        projects.data_file(project, name).write_bytes(data)
    gone = projects.data_file(project, "gone")
    gone.unlink()
    (gone.parent / "summary.json").write_text('{"hierarchy": {"nObjects": 7}}')
    return project


def script_of_one_name_twice(runs: Runs) -> Path:
    """The script with a map of two names that QuPath takes for one."""
    text = (GROOVY / "export_masks.groovy").read_text("utf-8")
    rows = "[[label: 1, name: 'A:b'], [label: 2, name: 'A: b']]"
    path = runs.folder / "twice.groovy"
    path.write_text(
        text.replace("def classMap = null", f"def classMap = [classes: {rows}]"), "utf-8"
    )
    return path


def run_all(folder: Path) -> Runs:
    """Run all jobs, in one QuPath."""
    launcher()
    runs = Runs(folder)
    demo = runs.watch(runs.copy(DEMO, "demo"))
    tiny = runs.copy(TINY, "tiny")
    projects.edit(tiny, lambda data: data["images"].pop())  # the unsaved one has no size
    projects.edit(tiny, turned_and_cropped)
    runs.watch(tiny)
    rois = runs.watch(every_roi(runs.folder))
    bad = runs.watch(damaged(runs))
    hidden = unseen(runs.folder)
    projects.edit(hidden, lambda data: scanned(runs.folder, data))
    runs.watch(hidden)
    mapped = runs.folder / "mapped"
    write_scripts(mapped, class_map_from_dict(CLASS_MAP, "test"))
    export = "export_masks.groovy"

    names = runs.watch(odd_names(runs.folder))
    runs.add("names", export, names, runs.out("names"), "unclassified=9")  # its folder
    runs.add("one of names", "export_current_image.groovy", runs.out("one of names"),
             project=names, image="one")  # fmt: skip
    runs.add("twice", script_of_one_name_twice(runs), demo / "project.qpproj", runs.out("twice"))

    # A window with the project open, and a name of a folder.
    runs.add("demo", export, runs.out("demo"), project=demo)
    runs.add("demo again", export, runs.out("demo"), project=demo)
    runs.add("tiny", export, tiny / "project.qpproj", runs.out("tiny"))
    runs.add("damaged", export, bad / "project.qpproj", runs.out("damaged"))
    for name, values in VARIANTS.items():
        words = [f"{k}={v}" for k, v in values.items()]
        script = mapped / export
        runs.add(f"rois {name}", script, rois / "project.qpproj", runs.out(f"rois {name}"), *words)

    for name, values in UNSEEN.items():
        words = [f"{k}={v}" for k, v in values.items()]
        runs.add(f"unseen {name}", export, hidden, runs.out(f"unseen {name}"), *words)

    export_masks(demo, runs.out("python first"), options=python_options())
    broken = runs.out("python first") / "Prostate B.ome.tif"
    broken.write_bytes(broken.read_bytes()[:-1])
    runs.add("python first", export, runs.out("python first"), project=demo)
    runs.add("other downsample", export, runs.out("demo4"), "downsample=4", project=demo)

    export_masks(names, runs.out("again"), options=python_options(compression="zlib"))
    runs.add("again", export, names / "project.qpproj", runs.out("again"), "downsample=2.5",
             "unclassified=9")  # fmt: skip
    export_masks(demo, runs.out("by area"), options=python_options(order="area"))
    runs.add("other order", export, runs.out("by area"), "order=classes", project=demo)
    runs.add("other project", export, tiny / "project.qpproj", runs.out("python first"))

    runs.add("stopped", export, runs.out("stopped"), project=demo, interrupt=True)
    runs.add("no project", export)
    runs.add("missing class", mapped / export, demo / "project.qpproj", runs.out("missing"))
    runs.add("ignored class", mapped / export, demo / "project.qpproj", runs.out("ignored"),
             "unknown=ignore")  # fmt: skip
    runs.add("no class", export, demo / "project.qpproj", runs.out("none"), "unclassified=error")
    runs.add("bad setting", export, demo / "project.qpproj", runs.out("none"), "tileSize=500")
    runs.add("misspelt", export, demo / "project.qpproj", runs.out("none"), "downsampel=4")

    one = "export_current_image.groovy"
    runs.add("B", one, runs.out("one"), project=demo, image="Prostate B")
    runs.add("A", one, runs.out("one"), project=demo, image="Prostate A")
    runs.add("no image", one, runs.out("one"), project=demo)
    runs.add("current, no project", one)

    # One of three images anew; of the others one was drawn in another order, one by another map.
    export_masks(demo, runs.out("stale"), options=python_options(order="area"))
    sidecar = sorted(runs.out("stale").glob("*.ome.tif.json"))[-1]
    told = json.loads(sidecar.read_text("utf-8"))
    told["made_from"]["rules"][0][1] = 99
    sidecar.write_text(json.dumps(told), "utf-8")
    runs.add("stale", one, runs.out("stale"), "order=classes", project=demo, image="Prostate A")

    back = runs.copy(DEMO, "back")
    runs.add("import", "import_mask.groovy", f"{runs.out('demo')}/Prostate B.ome.tif",
             "replace=all", project=back, image="Prostate B", save=True)  # fmt: skip
    runs.add("import small", "import_mask.groovy", f"{runs.out('demo4')}/Prostate A.ome.tif",
             "replace=all", project=back, image="Prostate A", save=True)  # fmt: skip
    runs.add("import twice", "import_mask.groovy", f"{runs.out('demo4')}/Prostate A.ome.tif",
             project=back, image="Prostate A", save=True)  # fmt: skip
    runs.add("import anew", "import_mask.groovy", f"{runs.out('demo4')}/Prostate A.ome.tif",
             "replace=imported", project=back, image="Prostate A", save=True)  # fmt: skip
    runs.add("import by class", "import_mask.groovy", f"{runs.out('demo4')}/Prostate A.ome.tif",
             "replace=class", "addClasses=true", project=back, image="Prostate A",
             save=True)  # fmt: skip
    runs.add("back", export, runs.out("back"), project=back)
    runs.add("back4", export, runs.out("back4"), "downsample=4", project=back)
    runs.add("import of another image", "import_mask.groovy",
             f"{runs.out('tiny')}/squares.ome.tif", project=back, image="Prostate A")  # fmt: skip
    turned = runs.copy(DEMO, "turned")
    projects.edit(turned, turn_a)
    runs.add("import into a turned image", "import_mask.groovy",
             f"{runs.out('demo')}/Prostate A.ome.tif", project=turned,
             image="Prostate A")  # fmt: skip
    runs.add("import, no image", "import_mask.groovy")
    runs.add("import, misspelt", "import_mask.groovy", "replcae=all", project=demo,
             image="Prostate A")  # fmt: skip
    runs.add("import, no mask", "import_mask.groovy", project=demo, image="Prostate A")
    runs.go()
    return runs


#: Settings of the script, and the same as options of Python.
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "wide": {"downsample": 2.7, "tileSize": 256, "unclassified": 300},
    "detections": {"objects": "detections", "tileSize": 256},
    "cells": {"objects": "cells"},
    "nuclei": {"objects": "nuclei"},
    "cores": {"objects": "cores", "unclassified": 9},
    "all-cores": {"objects": "all-cores"},
    "by area": {"order": "area", "unclassified": 9},
    "cells by area": {"objects": "cells", "order": "area", "downsample": 2},
}


#: The same, of the project whose objects leave no pixel.
UNSEEN: dict[str, dict[str, Any]] = {
    "plain": {"unclassified": 9},
    "by area": {"order": "area", "downsample": 3, "tileSize": 64},
    "nuclei": {"objects": "nuclei"},
    "error": {"hidden": "error"},
}
