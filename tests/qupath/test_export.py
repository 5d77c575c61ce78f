"""Whole exports through QuPath: what appears in the folder, what happens when things go wrong."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import projects
import pytest
from conftest import hash_tree

from qpmask import check_mask, export_masks, export_options
from qpmask.classes import ClassMap, load_class_map
from qpmask.errors import OutputError, UnmappedClassError
from qpmask.events import Event, ImageFinished, ImageStarted, PhaseStarted, TilesDone
from qpmask.ometiff.layout import single_tiles
from qpmask.ometiff.reader import MaskFile
from qpmask.report import Report

pytestmark = pytest.mark.qupath

TINY_CLASSES = {"Alpha": 1, "Beta": 2, "Gamma": 3, "Alpha: Positive": 4}


@pytest.fixture(autouse=True)
def _jvm(qupath: object) -> None:
    """All of these need QuPath."""


def files(folder: Path) -> set[str]:
    """Names of all files below a folder, hidden ones included."""
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def statuses(report: Report) -> dict[str, str]:
    return {r.image: r.status for r in report}


# -- what comes out -----------------------------------------------------------------------------


def test_the_demo_project(demo: Path, tmp_path: Path) -> None:
    before = hash_tree(demo)
    out = tmp_path / "masks"
    report = export_masks(demo, out)
    assert report.ok
    assert hash_tree(demo) == before, "the project was written to"
    names = [f"Prostate {letter}.ome.tif" for letter in "ABC"]
    assert files(out) == {
        *names, *(f"{n}.json" for n in names), "classes.yaml", "report.json", "report.csv",
    }  # fmt: skip
    for name in names:
        assert check_mask(out / name).ok
        with MaskFile(out / name) as mask:
            assert (mask.size.width_px, mask.size.height_px) == (3000, 2200)
            assert mask.dtype == np.uint8
            assert mask.metadata is not None and mask.metadata.pixel_size is not None
            assert mask.metadata.pixel_size.width_um == 0.5
            by_name = {c.name: c.label for c in mask.metadata.classes}
            assert by_name["Stroma"] == 1
            # Classes that are not on the project's list come after it, by name.
            assert by_name["Adipose tissue"] == 12
            assert by_name["Seminal vesicle"] == 13
            assert by_name["Tumor: Positive"] == 14
            assert "Ignore*" not in by_name
    saved = json.loads((out / "report.json").read_text("utf-8"))
    assert saved["ok"] and saved["engine"]["name"] == "qupath"
    with (out / "report.csv").open(newline="", encoding="utf-8") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["done"] * 3
    assert any("Ignore*" in w for w in report.warnings)
    first, _, third = report
    assert any("1 object without a class left out" in w for w in first.warnings)
    assert third.slide == "missing"
    assert first.slide.endswith("A.ome.tif")


def test_the_sidecar_counts_what_is_in_the_mask(tiny: Path, tmp_path: Path) -> None:
    export_masks(tiny, tmp_path / "m", TINY_CLASSES, export_options(images=("squares*",)))
    path = tmp_path / "m" / "squares.ome.tif"
    sidecar = json.loads(path.with_name(path.name + ".json").read_text("utf-8"))
    with MaskFile(path) as mask:
        labels, counts = np.unique(mask.read(), return_counts=True)
    assert sidecar["pixels"] == {
        str(label): count for label, count in zip(labels.tolist(), counts.tolist(), strict=True)
    }
    rows = {c["name"]: c for c in sidecar["classes"]}
    assert rows["Beta"]["pixels"] == sidecar["pixels"]["2"]
    assert rows["Beta"]["objects"] == 2
    assert rows["Beta"]["area_mm2"] == pytest.approx(sidecar["pixels"]["2"] * 0.25e-6)
    assert sidecar["mask"]["bytes"] == path.stat().st_size


@pytest.mark.parametrize("compression", ["lzw", "zlib", "zstd", "none"])
@pytest.mark.parametrize("pyramid", [True, False])
def test_compression_and_pyramid_change_no_label(
    demo: Path, tmp_path: Path, compression: Any, pyramid: bool
) -> None:
    options = export_options(images=("*A",), tile_px=256, compression=compression, pyramid=pyramid)
    assert export_masks(demo, tmp_path / "m", options=options).ok
    with MaskFile(tmp_path / "m" / "Prostate A.ome.tif") as mask:
        assert mask.compression == compression
        assert len(mask.levels) == (5 if pyramid else 1)
        level0 = mask.read()
        for k in range(len(mask.levels)):
            np.testing.assert_array_equal(mask.read(level=k), level0[:: 2**k, :: 2**k])
    plain = export_options(images=("*A",), tile_px=256)
    export_masks(demo, tmp_path / "plain", options=plain)
    with MaskFile(tmp_path / "plain" / "Prostate A.ome.tif") as mask:
        np.testing.assert_array_equal(mask.read(), level0)


def test_a_pixel_size_decides_the_downsample(demo: Path, tmp_path: Path) -> None:
    report = export_masks(demo, tmp_path / "m", options=export_options(images=("*C",), mpp=2.0))
    (record,) = report
    assert (record.width_px, record.height_px, record.downsample) == (750, 550, 4.0)
    assert record.pixel_width_um == 2.0


def test_instances_come_with_their_table(tiny: Path, tmp_path: Path) -> None:
    options = export_options(images=("cells*",), objects="cells", instances=True)
    assert export_masks(tiny, tmp_path / "m", options=options).ok
    with (tmp_path / "m" / "cells.ome.tif.instances.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["label"], r["class"]) for r in rows] == [("1", "Alpha"), ("2", "Beta")]
    assert [float(rows[1][k]) for k in ("x_px0", "y_px0", "width_px0", "height_px0")] == [
        18, 2, 12, 12,
    ]  # fmt: skip
    assert all(len(r["object_id"]) == 36 for r in rows)


def test_channels_are_named_by_their_class(tiny: Path, tmp_path: Path) -> None:
    options = export_options(images=("squares*",), multichannel=True, unknown="ignore")
    assert export_masks(tiny, tmp_path / "m", {"Beta": 4, "Alpha": 1}, options).ok
    with MaskFile(tmp_path / "m" / "squares.ome.tif") as mask:
        assert mask.metadata is not None
        assert mask.metadata.channel_names == ("Beta", "Alpha")
        assert mask.n_planes == 2
    from qpmask.verify import check_output

    assert check_output(tmp_path / "m" / "squares.ome.tif", needs_sidecar=True).problems == ()


# -- classes ------------------------------------------------------------------------------------


def test_a_class_that_the_map_lacks_stops_before_anything_is_written(
    tiny: Path, tmp_path: Path
) -> None:
    with pytest.raises(UnmappedClassError, match=r"'Gamma' \(1 object in 1 image; .*'gamma'"):
        export_masks(
            tiny, tmp_path / "m", {"Alpha": 1, "Beta": 2, "gamma": 3},
            export_options(images=("squares*",)),
        )  # fmt: skip
    assert not (tmp_path / "m").exists()


def test_labels_stay_when_the_project_gets_new_classes(demo: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    export_masks(demo, out, options=export_options(images=("*C",)))
    first = load_class_map(out / "classes.yaml")
    path = demo / "classifiers" / "classes.json"
    data = json.loads(path.read_text("utf-8"))
    data["pathClasses"].insert(0, {"name": "Brand new", "color": -1})
    path.write_text(json.dumps(data), "utf-8")
    export_masks(demo, out, options=export_options(images=("*C",)))
    second = load_class_map(out / "classes.yaml")
    assert second.entries[: len(first.entries)] == first.entries
    added = {e.name for e in second.entries[len(first.entries) :]}
    assert "Brand new" in added


def test_masks_of_another_class_map_in_the_folder_are_named(demo: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    export_masks(demo, out, options=export_options(images=("*C",)))
    report = export_masks(
        demo, out, {"Stroma": 1}, export_options(images=("*A",), unknown="ignore")
    )
    assert any("Prostate C.ome.tif" in w and "another class map" in w for w in report.warnings)


# -- resuming -----------------------------------------------------------------------------------


def _touch_data(project: Path, out: Path) -> None:
    other = projects.data_file(project, "Prostate A").read_bytes()
    projects.data_file(project, "Prostate C").write_bytes(other)


def _truncate_mask(project: Path, out: Path) -> None:
    mask = out / "Prostate C.ome.tif"
    mask.write_bytes(mask.read_bytes()[:-1])


def _flip_a_byte(project: Path, out: Path) -> None:
    mask = out / "Prostate C.ome.tif"
    raw = bytearray(mask.read_bytes())
    raw[-1] ^= 1
    mask.write_bytes(raw)


def _remove_sidecar(project: Path, out: Path) -> None:
    (out / "Prostate C.ome.tif.json").unlink()


def _break_sidecar(project: Path, out: Path) -> None:
    (out / "Prostate C.ome.tif.json").write_text("{")


def test_a_second_run_skips_what_holds(demo: Path, tmp_path: Path) -> None:
    out, options = tmp_path / "m", export_options(images=("*C", "*A"))
    first = export_masks(demo, out, options=options)
    stamps = {p: p.stat().st_mtime_ns for p in out.glob("*.tif")}
    second = export_masks(demo, out, options=options)
    assert set(statuses(second).values()) == {"skipped"}
    assert second.ok
    assert {p: p.stat().st_mtime_ns for p in out.glob("*.tif")} == stamps
    assert [dict(r.pixels) for r in second] == [dict(r.pixels) for r in first]
    third = export_masks(demo, out, options=replace(options, force=True))
    assert set(statuses(third).values()) == {"done"}


@pytest.mark.parametrize(
    "change", [_touch_data, _truncate_mask, _flip_a_byte, _remove_sidecar, _break_sidecar]
)
def test_a_mask_that_no_longer_holds_is_made_again(demo: Path, tmp_path: Path, change: Any) -> None:
    out, options = tmp_path / "m", export_options(images=("*C",))
    export_masks(demo, out, options=options)
    change(demo, out)
    assert statuses(export_masks(demo, out, options=options)) == {"Prostate C": "done"}
    assert statuses(export_masks(demo, out, options=options)) == {"Prostate C": "skipped"}


@pytest.mark.parametrize(
    "changed",
    [{"downsample": 2.0}, {"tile_px": 256}, {"pyramid": False}, {"compression": "zlib"},
     {"boundary_label": 99}, {"unclassified": 77}, {"instances": True}],
)  # fmt: skip
def test_other_options_make_masks_again(
    demo: Path, tmp_path: Path, changed: dict[str, Any]
) -> None:
    out = tmp_path / "m"
    export_masks(demo, out, options=export_options(images=("*C",)))
    again = export_masks(demo, out, options=export_options(images=("*C",), **changed))
    assert statuses(again) == {"Prostate C": "done"}


# -- what goes wrong ----------------------------------------------------------------------------


def test_a_damaged_data_file_fails_its_image_alone(demo: Path, tmp_path: Path) -> None:
    """QuPath itself would hand back an image without objects: a blank mask."""
    out = tmp_path / "m"
    export_masks(demo, out, options=export_options(images=("*B",)))
    old = (out / "Prostate B.ome.tif").read_bytes()
    path = projects.data_file(demo, "Prostate B")
    path.write_bytes(path.read_bytes()[:9000])
    report = export_masks(demo, out)
    assert statuses(report) == {"Prostate A": "done", "Prostate B": "failed", "Prostate C": "done"}
    assert not report.ok
    record = report.records[1]
    assert record.error_type == "TruncatedDataError"
    assert record.error is not None and str(path) in record.error
    assert (out / "Prostate B.ome.tif").read_bytes() == old, "the old mask was lost"


def test_a_backup_is_named_and_taken_only_when_asked_for(demo: Path, tmp_path: Path) -> None:
    path = projects.data_file(demo, "Prostate B")
    backup = path.with_name("data.qpdata.bkp")
    good = export_masks(demo, tmp_path / "good", options=export_options(images=("*B",)))
    backup.write_bytes(path.read_bytes())
    path.write_bytes(path.read_bytes()[:9000])
    before = hash_tree(demo)
    (failed,) = export_masks(demo, tmp_path / "m", options=export_options(images=("*B",)))
    assert failed.status == "failed"
    assert failed.error is not None and str(backup) in failed.error
    options = export_options(images=("*B",), use_backup=True, engine="both")
    (record,) = export_masks(demo, tmp_path / "m", options=options)
    assert record.status == "done"
    assert dict(record.pixels) == dict(good.records[0].pixels)
    assert "backup" in record.warnings[0] and "TruncatedDataError" not in record.warnings[0]
    assert hash_tree(demo) == before


@pytest.mark.parametrize(
    ("width", "height"), [(0, 10), (-5, 10), (2**31, 10), (1.5, 10), ("12", 10), (2**30, 2**30)]
)
def test_impossible_sizes_fail_their_image_alone(
    demo: Path, tmp_path: Path, width: Any, height: Any
) -> None:
    def change(data: dict[str, Any]) -> None:
        metadata = projects.entry(data, "Prostate A")["serverBuilder"]["metadata"]
        metadata["width"], metadata["height"] = width, height

    projects.edit(demo, change)
    report = export_masks(demo, tmp_path / "m", options=export_options(images=("*A", "*C")))
    assert statuses(report) == {"Prostate A": "failed", "Prostate C": "done"}


HARD_NAMES = [
    "same", "same", "Same.svs", "SAME.ndpi", "../../escape", "/etc/passwd", "a/b\\c:d*?<>|\"",
    "Präparat Ünïcode 病理.svs", "x" * 200, "x" * 199 + "y", "CON", "nul.tif", "...", " ",
    "caf\u00e9", "cafe\u0301", "report", "trailing. ", "tab\there", "new\nline", "_id1001",
]  # fmt: skip


def test_hard_names_neither_collide_nor_escape(tiny: Path, tmp_path: Path) -> None:
    projects.multiply(tiny, "squares.ome.tif", HARD_NAMES)
    out = tmp_path / "deep" / "er" / "m"
    report = export_masks(tiny, out, TINY_CLASSES, export_options(pyramid=False, tile_px=64))
    assert report.ok, [r.error for r in report]
    masks = [r.mask for r in report]
    assert None not in masks
    assert len({str(m).casefold() for m in masks}) == len(HARD_NAMES)
    assert {p.name for p in out.glob("*.ome.tif")} == set(masks)
    assert files(tmp_path / "deep") <= {f"er/m/{n}" for n in files(out)}
    for record, name in zip(report, HARD_NAMES, strict=True):
        assert record.image == name


def test_a_run_that_is_stopped_leaves_no_partial_file(demo: Path, tmp_path: Path) -> None:
    out, stop = tmp_path / "m", threading.Event()

    def listen(event: Event) -> None:
        if isinstance(event, TilesDone) and event.entry_id == "2" and event.done > 2:
            stop.set()

    options = export_options(tile_px=64)
    report = export_masks(demo, out, options=options, progress=listen, stop=stop)
    assert report.interrupted and not report.ok
    assert statuses(report) == {
        "Prostate A": "done", "Prostate B": "interrupted", "Prostate C": "interrupted",
    }  # fmt: skip
    assert files(out) == {
        "Prostate A.ome.tif", "Prostate A.ome.tif.json", "classes.yaml", "report.json",
        "report.csv",
    }  # fmt: skip
    assert json.loads((out / "report.json").read_text())["interrupted"]
    again = export_masks(demo, out, options=options)
    assert statuses(again) == {
        "Prostate A": "skipped", "Prostate B": "done", "Prostate C": "done",
    }  # fmt: skip


@pytest.mark.parametrize("phase", ["drawing", "checking"])
def test_ctrl_c_at_any_time_leaves_a_report_and_no_partial_file(
    demo: Path, tmp_path: Path, phase: str
) -> None:
    out = tmp_path / "m"

    def listen(event: Event) -> None:
        if isinstance(event, PhaseStarted) and event.phase == phase:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_masks(demo, out, options=export_options(images=("*A",)), progress=listen)
    assert files(out) == {"classes.yaml", "report.json", "report.csv"}


def test_both_engines_agree_on_the_demo(demo: Path, tmp_path: Path) -> None:
    report = export_masks(demo, tmp_path / "m", options=export_options(engine="both"))
    assert report.ok
    sidecar = json.loads((tmp_path / "m" / "Prostate B.ome.tif.json").read_text("utf-8"))
    assert sidecar["engine"]["name"] == "qupath" and sidecar["verified_by"] == "native"
    # A mask that one engine alone has made does not stand for one that both have.
    export_masks(demo, tmp_path / "one", options=export_options(engine="qupath", images=("*C",)))
    both = export_options(engine="both", images=("*C",))
    assert statuses(export_masks(demo, tmp_path / "one", options=both)) == {"Prostate C": "done"}


def test_engines_that_do_not_agree_keep_no_mask(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qpmask.engines.native import engine

    real = engine._NativeRendering.tiles

    def other(self: Any) -> Iterator[Any]:
        for number, tile in enumerate(single_tiles(real(self))):
            if number == 7 and not isinstance(tile, int):
                tile[100, 50] ^= 1
            yield tile

    monkeypatch.setattr(engine._NativeRendering, "tiles", other)
    options = export_options(engine="both", images=("*A",))
    (record,) = export_masks(demo, tmp_path / "m", options=options)
    assert record.status == "failed" and record.error is not None
    assert "1 of 6,600,000 pixels differ, the first at (562, 612)" in record.error
    assert not list((tmp_path / "m").glob("*.tif"))


def test_two_runs_cannot_share_a_folder(demo: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    refused: list[BaseException] = []

    def listen(event: Event) -> None:
        if isinstance(event, ImageStarted):
            with pytest.raises(OutputError, match="Another run") as caught:
                export_masks(demo, out)
            refused.append(caught.value)

    assert export_masks(demo, out, options=export_options(images=("*C",)), progress=listen).ok
    assert len(refused) == 1


def test_an_output_folder_that_cannot_be_made(demo: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        export_masks(demo, tmp_path / "file" / "m")


# -- processes ----------------------------------------------------------------------------------


def start_cli(*args: object, **kwargs: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "qpmask", *map(str, args)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs,
    )  # fmt: skip


def wait_for(condition: Any, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def big(demo: Path) -> Iterator[Path]:
    """A project whose export takes a while: 45,000 x 33,000 pixels."""

    def change(data: dict[str, Any]) -> None:
        for image in data["images"]:
            metadata = image["serverBuilder"]["metadata"]
            metadata["width"], metadata["height"] = 45_000, 33_000

    projects.edit(demo, change)
    yield demo


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals on Windows")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_a_run_cleanly(big: Path, tmp_path: Path, number: int) -> None:
    out = tmp_path / "m"
    with start_cli("export", big, "-o", out) as process:
        wait_for(lambda: list(out.glob(".qpmask/*.scratch*")), process)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Interrupted" in err and "Traceback" not in err
    assert files(out) == {"classes.yaml", "report.json", "report.csv"}


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals on Windows")
def test_a_killed_run_is_taken_up_by_the_next(big: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    with start_cli("export", big, "-o", out, "--downsample", 4) as process:
        wait_for(lambda: list(out.glob(".qpmask/*.scratch*")), process)
        process.kill()
        process.communicate(timeout=60)
    assert any("scratch" in name for name in files(out)), "it was killed too late to tell"
    assert not list(out.glob("*.ome.tif")), "a mask appeared before it was whole"
    report = export_masks(big, out, options=export_options(downsample=4.0))
    assert report.ok
    assert not [name for name in files(out) if ".qpmask" in name]


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits on Windows")
def test_a_full_disk_fails_the_image_and_says_so(big: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands in for the full disk."""
    import resource

    out = tmp_path / "m"
    limit = 300_000

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    with start_cli(
        "export", big, "-o", out, "--images", "*B", "--downsample", 4, preexec_fn=limited
    ) as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert "error: Prostate B" in err and "Traceback" not in err
    assert "Exception" not in err and "java." not in err
    assert files(out) == {"classes.yaml", "report.json", "report.csv"}


def test_worker_processes_make_the_same_masks(demo: Path, tmp_path: Path) -> None:
    one = export_masks(demo, tmp_path / "one")
    seen: list[Event] = []
    two = export_masks(
        demo, tmp_path / "two", options=export_options(workers=2, jvm_memory="500m"),
        progress=seen.append,
    )  # fmt: skip
    assert two.ok
    assert [dict(r.pixels) for r in one] == [dict(r.pixels) for r in two]
    assert sum(isinstance(e, ImageFinished) for e in seen) == 3
    assert any(isinstance(e, TilesDone) for e in seen)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals on Windows")
def test_a_worker_that_dies_costs_one_try(demo: Path, tmp_path: Path) -> None:
    killed: list[int] = []

    def listen(event: Event) -> None:
        if isinstance(event, PhaseStarted) and not killed:
            part = next((tmp_path / "m" / ".qpmask").glob("*.scratch*"), None)
            if part is not None:
                pid = int(part.name.split(".scratch")[0].rpartition(".")[2])
                killed.append(pid)
                os.kill(pid, signal.SIGKILL)

    projects.edit(demo, lambda d: [
        i["serverBuilder"]["metadata"].update(width=45_000, height=33_000) for i in d["images"][:1]
    ])  # fmt: skip
    options = export_options(workers=2, jvm_memory="500m", downsample=4.0)
    seen: list[Event] = []

    def both(event: Event) -> None:
        seen.append(event)
        listen(event)

    report = export_masks(demo, tmp_path / "m", options=options, progress=both)
    assert report.ok, [r.error for r in report]


