"""The public names, and what importing and asking for help must not load."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TINY

import qpmask

HEAVY = {"numpy", "paquo", "jpype", "rich", "click", "tifffile", "imagecodecs", "yaml", "filelock"}
JAVA = {"paquo", "jpype"}


def loaded_by(code: str, *args: object) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after this code."""
    show = "\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code + show, *map(str, args)],
        capture_output=True, text=True, encoding="utf-8", check=True,
    )  # fmt: skip
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


CLI = """import sys
from qpmask.cli import app
from qpmask.cli.exits import run
run(app, sys.argv[1:])
"""


def test_all_names_are_there_and_sorted() -> None:
    assert qpmask.__all__ == ["__version__", *sorted(set(qpmask.__all__) - {"__version__"})]
    for name in qpmask.__all__:
        assert getattr(qpmask, name) is not None
    assert set(qpmask.__all__) <= set(dir(qpmask))


def test_what_a_user_needs_is_public() -> None:
    assert {
        "ClassEntry", "ClassMap", "ExportOptions", "QpmaskError", "Report", "check_mask",
        "export_masks", "export_options", "load_class_map", "load_preset", "open_project",
        "plan_export",
    } <= set(qpmask.__all__)  # fmt: skip


def test_lazy_names_are_those_that_type_checkers_see() -> None:
    """``__getattr__`` and the imports under TYPE_CHECKING must say the same."""
    import ast

    assert qpmask.__file__ is not None
    tree = ast.parse(Path(qpmask.__file__).read_text("utf-8"))
    seen = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(seen) == set(qpmask.__all__) - {"__version__"}
    for name, module in seen.items():
        assert module is not None
        assert getattr(importlib.import_module(module), name) is getattr(qpmask, name)


def test_names_that_do_not_exist() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = qpmask.no_such_name


def test_importing_loads_nothing_heavy() -> None:
    assert not loaded_by("import qpmask") & HEAVY
    assert not loaded_by("import qpmask.__main__") & HEAVY  # as each process of a run does


def test_help_loads_nothing_heavy() -> None:
    for args in (["--help"], ["--version"]):
        assert not loaded_by(CLI, *args) & (HEAVY - {"click"})


def test_help_of_a_command_starts_no_java() -> None:
    assert not loaded_by(CLI, "export", "--help") & (HEAVY - {"click", "yaml"})


@pytest.mark.parametrize(
    "args",
    [["info", TINY], ["classes", TINY], ["check", TINY], ["export", TINY, "--dry-run"],
     ["info", TINY / "data" / "1" / "data.qpdata"]],
    ids=["info", "classes", "check", "dry run", "info of a file"],
)  # fmt: skip
def test_commands_that_need_no_java_load_none(tmp_path: Path, args: list[object]) -> None:
    code = f"import os; os.chdir({str(tmp_path)!r})\n{CLI}"
    assert not loaded_by(code, *args) & JAVA


def test_a_quiet_export_loads_what_it_needs(tmp_path: Path) -> None:
    args = ["export", TINY, "-o", tmp_path, "--images", "squares*", "--unknown", "ignore"]
    found = loaded_by(CLI, *args, "--engine", "native", "--quiet")
    assert found >= {"numpy", "llvmlite"} and list(tmp_path.glob("*.ome.tif"))
    assert not found & (JAVA | {"rich", "numba", "yaml", "asyncio", "multiprocessing"})


def test_what_is_printed_of_a_project_a_plan_and_a_report_is_short(tmp_path: Path) -> None:
    project = qpmask.open_project(TINY)
    plan = qpmask.plan_export(project, options=qpmask.export_options(unknown="ignore"))
    options = qpmask.export_options(engine="native", images="squares*")
    report = qpmask.export_masks(project, tmp_path, options=options)
    for thing in (project, plan, plan.images[0], report):
        assert len(repr(thing)) < 120 + len(str(TINY)) + len(str(tmp_path)), thing
        assert repr(thing).startswith(f"<{type(thing).__name__} ")
    assert "6 images" in repr(project) and "6 images" in repr(plan)
    assert "1 done" in repr(report)
