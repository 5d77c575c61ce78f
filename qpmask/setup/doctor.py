"""What ``qpmask doctor`` finds out: which parts are there, and whether they work together.

The JVM is started in a process of its own, since a JVM that does not fit may take its process with
it.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib import metadata

from qpmask._version import __version__
from qpmask.errors import QpmaskError
from qpmask.options import ENGINES

_START_TIMEOUT_S = 120

_PROBE = """
import json, sys
from qpmask.errors import QpmaskError
try:
    from qpmask.engines.qupath import QuPathEngine
    from qpmask.engines import jvm
    info = QuPathEngine(sys.argv[1] or None).start()
    print("\\n" + json.dumps({"version": info.version, "java": info.details["java"],
                              "heap": jvm.heap()[1]}))
except QpmaskError as error:
    print("\\n" + json.dumps({"error": error.message, "hint": error.hint}))
"""


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis. ``ok`` None means: not needed, or not looked at."""

    part: str
    ok: bool | None
    text: str
    hint: str | None = None


def diagnose(memory: str | None = None, engine: str | None = None) -> list[Finding]:
    """Look at every part that an export needs, by QuPath or by the native engine.

    A machine without QuPath is well: the native engine draws the same pixels.

    Parameters
    ----------
    memory : str, optional
        Java heap to try, such as ``4g``.
    engine : str, optional
        What `QPMASK_ENGINE` says: with ``native`` no QuPath is needed, with ``qupath`` and ``both``
        one must be there.
    """
    findings = [
        Finding("qpmask", True, __version__),
        Finding(
            "Python", sys.maxsize > 2**32, f"{platform.python_version()}, {platform.machine()}, "
            f"{platform.system()}", None if sys.maxsize > 2**32 else "Use a 64-bit Python.",
        ),
    ]  # fmt: skip
    for package in ("paquo", "jpype1", "numpy", "tifffile", "imagecodecs"):
        try:
            findings.append(Finding(package, True, metadata.version(package)))
        except metadata.PackageNotFoundError:
            findings.append(
                Finding(package, False, "not installed", f"Run 'pip install {package}'.")
            )
    if engine:
        findings.append(_engine(engine))
    if all(f.ok for f in findings):
        found = _qupath(memory) if engine != "native" else [_NOT_NEEDED]
        if engine in ("qupath", "both"):
            found = [replace(f, ok=bool(f.ok)) for f in found]
        findings += found
    return [*findings, _native()]


_NOT_NEEDED = Finding("QuPath", None, "not looked for: QPMASK_ENGINE is native")


def _engine(name: str) -> Finding:
    """What the environment says of the engine."""
    if name in ENGINES:
        return Finding("QPMASK_ENGINE", True, name)
    known = ", ".join(ENGINES)
    return Finding("QPMASK_ENGINE", False, f"{name!r} is no engine", f"It is one of {known}.")


def _native() -> Finding:
    """Whether there can be masks without QuPath; that there cannot is not wrong."""
    from qpmask.engines.native.engine import NativeEngine
    from qpmask.engines.native.library import LIBRARY

    folder = LIBRARY.file.parent
    state = "to be made at first use" if NativeEngine().compiles else "made"
    return Finding("Native engine", True, f"machine code {state}, in {folder}")


def _qupath(memory: str | None) -> list[Finding]:
    from qpmask.engines import jvm

    try:
        install = jvm.find_qupath()
    except QpmaskError as error:
        if jvm.is_named():  # somebody wants a certain one
            found = Finding("QuPath", False, error.message, error.hint)
        else:
            places = ", ".join(jvm.search_places())
            text = f"{error.message.rstrip('.')}; looked for folders QuPath* in {places}"
            found = Finding("QuPath", None, text, error.hint)
        return [found, Finding("JVM", None, "not tried without a QuPath")]
    findings = [
        Finding("QuPath", True, f"{install.version} in {install.folder}"),
        Finding("Java library", True, str(install.jvm_path)),
    ]
    bioformats = sorted(install.app_dir.glob("qupath-extension-bioformats-*.jar"))
    if not bioformats:
        findings.append(
            Finding("Bio-Formats", False, "QuPath's Bio-Formats extension is not in "
                    f"{install.app_dir}", "Install QuPath again; qpmask needs its OME-TIFF writer.")
        )  # fmt: skip
        return findings
    findings.append(_start(memory))
    return findings


def _start(memory: str | None) -> Finding:
    """Start QuPath's JVM in another process."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, memory or ""],
            capture_output=True,
            text=True,
            timeout=_START_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding("JVM", False, f"did not start within {_START_TIMEOUT_S} s")
    lines = done.stdout.strip().splitlines()
    try:
        answer = json.loads(lines[-1])
        if not isinstance(answer, dict):
            raise ValueError("no answer")
    except (IndexError, ValueError):
        said = (done.stderr.strip().splitlines() or ["no message"])[0]
        return Finding(
            "JVM", False, f"died while starting (exit code {done.returncode}): {said}",
            "Python and QuPath must be of one architecture, and the memory must be there.",
        )  # fmt: skip
    if "error" in answer:
        return Finding("JVM", False, answer["error"], answer["hint"])
    return Finding(
        "JVM",
        True,
        f"Java {answer['java']} with QuPath {answer['version']} starts, heap up to "
        f"{answer['heap'] / 2**30:.1f} GB",
    )
