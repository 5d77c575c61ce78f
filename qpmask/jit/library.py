"""Kernels that are compiled together: declared, loaded, called."""

from __future__ import annotations

import ctypes
import importlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar, cast

import numpy as np

from qpmask.jit import elsewhere, store
from qpmask.jit.arguments import Argument

Function = TypeVar("Function", bound=Callable[..., Any])

LIBRARIES: dict[str, Library] = {}
"""All libraries of the modules that were imported, by name."""

_log = logging.getLogger(__name__)
_helpers: set[Callable[..., Any]] = set()


class KernelsUnavailableError(ImportError):
    """Numba is not installed, or it does not work with this Python or NumPy."""


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
        For the file on disk.
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
        self.sources = store.hash_of_sources(self.modules)
        self._lock = threading.Lock()
        self._engine: Any = None

    def entry(self, *types: Argument) -> Callable[[Function], Function]:
        """Mark a function that Python calls, with the types of its arguments.

        It returns nothing or a whole number, and runs without the interpreter's lock.
        """

        def declare(function: Function) -> Function:
            entry = Entry(self, function, types)
            self.entries[function.__name__] = entry
            return cast(Function, entry)

        return declare

    @property
    def must_compile(self) -> bool:
        """Whether loading it compiles it first, which takes seconds."""
        try:
            return self._engine is None and store.read(self.file) is None
        except (ImportError, OSError):
            return False

    def load(self) -> None:
        """Load the machine code; compile it first where there is none.

        Raises
        ------
        KernelsUnavailableError
            Numba is not installed, or does not work with this Python or NumPy.
        """
        if self._engine is not None:
            return
        with self._lock:
            if self._engine is None:
                try:
                    self._engine = self._loaded()
                except ImportError as error:
                    raise KernelsUnavailableError(str(error)) from error
                except Exception as error:  # whatever a compiler that is set up oddly may raise
                    raise KernelsUnavailableError(f"they cannot be compiled: {error}") from error

    def _loaded(self) -> Any:
        for module in self.modules:
            importlib.import_module(module)
        path = self.file
        code = store.read(path)
        if code is None:
            _log.warning("Compiling parts of qpmask (%s); this takes up to a minute.", self.name)
            code = elsewhere.machine_code(self.name, self.modules, self.sources)
            code = code or self._compiled_here()
            store.write(path, code)
        engine = _engine_of(code)
        for entry in self.entries.values():
            entry.find(engine)
        return engine

    def _compiled_here(self) -> bytes:
        from qpmask.jit import build

        return build.machine_code(self.entries.values())

    @property
    def file(self) -> Path:
        """Where its machine code is, or will be; ImportError without Numba."""
        return store.place(self.name, self.sources)


class Entry:
    """A kernel that Python calls.

    Parameters
    ----------
    library : Library
        It belongs to this one.
    function : callable
        What is compiled.
    types : sequence of Argument
        Of its arguments.
    """

    def __init__(
        self, library: Library, function: Callable[..., Any], types: Sequence[Argument]
    ) -> None:
        self.function = function
        self.types = tuple(types)
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__
        self._library = library
        self._pixels = [i for i, t in enumerate(types) if t.pixel_types()]
        self._engine: Any = None
        self._addresses: dict[np.dtype[Any] | None, Any] = {}

    def variants(self) -> list[tuple[str, np.dtype[Any] | None]]:
        """Names in the machine code, and the type of pixels that each is for."""
        if not self._pixels:
            return [(self.__name__, None)]
        dtypes = self.types[self._pixels[0]].pixel_types()
        return [(f"{self.__name__}_{dtype.name}", dtype) for dtype in dtypes]

    def find(self, engine: Any) -> None:
        """Look its addresses up in machine code that was loaded."""
        self._engine = engine  # the code is gone with it
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
        words: list[int] = []
        for type_, argument in zip(self.types, arguments, strict=True):
            type_.put(argument, words)
        dtype = None
        if self._pixels:
            dtype = arguments[self._pixels[0]].dtype
            if any(arguments[i].dtype != dtype for i in self._pixels):
                raise TypeError("arrays of pixels differ in type")
        if not self._addresses:
            self._library.load()
        frame = (ctypes.c_int64 * (len(words) + 1))(*words)
        self._addresses[dtype](frame, frame)
        return frame[-1]


def _renew_locks() -> None:
    """In a child that was forked while a lock was held, nobody will give it back."""
    for library in LIBRARIES.values():
        library._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


def _engine_of(code: bytes) -> Any:
    """Machine code, loaded."""
    import llvmlite.binding as llvm

    from qpmask.jit.target import target_machine

    machine = target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)  # of an empty module
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine
