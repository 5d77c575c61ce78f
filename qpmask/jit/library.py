"""Kernels that are compiled together: declared, loaded, called."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib
import importlib.util
import json
import logging
import os
import signal
import sys
import threading
import zlib
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar, cast

import numpy as np

from qpmask.errors import KernelsUnavailableError
from qpmask.jit import machinecode
from qpmask.jit.arguments import Argument, types_of

Function = TypeVar("Function", bound=Callable[..., Any])

LIBRARIES: dict[str, Library] = {}
"""All libraries of the modules that were imported, by name."""

_log = logging.getLogger(__name__)
_helpers: set[Callable[..., Any]] = set()


def kernel(function: Function) -> Function:
    """Mark a function that kernels call; it stays a Python function."""
    _helpers.add(function)
    return function


def is_kernel(value: object) -> bool:
    """Whether something is a function that kernels call."""
    return isinstance(value, Entry) or (isinstance(value, FunctionType) and value in _helpers)


class Library:
    """Kernels that are compiled and loaded together.

    Parameters
    ----------
    name : str
        For the files on disk.
    modules : sequence of str
        All modules that hold kernels of it, and those whose constants these use: what is compiled
        is compiled anew when one of them changes.
    """

    def __init__(self, name: str, modules: Sequence[str]) -> None:
        self.name = name
        self.modules = tuple(modules)
        self.entries: dict[str, Entry] = {}
        LIBRARIES[name] = self
        # As they are now, when they are imported: they may be changed before they are compiled.
        self.sources = hash_of_sources(self.modules)
        self._lock = threading.Lock()
        self._engine: Any = None

    def entry(self, function: Function) -> Function:
        """Mark a function that Python calls; its annotations are the types of its arguments.

        It returns nothing or a whole number, and runs without the interpreter's lock.
        """
        entry = Entry(self, function)
        self.entries[function.__name__] = entry
        return cast(Function, entry)

    @property
    def must_compile(self) -> bool:
        """Whether loading it makes machine code first, which takes seconds."""
        return self._engine is None and machinecode.read(self.file) is None

    def load(self) -> Any:
        """Load the machine code, once; make it first where there is none.

        Returns
        -------
        object
            What kernels' addresses are asked of.

        Raises
        ------
        KernelsUnavailableError
            It cannot be made: the kernels are not those that the package brings bitcode of and
            Numba is not installed, or llvmlite cannot read that bitcode.
        """
        if self._engine is not None:
            return self._engine
        with self._lock:
            if self._engine is None:
                try:
                    self._engine = self._loaded()
                except KernelsUnavailableError:
                    raise
                except Exception as error:  # whatever a compiler that is set up oddly may raise
                    raise _unavailable(self.name, " ".join(str(error).split())) from error
        return self._engine

    def _loaded(self) -> Any:
        for module in self.modules:
            importlib.import_module(module)
        code = machinecode.read(self.file)
        if code is None:
            code = machinecode.machine_code(read_shipped(self) or self._bitcode_by_numba())
            machinecode.write(self.file, code)
        return machinecode.load(code)

    def _bitcode_by_numba(self) -> bytes:
        """Have it made in another process, which Ctrl-C ends and whose memory goes with it."""
        import subprocess  # late: users never come here

        _log.warning("Compiling parts of qpmask (%s); this takes up to a minute.", self.name)
        # Without the settings that people debug Numba with: they change what it makes.
        settings = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
        settings["PYTHONPATH"] = os.pathsep.join(sys.path)
        what = json.dumps([self.name, self.sources, *self.modules])
        command = [sys.executable, "-m", "qpmask.jit.build", what]
        done = subprocess.run(command, env=settings, capture_output=True)
        if done.returncode in (-signal.SIGINT, -signal.SIGTERM):
            raise KeyboardInterrupt
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            why = said[-1] if said else f"exit code {done.returncode}"
            raise _unavailable(self.name, f"they are not those that it brings compiled, and {why}")
        return done.stdout

    @property
    def file(self) -> Path:
        """Where its machine code is, or will be."""
        return machinecode.place(self.name, self.sources)

    @property
    def shipped(self) -> Path:
        """Where the bitcode that the package brings is, or belongs."""
        return Path(__file__).with_name("shipped") / f"{self.name}.bitcode"


def _unavailable(name: str, why: str) -> KernelsUnavailableError:
    return KernelsUnavailableError(
        f"The kernels of qpmask ({name}) cannot be loaded: {why}.",
        hint="Install qpmask and llvmlite again (pip install --force-reinstall qpmask llvmlite); "
        "whoever changes kernels needs Numba (pip install numba).",
    )


def hash_of_sources(modules: Sequence[str]) -> str:
    """Hash of the files of modules, and of those that say how kernels are called."""
    digest = hashlib.sha256()
    for module in (*modules, f"{__package__}.arguments", f"{__package__}.build"):
        spec = importlib.util.find_spec(module)
        assert spec is not None and spec.origin is not None
        source: bytes = spec.loader.get_data(spec.origin)  # type: ignore[union-attr]
        digest.update(source.replace(b"\r\n", b"\n"))
    return digest.hexdigest()


def read_shipped(library: Library) -> bytes | None:
    """Bitcode that the package brings; None if there is none of these sources."""
    try:
        data = library.shipped.read_bytes()
    except OSError:
        return None
    return zlib.decompress(data[64:]) if data[:64] == library.sources.encode() else None


def write_shipped(library: Library, bitcode: bytes) -> None:
    """Keep bitcode for the package to bring: the hash of its sources, then it, packed."""
    library.shipped.parent.mkdir(exist_ok=True)
    library.shipped.write_bytes(library.sources.encode() + zlib.compress(bitcode, 9))


class Entry:
    """A kernel that Python calls.

    Parameters
    ----------
    library : Library
        It belongs to this one.
    function : callable
        What is compiled.
    """

    def __init__(self, library: Library, function: Callable[..., Any]) -> None:
        self.function = function
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__
        self._library = library
        self._addresses: dict[np.dtype[Any] | None, Any] = {}

    @functools.cached_property
    def types(self) -> tuple[Argument, ...]:
        """Of its arguments."""
        return types_of(self.function)

    @functools.cached_property
    def _pixels(self) -> list[int]:
        """Which arguments have one of several types."""
        return [i for i, type_ in enumerate(self.types) if type_.pixel_types()]

    def variants(self) -> list[tuple[str, np.dtype[Any] | None]]:
        """Names in the machine code, and the type of pixels that each is for."""
        if not self._pixels:
            return [(self.__name__, None)]
        dtypes = self.types[self._pixels[0]].pixel_types()
        return [(f"{self.__name__}_{dtype.name}", dtype) for dtype in dtypes]

    def _find(self) -> None:
        """Look its addresses up in the machine code, at its first call."""
        engine = self._library.load()
        signature = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
        self._addresses = {
            dtype: signature(engine.get_function_address(name)) for name, dtype in self.variants()
        }

    def __call__(self, *arguments: Any) -> int:
        """Call it.

        Raises
        ------
        TypeError
            An argument is not of its type.
        """
        call, frame = self._prepared(arguments)
        address, _ = frame.buffer_info()
        call(address, address)
        return frame[-1]

    def _prepared(self, arguments: tuple[Any, ...]) -> tuple[Any, array[int]]:
        words: list[int] = []
        for type_, argument in zip(self.types, arguments, strict=True):
            type_.put(argument, words)
        dtype = None
        if self._pixels:
            dtype = arguments[self._pixels[0]].dtype
            if any(arguments[i].dtype != dtype for i in self._pixels):
                raise TypeError("arrays of pixels differ in type")
        if not self._addresses:
            self._find()
        words.append(0)
        # In a fifth of the time that an array of ctypes takes.
        return self._addresses[dtype], array("q", words)


def bound(kernel: Callable[..., int], *arguments: Any) -> Callable[[], int]:
    """A call of an entry (or of a function in its place) with arguments that are checked once."""
    if not isinstance(kernel, Entry):
        return functools.partial(kernel, *arguments)
    call, frame = kernel._prepared(arguments)
    address, _ = frame.buffer_info()

    def again(arrays: tuple[Any, ...] = arguments) -> int:  # which must live as long
        call(address, address)
        return frame[-1]

    return again


def _renew_locks() -> None:
    """In a child that was forked while a lock was held, nobody will give it back."""
    for library in LIBRARIES.values():
        library._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
