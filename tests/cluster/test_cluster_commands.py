"""What can be planned besides exports: the same files and the same report as the plain command."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import pytest
from cluster.test_cluster_work import files_of
from conftest import DEMO, ROOT, TESTS, Cli
from features.feature_models import onnx_model
from patches.patch_slides import slide_file, tissue_picture

import qpmask
from qpmask.cluster import PlanFile, collect, plan_status, read_plan_file, work_on
from qpmask.cluster.records import latest_records
from qpmask.outputs.claims import Claims
from qpmask.patches.h5file import MADE_FROM

_VARIES = ("started", "seconds", "output", "bytes", "patches_per_second", "slide", "key", "file")


def contents(path: Path) -> dict[str, Any]:
    """All that a patch file holds, but for when and where it was made."""
    found: dict[str, Any] = {}

    out = str(path.parents[1])

    def add(name: str, thing: Any) -> None:
        attributes = {k: str(v).replace(out, "OUT") for k, v in thing.attrs.items()}
        if MADE_FROM in attributes:  # it has the time of the mask
            attributes[MADE_FROM] = re.sub(r"\b\d{19}\b", "TIME", attributes[MADE_FROM])
        for varies in ("creation_date",):
            attributes.pop(varies, None)
        found[name] = attributes, thing[()].tolist() if isinstance(thing, h5py.Dataset) else None

    with h5py.File(path) as file:
        add("/", file)
        file.visititems(add)
    return found


def plain_report(path: Path, out: Path) -> Any:
    """A report, without what differs from run to run and from folder to folder."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items() if k not in _VARIES}
        if isinstance(value, list):
            return [plain(one) for one in value]
        return value.replace(str(out), "OUT") if isinstance(value, str) else value

    return plain(json.loads(path.read_text()))


def work_twice(plan: Path) -> PlanFile:
    """Two tasks, one after the other; they know no more than the file says."""
    for task in (1, 2):
        assert work_on(read_plan_file(plan), (task, 2)).ok
    return read_plan_file(plan)


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slides")
    for name, side in (("a", 300), ("b", 500), ("c", 400)):
        slide_file(folder / f"{name}.tif", tissue_picture(side, side)[0], um=2.0)
    return folder


CUT = ("--patch-size", "32", "--mpp", "2.0")


def test_patches_of_slides(tmp_path: Path, slides: Path, qpmask_cli: Cli) -> None:
    one, many, plan = tmp_path / "one", tmp_path / "many", tmp_path / "plan.json"
    assert qpmask_cli("patches", slides, "-o", one, *CUT, "-q")[0] == 0
    code, said, _ = qpmask_cli("patches", slides, "-o", many, *CUT, "--plan", plan)
    assert code == 0
    assert "patches, 3 slides, into" in said
    assert not list(many.glob("**/*.h5"))
    found = work_twice(plan)
    assert [item.name for item in found.items] == ["a", "b", "c"]
    assert qpmask_cli("collect", plan, "-q")[0] == 0
    for path in (one / "patches").glob("*.h5"):
        assert contents(path) == contents(many / "patches" / path.name)
    assert plain_report(one / "report.json", one) == plain_report(many / "report.json", many)
    assert (one / "report.csv").exists() == (many / "report.csv").exists()
    assert "3 of 3 slides finished" in qpmask_cli("status", plan)[1]
    later = qpmask.make_patches(slides, many, qpmask.patch_options(patch_size=32, target_mpp=2.0))
    assert [record.status for record in later] == ["skipped"] * 3


def test_patches_of_a_project_with_their_masks(tmp_path: Path, qpmask_cli: Cli) -> None:
    one, many, plan = tmp_path / "one", tmp_path / "many", tmp_path / "plan.json"
    asked = ("patches", DEMO, "--patch-size", "64", "--mpp", "1.0", "--engine", "native")
    assert qpmask_cli(*asked, "-o", one, "-q")[0] == 1, "a slide is missing"
    assert qpmask_cli(*asked, "-o", many, "--plan", plan)[0] == 0
    assert [work_on(read_plan_file(plan), (k, 2)).ok for k in (1, 2)] == [False, True]
    report = collect(read_plan_file(plan))
    assert [record.status for record in report] == ["done", "done", "failed"]
    for path in (one / "patches").glob("*.h5"):
        assert contents(path) == contents(many / "patches" / path.name)
    assert files_of(one / "masks") == files_of(many / "masks") != {}
    assert plain_report(one / "report.json", one) == plain_report(many / "report.json", many)
    assert (
        plain_report(one / "masks" / "report.json", one / "masks")["images"]
        == (plain_report(many / "masks" / "report.json", many / "masks")["images"])
    )
    assert (one / "masks" / "areas.csv").read_text() == (many / "masks" / "areas.csv").read_text()


