"""Finds QuPath, starts its JVM inside this process, and turns Java's errors and logs into ours.

paquo decides where QuPath is (``PAQUO_QUPATH_DIR``, ``.paquo.toml``, its search folders) and
starts the JVM; this module adds memory, quiet logs, signals that stay Python's, and error messages
that say what to do. A process can start one JVM, once.

Only this module and :mod:`qpmask.engines.qupath` import paquo and jpype.
"""

from __future__ import annotations

import contextlib
import logging
import platform
import re
import subprocess
import sys
import threading
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from qpmask.errors import EngineError, EngineOutOfMemoryError, NoQuPathError
from qpmask.options import parse_memory

log = logging.getLogger("qpmask.qupath")

GET_IT = (
    "Install QuPath (0.4 or later) from its download page, or run 'qpmask get-qupath'; "
    "then 'qpmask doctor' tells whether it is found. A folder of your own choice is named by the "
    "environment variable PAQUO_QUPATH_DIR."
)


@dataclass(frozen=True)
class QuPathInstall:
    """A QuPath on this machine, as paquo finds it; nothing has been started.

    ``version`` comes from the name of its core jar, ``unknown`` where that does not tell.
    """

    app_dir: Path
    runtime_dir: Path
    jvm_path: Path
    version: str

    @property
    def folder(self) -> Path:
        """The folder of the installation."""
        return (
            self.app_dir.parent.parent
            if self.app_dir.parent.name == "lib"
            else (self.app_dir.parent)
        )


def find_qupath() -> QuPathInstall:
    """Find the QuPath that would be used. Starts nothing.

    Raises
    ------
    NoQuPathError
        There is none, or the one that is named is not one.
    """
    with _quiet_imports():
        from paquo._config import settings, to_kwargs
        from paquo.jpype_backend import find_qupath as paquo_find
    kwargs = to_kwargs(settings)
    # paquo leaves "~" in its search folders as it is.
    folders = kwargs.get("qupath_search_dirs") or []
    kwargs["qupath_search_dirs"] = [
        str(Path(f).expanduser()) for f in ([folders] if isinstance(folders, str) else folders)
    ]
    named = str(kwargs.get("qupath_dir") or "")
    if named:
        kwargs["qupath_dir"] = str(Path(named).expanduser())
    try:
        app_dir, runtime_dir, jvm_path, _ = paquo_find(**kwargs)
    except (ValueError, OSError) as error:
        if named:
            raise NoQuPathError(
                f"There is no usable QuPath in {named}.",
                hint="PAQUO_QUPATH_DIR, or qupath_dir in .paquo.toml, must name the folder that "
                "holds QuPath's lib/app and lib/runtime (Windows: app and runtime). "
                "--engine native needs none.",
            ) from error
        raise NoQuPathError("No QuPath was found on this machine.", hint=GET_IT) from error
    return QuPathInstall(app_dir, runtime_dir, jvm_path, _version_of(app_dir))


def search_places() -> tuple[str, ...]:
    """Folders in which a QuPath is searched for, as paquo's settings have them."""
    with _quiet_imports():
        from paquo._config import settings, to_kwargs
        from paquo.jpype_backend import _conda_qupath_dir
    kwargs = to_kwargs(settings)
    folders = kwargs.get("qupath_search_dirs") or []
    places = [folders] if isinstance(folders, str) else list(folders)
    if kwargs.get("qupath_search_conda"):
        places += [folder for folder in [_conda_qupath_dir()] if folder is not None]
    return tuple(str(Path(place).expanduser()) for place in places)


def is_named() -> bool:
    """Whether paquo's settings name a folder of QuPath, so that it is not searched for."""
    with _quiet_imports():
        from paquo._config import settings, to_kwargs
    return bool(to_kwargs(settings).get("qupath_dir"))


def download_functions() -> tuple[Any, Any]:
    """Give paquo's functions that download and unpack QuPath."""
    with _quiet_imports():
        from paquo._utils import download_qupath, extract_qupath
    return download_qupath, extract_qupath


def _version_of(app_dir: Path) -> str:
    """Version of QuPath by its core jar, without starting it."""
    for jar in sorted(app_dir.glob("qupath-core-[0-9]*.jar")):
        with contextlib.suppress(OSError, KeyError, zipfile.BadZipFile), zipfile.ZipFile(jar) as z:
            manifest = z.read("META-INF/MANIFEST.MF").decode("utf-8", "replace")
            found = re.search(r"^Implementation-Version:\s*(\S+)", manifest, re.MULTILINE)
            if found:
                return found.group(1)
        return jar.stem.removeprefix("qupath-core-")
    return "unknown"


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
    with _quiet_imports():
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
        with _quiet_imports():
            from paquo.java import compatibility
        version = jpype.JClass("qupath.lib.common.GeneralTools").getVersion()
        jpype.JClass("qupath.lib.images.writers.ome.OMEPyramidWriter")
        jpype.JClass("qupath.lib.images.servers.LabeledImageServer")
    except Exception as error:
        where = f"in {install.folder}" if install else "that runs in this process already"
        raise NoQuPathError(
            f"The JVM {where} has no complete QuPath: {_first_line(error)}.",
            hint="Install QuPath again, with its Bio-Formats extension. " + GET_IT,
        ) from error
    del compatibility
    _quiet_logs()
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


