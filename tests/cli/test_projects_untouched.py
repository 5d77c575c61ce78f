"""Every command but ``import`` and ``restore`` leaves every byte of a project as it was.

The commands come from the command line itself: a new one is tried here without being named, with a
project in the place of whatever it reads, and needs a row in ``RUNS`` where that is not how it is
used.
"""

from __future__ import annotations

import threading
from pathlib import Path

import click
import pytest
from conftest import Cli, hash_tree
from web.web_samples import ask

from qpmask.cli import app

WRITERS = {"import", "restore"}
OWN = "features.feature_models:"

#: Command lines, one behind the other: PROJECT, and what came of those before.
RUNS: dict[str, list[list[str]]] = {
    "export": [
        ["PROJECT", "-o", "masks", "--engine", "native", "--downsample", "4", "--previews"],
        ["PROJECT", "-o", "instances", "--engine", "native", "--instances", "--dry-run"],
        ["PROJECT", "-o", "planned", "--engine", "native", "--plan", "plan.json", "--images", "1"],
        [
            "PROJECT/project.qpproj",
            "-o",
            "ozx",
            "--engine",
            "native",
            "--format",
            "ozx",
            "--images",
            "1",
        ],
    ],
    "annotations": [
        ["PROJECT", "-o", "geojson", "--objects", "all"],
        ["PROJECT", "-o", "nested", "--nested", "--portable", "--gzip"],
        ["PROJECT", "-o", "all.parquet"],
    ],
    "classes": [["PROJECT", "-o", "classes.yaml"]],
    "info": [["PROJECT"], ["PROJECT/project.qpproj", "--json"], ["PROJECT/data/1/data.qpdata"]],
    "patches": [["PROJECT", "-o", "patches", "--mpp", "4", "--visualize", "grid", "--images", "1"]],
    "features": [["patches", "--extractor", OWN + "means", "--num-workers", "0"], ["PROJECT"]],
    "check": [["masks"], ["PROJECT"]],
    "compare": [["masks", "masks"], ["PROJECT", "masks"]],
    "view": [["MASK", "--slide", "SLIDE", "--save", "part.png"], ["PROJECT", "--save", "no.png"]],
    "polygons": [["masks", "-o", "polygons"], ["PROJECT/slides", "-o", "of_slides"]],
    "pack": [["masks/Prostate A.ome.tif", "-o", "all.ozx"], ["PROJECT/slides", "-o", "slides.ozx"]],
    "work": [["plan.json", "--task", "1/1"], ["PROJECT"]],
    "collect": [["plan.json"], ["PROJECT"]],
    "status": [["plan.json"], ["PROJECT"]],
    "get-qupath": [["--help"]],  # it would download
}


def commands() -> dict[str, click.Command]:
    context = click.Context(app)
    found = {name: app.get_command(context, name) for name in app.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def lines_of(name: str, command: click.Command) -> list[list[str]]:
    """How a command is tried: as ``RUNS`` says, or with a project for each of its arguments."""
    if name in RUNS:
        return RUNS[name]
    line = ["PROJECT" for p in command.params if isinstance(p, click.Argument)]
    if any("--out" in p.opts for p in command.params):
        line += ["-o", "out of " + name]
    return [line]


def test_no_command_changes_a_project(
    demo: Path, qpmask_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in ("h5py", "matplotlib", "openslide", "pyarrow"):
        pytest.importorskip(library)

    def look_at(self: threading.Event, timeout: float | None = None) -> bool:
        """What ``serve`` does for good."""
        raise KeyboardInterrupt

    before = hash_tree(demo)
    folders = sorted(p for p in demo.rglob("*") if p.is_dir())
    known = commands()
    assert set(RUNS) <= set(known)
    codes: dict[str, list[int]] = {}
    for name, command in sorted(known.items(), key=lambda one: list(RUNS).index(one[0])
                                if one[0] in RUNS else 99):  # fmt: skip
        if name in WRITERS:
            continue
        for line in lines_of(name, command):
            args = [
                arg.replace("PROJECT", str(demo))
                .replace("MASK", "masks/Prostate A.ome.tif")
                .replace("SLIDE", str(demo / "slides" / "A.ome.tif"))
                for arg in line
            ]
            with monkeypatch.context() as patch:
                if name == "serve":
                    patch.setattr(threading.Event, "wait", look_at)
                code, _, _ = qpmask_cli(name, *args)
            codes.setdefault(name, []).append(code)
            assert hash_tree(demo) == before, (name, line)
            assert sorted(p for p in demo.rglob("*") if p.is_dir()) == folders, (name, line)
    # What was to work did: a command that only refuses its arguments leaves anything as it is.
    worked = {name for name, found in codes.items() if found[0] == 0}
    assert worked >= {*RUNS, "doctor", "groovy"} - {"features"}, codes
    assert set(codes) == set(known) - WRITERS


def test_the_page_of_a_project_changes_nothing(demo: Path) -> None:
    pytest.importorskip("openslide")
    from qpmask.web import serve

    before = hash_tree(demo)
    with serve(demo) as server:
        n = len(ask(server, "api/images").json["images"])
        for i in range(n):
            ask(server, f"api/images/{i}")
            ask(server, f"api/images/{i}/mask/0/0/0/0")
            ask(server, f"api/images/{i}/slide/0/0/0")
    assert n
    assert hash_tree(demo) == before