def kill_the_first_worker(out: Path, end: threading.Event, killed: list[int]) -> None:
    """Kill the first process that has begun an item: it has a scratch folder then."""
    while not end.is_set():
        for scratch in out.glob(".qpmask/workers/work-*"):
            killed.append(int(scratch.name.rpartition("-")[2]))
            with contextlib.suppress(ProcessLookupError):
                os.kill(killed[0], signal.SIGKILL)
            return
        time.sleep(0.001)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals on Windows")
@pytest.mark.parametrize("command", ["patches", "polygons", "annotations"])
def test_a_worker_that_is_killed_costs_nothing(
    tmp_path: Path, slides: Path, qpmask_cli: Cli, command: str
) -> None:
    masks = tmp_path / "masks"
    source: dict[str, tuple[object, ...]] = {
        "patches": (slides, *CUT), "polygons": (masks,), "annotations": (DEMO,)
    }  # fmt: skip
    if command == "polygons":
        assert qpmask_cli("export", DEMO, "-o", masks, "--engine", "native", "-q")[0] == 0
    one, two = tmp_path / "one", tmp_path / "two"
    asked = (command, *source[command], "-q")
    code = qpmask_cli(*asked, "-o", one)[0]
    end, killed = threading.Event(), list[int]()
    killer = threading.Thread(target=kill_the_first_worker, args=(two, end, killed))
    killer.start()
    try:
        assert qpmask_cli(*asked, "-o", two, "--workers", 2)[0] == code
    finally:
        end.set()
        killer.join()
    assert killed
    names = {path.relative_to(one) for path in one.rglob("*")}
    assert {path.relative_to(two) for path in two.rglob("*")} == names
    for name in names:
        if name.suffix == ".h5":
            assert contents(two / name) == contents(one / name)
        elif name.suffix == ".geojson":
            assert (two / name).read_bytes() == (one / name).read_bytes()


@pytest.fixture
def patches_folder(tmp_path: Path, slides: Path) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        options = qpmask.patch_options(patch_size=32, target_mpp=2.0, tissue="none")
        assert qpmask.make_patches(slides, tmp_path / name, options).ok
        return tmp_path / name

    return make


def test_features_of_two_extractors(
    tmp_path: Path, patches_folder: Callable[[str], Path], qpmask_cli: Cli
) -> None:
    one, many, plan = patches_folder("one"), patches_folder("many"), tmp_path / "plan.json"
    models = [onnx_model(tmp_path / "means.onnx"), onnx_model(tmp_path / "other.onnx", "bytes")]
    asked = ("--extractor", f"{models[0]},{models[1].name}", "--num-workers", "0", "--for", "clam")
    assert qpmask_cli("features", one, *asked, "-q")[0] == 0
    assert qpmask_cli("features", many, *asked, "--plan", plan)[0] == 0
    os.chdir("/")  # tasks may be anywhere
    found = read_plan_file(plan)
    assert len(found.items) == 6
    assert len({item.claimed_as for item in found.items}) == 3, "a file is written by one at a time"
    work_twice(plan)
    assert collect(found).ok
    for path in (one / "patches").glob("*.h5"):
        made, other = contents(path), contents(many / "patches" / path.name)
        assert "features/means" in made
        assert made == other
    clam = sorted(p.relative_to(one) for p in (one / "clam").glob("**/*.h5"))
    assert clam == sorted(p.relative_to(many) for p in (many / "clam").glob("**/*.h5"))
    report = plain_report(many / "features.json", many)
    del report["options"]
    wanted = plain_report(one / "features.json", one)
    del wanted["options"]
    assert report == wanted


def test_an_extractor_that_cannot_be_loaded_ends_the_task(
    tmp_path: Path, patches_folder: Callable[[str], Path], qpmask_cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.syspath_prepend(str(TESTS))
    many, plan = patches_folder("many"), tmp_path / "plan.json"
    asked = ("--extractor", "features.feature_models:cannot_be_made", "--plan", plan)
    assert qpmask_cli("features", many, *asked)[0] == 0
    code, _, said = qpmask_cli("work", plan)
    assert code == 2, said
    assert "no weights here" in said
    found = read_plan_file(plan)
    assert plan_status(found).left == 3
    assert not latest_records(found.folder)


def test_polygons(tmp_path: Path, qpmask_cli: Cli) -> None:
    masks = tmp_path / "masks"
    qpmask.export_masks(DEMO, masks, None, qpmask.export_options(engine="native"))
    one, many, plan = tmp_path / "one", tmp_path / "many", tmp_path / "plan.json"
    asked = ("polygons", "masks", "--split", "class", "--gzip")
    assert qpmask_cli(*asked, "-o", many, "--plan", plan, "--dry-run")[0] == 0
    assert not plan.exists()
    assert not many.exists()
    assert qpmask_cli(*asked, "-o", one, "-q")[0] == 0
    assert qpmask_cli(*asked, "-o", many, "--plan", plan)[0] == 0
    work_twice(plan)
    assert collect(read_plan_file(plan)).ok
    files = {p.name: p.read_bytes() for p in one.glob("*.geojson.gz")}
    assert len(files) == 3
    assert files == {p.name: p.read_bytes() for p in many.glob("*.geojson.gz")}
    assert plain_report(one / "report.json", one) == plain_report(many / "report.json", many)
    again = work_on(read_plan_file(plan))
    assert {outcome.status for outcome in again.outcomes.values()} == {"skipped"}
    (many / sorted(files)[0]).unlink()
    assert not collect(read_plan_file(plan)).ok
    assert work_on(read_plan_file(plan)).ok
    assert collect(read_plan_file(plan)).ok


def test_features_of_two_folders(
    tmp_path: Path, patches_folder: Callable[[str], Path], qpmask_cli: Cli
) -> None:
    one, many, plan = patches_folder("one"), patches_folder("many"), tmp_path / "plan.json"
    other = patches_folder("other")
    asked = ("--extractor", onnx_model(tmp_path / "means.onnx"), "--num-workers", "0")
    assert qpmask_cli("features", one, *asked, "-q")[0] == 0
    assert qpmask_cli("features", many, other, *asked, "--for", "clam", "--plan", plan)[0] == 0
    found = read_plan_file(plan)
    with Claims(found.claims_folder) as claims:
        assert claims.take("file1")
        for folder in (many, other):
            code, _, said = qpmask_cli("features", folder, *asked)
            assert code == 2, said
            assert "at work in" in said
    work_twice(plan)
    assert len(collect(found)) == 6
    assert (many / "features.json").exists()
    for path in (one / "patches").glob("*.h5"):
        for folder in (many, other):
            assert contents(path) == contents(folder / "patches" / path.name)
            assert list((folder / "clam").glob(f"**/{path.name}"))


def test_what_cannot_be_planned(tmp_path: Path, slides: Path, qpmask_cli: Cli) -> None:
    plan = tmp_path / "plan.json"
    mask = tmp_path / "m" / "a.ome.tif"
    qpmask.export_masks(
        DEMO, mask.parent, None, qpmask.export_options(engine="native", images=("Prostate A",))
    )
    for words, asked in (
        ("which tasks cannot share", ("polygons", mask.parent, "-o", tmp_path / "a.geojson")),
        ("Plan them apart", ("patches", slides, "-o", tmp_path / "p", *CUT,
                             "--features", "resnet50")),
        ("Previews are made by one run", ("export", DEMO, "-o", tmp_path / "e", "--previews")),
    ):  # fmt: skip
        code, _, said = qpmask_cli(*asked, "--plan", plan)
        assert code == 2, said
        assert words in said
    assert not plan.exists()


def test_an_image_that_left_the_project(tmp_path: Path, demo: Path) -> None:
    from cluster.plans import plan_to_file

    native = qpmask.export_options(engine="native")
    plan = plan_to_file(tmp_path / "plan.json", demo, tmp_path / "masks", None, native)
    file = demo / "project.qpproj"
    raw = json.loads(file.read_text())
    raw["images"] = []
    file.write_text(json.dumps(raw))
    done = work_on(plan, (2, 2))
    assert {outcome.status for outcome in done.outcomes.values()} == {"failed"}
    assert "not in" in (collect(plan).records[0].error or "")


def test_another_engine_than_the_plan_says(tmp_path: Path, monkeypatch: Any) -> None:
    from cluster.plans import plan_to_file

    from qpmask.errors import EngineUnavailableError

    native = qpmask.export_options(engine="native")
    plan = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, native)
    assert plan.run.choice.name == "native"
    assert plan.run.pixel_rules is not None
    raw = json.loads((tmp_path / "plan.json").read_text())
    raw["run"]["pixel_rules"] = "0.1"
    (tmp_path / "plan.json").write_text(json.dumps(raw))
    with pytest.raises(EngineUnavailableError, match="draws other pixels"):
        work_on(read_plan_file(tmp_path / "plan.json"))