def test_stopping_stops_the_workers(big: Path, tmp_path: Path) -> None:
    stop = threading.Event()

    def listen(event: Event) -> None:
        if isinstance(event, TilesDone) and event.done > 5:
            stop.set()

    report = export_masks(
        big, tmp_path / "m", options=export_options(workers=2, jvm_memory="500m"),
        progress=listen, stop=stop,
    )  # fmt: skip
    assert report.interrupted
    assert files(tmp_path / "m") == {"classes.yaml", "report.json", "report.csv"}


# -- resources ----------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")
def test_resources_are_released_image_by_image(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import jpype

    projects.multiply(demo, "Prostate B", [f"copy {i:02d}" for i in range(40)])
    runtime = jpype.JClass("java.lang.Runtime").getRuntime()
    heap: list[float] = []
    open_files: list[int] = []
    threads: list[int] = []

    def listen(event: Event) -> None:
        if isinstance(event, ImageFinished):
            import gc

            gc.collect()
            for _ in range(3):
                runtime.gc()
            heap.append((runtime.totalMemory() - runtime.freeMemory()) / 2**20)
            open_files.append(len(list(Path("/proc/self/fd").iterdir())))
            threads.append(threading.active_count())

    options = export_options(downsample=4.0)
    report = export_masks(demo, tmp_path / "m", options=options, progress=listen)
    assert report.ok
    with capsys.disabled():
        print(f"\nJava heap after collection, MB: {heap[0]:.1f} first, {heap[9]:.1f} 10th, "
              f"{heap[39]:.1f} 40th; open files {open_files[0]}, {open_files[9]}, "
              f"{open_files[39]}")  # fmt: skip
    assert heap[39] - heap[9] < 2.0
    assert open_files[39] <= open_files[9]
    assert threads[39] <= threads[9]


def test_the_class_map_as_used_is_saved(demo: Path, tmp_path: Path) -> None:
    chosen = ClassMap((), origin="x")
    with pytest.raises(UnmappedClassError):
        export_masks(demo, tmp_path / "m", chosen)
    export_masks(demo, tmp_path / "m", {"Stroma": 3}, export_options(unknown="ignore"))
    saved = load_class_map(tmp_path / "m" / "classes.yaml")
    assert [(e.label, e.name) for e in saved.entries] == [(3, "Stroma")]
    # The next run without a map takes it, and is as strict as with the map itself.
    with pytest.raises(UnmappedClassError):
        export_masks(demo, tmp_path / "m")


@pytest.mark.parametrize("memory", ["100000g", "64m"])
def test_memory_that_java_cannot_get_is_said_in_words(
    demo: Path, tmp_path: Path, memory: str
) -> None:
    """A JVM that does not get its memory would end the process; 64 MB are enough for the demo."""
    with start_cli(
        "export", demo, "-o", tmp_path / "m", "--jvm-memory", memory, "--downsample", 8
    ) as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == (3 if memory == "100000g" else 0), err
    assert ("--jvm-memory" in err) == (memory == "100000g")
    assert "Traceback" not in err