# -- logs ---------------------------------------------------------------------------------------


class LogCatcher:
    """Sees every message that QuPath logs; a Java ``Appender`` implemented in Python.

    Messages go on to Python's logger ``qpmask.qupath``. Errors are kept between :meth:`clear` and
    :meth:`errors`, since QuPath's writer logs what befalls a tile and goes on.
    """

    def __init__(self) -> None:
        self._errors: list[str] = []
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Forget the errors seen so far."""
        with self._lock:
            self._errors.clear()

    def errors(self) -> list[str]:
        """Messages logged as errors by QuPath's image code since :meth:`clear`."""
        with self._lock:
            return list(self._errors)

    # The methods of ch.qos.logback.core.Appender:

    def doAppend(self, event: Any) -> None:  # noqa: N802 - Java's name
        """Take one message."""
        try:
            level = int(event.getLevel().toInt()) // 1000  # 10000 is DEBUG in logback
            text = str(event.getFormattedMessage())
            origin = str(event.getLoggerName())
            thrown = event.getThrowableProxy()
            cause = None if thrown is None else str(thrown.getMessage() or thrown.getClassName())
            full = text if cause is None else f"{text}: {cause}"
            log.log(level, "%s: %s", origin.rpartition(".")[2], full)
            if level >= logging.ERROR and ".images." in origin:
                with self._lock:
                    self._errors.append(_for_people(text, cause))
        except Exception:
            log.exception("a message of QuPath could not be read")

    def getName(self) -> str:  # noqa: N802 - Java's name
        """Name of the appender."""
        return "qpmask"

    def isStarted(self) -> bool:  # noqa: N802 - Java's name
        """Say that it works."""
        return True

    def __getattr__(self, name: str) -> Any:
        # setContext, start, stop, addFilter, ...: nothing to do.
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args: None


def _for_people(text: str, cause: str | None) -> str:
    """What QuPath says of a tile, without its Java: where it is, and what befell it."""
    bounds = re.search(r"bounds=\((\d+), (\d+),", text)
    if bounds is None or cause is None:
        return text if cause is None else f"{text}: {cause}"
    return f"at pixel ({bounds.group(1)}, {bounds.group(2)}): {cause}"


catcher = LogCatcher()


def _quiet_logs() -> None:
    """Take QuPath's messages off the console and hand them to Python's logging."""
    import jpype

    try:
        factory = jpype.JClass("org.slf4j.LoggerFactory").getILoggerFactory()
        root = factory.getLogger("ROOT")
        root.detachAndStopAllAppenders()
        root.setLevel(jpype.JClass("ch.qos.logback.classic.Level").INFO)
        proxy = jpype.JProxy("ch.qos.logback.core.Appender", inst=catcher)
        root.addAppender(proxy)
    except Exception as error:  # another logger than logback: its messages stay where they are
        log.debug("QuPath's log cannot be taken over: %s", _first_line(error))


# -- errors -------------------------------------------------------------------------------------


@contextlib.contextmanager
def java_errors(what: str) -> Iterator[None]:
    """Turn Java exceptions raised in the block into ours; ``what`` says what was being done.

    The Java stack trace goes to the debug log and nowhere else.
    """
    import jpype

    try:
        yield
    except jpype.JException as error:
        raise translate(error, what) from error


def translate(error: Any, what: str) -> EngineError:
    """Our error for a Java exception.

    Parameters
    ----------
    error : jpype.JException
        What Java threw.
    what : str
        What was being done, as the start of a sentence.
    """
    with contextlib.suppress(Exception):
        log.debug("%s\n%s", what, error.stacktrace())
    causes = list(_causes(error))
    names = [str(c.getClass().getName()) for c in causes]
    if "java.lang.OutOfMemoryError" in names:
        return EngineOutOfMemoryError(
            f"{what}: the JVM ran out of memory ({causes[-1].getMessage()}).",
            hint="Give it more with --jvm-memory, such as 4g, or use fewer workers.",
        )
    text = "; ".join(dict.fromkeys(_describe(c) for c in causes))
    hint = None
    if any("No space left" in t or "not enough space" in t for t in [text]):
        hint = "Free some space, or write to another disk."
    return EngineError(f"{what}: {text}.", hint=hint)


def _causes(error: Any) -> Iterator[Any]:
    for _ in range(8):
        if error is None:
            return
        yield error
        error = error.getCause()


def _describe(error: Any) -> str:
    name = str(error.getClass().getSimpleName())
    message = error.getMessage()
    return f"{name}: {str(message).strip().rstrip('.')}" if message else name


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def heap() -> tuple[int, int]:
    """Used and greatest size of the Java heap, in bytes."""
    import jpype

    runtime = jpype.JClass("java.lang.Runtime").getRuntime()
    return int(runtime.totalMemory() - runtime.freeMemory()), int(runtime.maxMemory())


@contextlib.contextmanager
def _quiet_imports() -> Iterator[None]:
    """Imports of paquo, whose dependencies warn about things that are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