def test_a_class_that_the_plan_does_not_know(tmp_path: Path, demo: Path) -> None:
    from cluster.plans import plan_to_file

    native = qpmask.export_options(engine="native")
    plan = plan_to_file(tmp_path / "plan.json", demo, tmp_path / "masks", None, native)
    raw = json.loads((tmp_path / "plan.json").read_text())
    gone = raw["run"]["classes"]["classes"].pop(0)
    (demo / "classifiers" / "classes.json").unlink()
    (tmp_path / "plan.json").write_text(json.dumps(raw))
    done = work_on(read_plan_file(tmp_path / "plan.json"))
    failed = [outcome for outcome in done.outcomes.values() if outcome.status == "failed"]
    assert failed
    assert all(gone["name"] in outcome.summary for outcome in failed)
    assert plan.digest != read_plan_file(tmp_path / "plan.json").digest


@pytest.mark.skipif(find_spec("distributed") is None, reason="dask.distributed is not installed")
@pytest.mark.filterwarnings("default")
def test_features_on_dask(
    tmp_path: Path, patches_folder: Callable[[str], Path], qpmask_cli: Cli,
    monkeypatch: pytest.MonkeyPatch, pickling_as_it_was: None,
) -> None:  # fmt: skip
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    one, many = patches_folder("one"), patches_folder("many")
    model = onnx_model(tmp_path / "means.onnx")
    asked = ("--extractor", model, "--num-workers", "0")
    assert qpmask_cli("features", one, *asked, "-q")[0] == 0
    code, _, said = qpmask_cli("features", many, *asked, "--dask", "local:1")
    assert code == 0, said
    assert "a: means: " in said
    for path in (one / "patches").glob("*.h5"):
        assert contents(path) == contents(many / "patches" / path.name)


@pytest.fixture
def pickling_as_it_was() -> Iterator[None]:
    """Dask has exceptions pickled with their causes from then on, in all of the process."""
    import copyreg

    before = dict(copyreg.dispatch_table)
    yield
    copyreg.dispatch_table.clear()
    copyreg.dispatch_table.update(before)


def test_quiet_and_json(tmp_path: Path, qpmask_cli: Cli) -> None:
    asked = ("export", DEMO, "-o", tmp_path / "masks", "--engine", "native")
    plan = tmp_path / "plan.json"
    assert qpmask_cli(*asked, "--plan", plan, "-q")[:2] == (0, "")
    code, said, _ = qpmask_cli(*asked, "--plan", plan, "--json")
    assert code == 0
    told = json.loads(said)
    assert (told["plan"], told["items"]) == (str(plan), 3)
    assert told["command"] == "export"


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text here")
def test_a_folder_whose_name_is_no_text(tmp_path: Path, qpmask_cli: Cli) -> None:
    out = tmp_path / os.fsdecode(b"mask\xe9s")
    plan = tmp_path / "plan.json"
    asked = ("export", DEMO, "-o", out, "--engine", "native", "--plan", plan)
    assert qpmask_cli(*asked)[0] == 0
    assert read_plan_file(plan).out == out
    assert qpmask_cli("work", plan)[0] == 0
    assert qpmask_cli("collect", plan)[0] == 0
    assert len(list(out.glob("*.ome.tif"))) == 3
    assert json.loads((out / "report.json").read_text())["output"] == str(out)
