"""QuPath's JVM, started inside this process: its memory, its options, and why it does not start.

paquo starts it; this module adds memory, signals that stay Python's, and error messages that say
what to do. A process can start one JVM, once.
"""

from __future__ import annotations

import logging
import platform
import re
import subprocess
import sys
import threading
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from qpmask.engines.jvm.install import GET_IT, QuPathInstall, find_qupath, quiet_imports
from qpmask.engines.jvm.javaerrors import first_line
from qpmask.engines.jvm.logs import quiet_logs
from qpmask.errors import NoQuPathError
from qpmask.options import parse_memory

log = logging.getLogger("qpmask.qupath")


@dataclass(frozen=True)
class RunningQuPath:
    """QuPath in the JVM of this process."""

    version: str
    java_version: str
    install: QuPathInstall | None

    def __str__(self) -> str:
        return f"QuPath {self.version} (Java {self.java_version})"


_running: RunningQuPath | None = None

_lock = threading.Lock()


def start(memory: str | None = None, heap_percent: float | None = None) -> RunningQuPath:
    """Start QuPath's JVM in this process, or take the one that runs already.

    Parameters
    ----------
    memory : str, optional
        Java heap as Java writes it, such as ``4g``. Without it paquo's ``java_opts`` hold.
    heap_percent : float, optional
        Share of the machine's memory instead, for processes that share a machine.

    Raises
    ------
    NoQuPathError
        No QuPath, no JVM that starts, or a JVM that runs without QuPath.
    """
    global _running
    with _lock:
        if _running is None:
            _running = _start(memory, heap_percent)
        return _running


def _start(memory: str | None, heap_percent: float | None) -> RunningQuPath:
    with quiet_imports():
        import jpype
        from paquo import jpype_backend
        from paquo._config import settings, to_kwargs

    install: QuPathInstall | None = None
    if jpype.isJVMStarted():
        log.debug("a JVM runs in this process already; using it")
    else:
        install = find_qupath()
        _check_jpype(install)
        options = _jvm_options(to_kwargs(settings).get("java_opts"), memory, heap_percent)

        def finder(**_: Any) -> tuple[Path, Path, Path, list[str]]:
            assert install is not None
            library = f"-Djava.library.path={install.app_dir}"
            return install.app_dir, install.runtime_dir, install.jvm_path, [*options, library]

        if any(o.startswith("-Xmx") for o in options):
            _try_options(install, options)
        log.debug("starting the JVM %s with %s", install.jvm_path, options)
        try:
            jpype_backend.start_jvm(finder=finder, finder_kwargs={})
        except SystemExit as error:  # paquo gives up on options that Java does not know
            raise NoQuPathError(
                f"Java does not accept its options ({' '.join(options)}).",
                hint="Look at --jvm-memory, and at java_opts in .paquo.toml.",
            ) from error
        except (OSError, RuntimeError, ValueError) as error:
            raise NoQuPathError(
                f"QuPath was found in {install.folder}, but its JVM does not start: {error}.",
                hint="Python and QuPath must be of one architecture (both 64-bit Intel, or both "
                "ARM), and the memory asked for must be there. 'qpmask doctor' tells more.",
            ) from error
    try:
        with quiet_imports():
            from paquo.java import compatibility
        version = jpype.JClass("qupath.lib.common.GeneralTools").getVersion()
        jpype.JClass("qupath.lib.images.writers.ome.OMEPyramidWriter")
        jpype.JClass("qupath.lib.images.servers.LabeledImageServer")
    except Exception as error:
        where = f"in {install.folder}" if install else "that runs in this process already"
        raise NoQuPathError(
            f"The JVM {where} has no complete QuPath: {first_line(error)}.",
            hint="Install QuPath again, with its Bio-Formats extension. " + GET_IT,
        ) from error
    del compatibility
    quiet_logs()
    java = str(jpype.JClass("java.lang.System").getProperty("java.version"))
    return RunningQuPath(str(version or "unknown"), java, install)


def _jvm_options(configured: object, memory: str | None, heap_percent: float | None) -> list[str]:
    options = [configured] if isinstance(configured, str) else list(map(str, configured or ()))  # type: ignore[call-overload]
    if memory is not None or heap_percent is not None:
        options = [o for o in options if not o.startswith(("-Xmx", "-XX:MaxRAMPercentage"))]
    if memory is not None:
        options.append(f"-Xmx{parse_memory(memory) >> 10}k")
    elif heap_percent is not None:
        options.append(f"-XX:MaxRAMPercentage={heap_percent:.1f}")
    options += [
        "-Xrs",  # Ctrl-C and SIGTERM stay with Python, which ends a run cleanly
        "-Djava.awt.headless=true",
        # Java 24 and later warn about JPype's native library otherwise; from 17 on it is known.
        "-XX:+IgnoreUnrecognizedVMOptions",
        "--enable-native-access=ALL-UNNAMED",
    ]
    return options


def _try_options(install: QuPathInstall, options: list[str]) -> None:
    """Start a JVM with these options in a process of its own, and end it.

    A JVM that does not get the memory it was promised ends its process without a word to Python.
    """
    code = "import sys, jpype; jpype.startJVM(*sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(install.jvm_path), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        reason = next((x for x in said if not x.startswith("Error occurred")), "no message")
        raise NoQuPathError(
            f"The JVM does not start with its options ({reason.strip().rstrip('.')}).",
            hint="Ask for less memory (--jvm-memory, or java_opts in .paquo.toml), such as 4g.",
        )


def _check_jpype(install: QuPathInstall) -> None:
    found = metadata.version("jpype1")
    if tuple(int(p) for p in re.findall(r"\d+", found)[:3]) < (1, 5, 2):
        raise NoQuPathError(
            f"JPype {found} crashes on the Java that QuPath brings.",
            hint="Run 'pip install -U jpype1' (1.5.2 or later).",
        )
    if sys.maxsize < 2**32:
        raise NoQuPathError(
            f"This Python is a 32-bit one, and the Java in {install.runtime_dir} is not.",
            hint=f"Use a 64-bit Python ({platform.machine()}).",
        )


def heap() -> tuple[int, int]:
    """Used and greatest size of the Java heap, in bytes."""
    import jpype

    runtime = jpype.JClass("java.lang.Runtime").getRuntime()
    return int(runtime.totalMemory() - runtime.freeMemory()), int(runtime.maxMemory())
