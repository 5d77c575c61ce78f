"""Kernels to bitcode: the one place that imports Numba.

``python -m qpmask.jit.build`` makes what the package brings; run it after a change of a kernel,
with the oldest llvmlite that is supported (pip install numba==0.61.2), since no LLVM reads the
bitcode of a newer one.

``error_model="numpy"`` drops Python's checks for division by zero; ``fastmath`` stays off, since
it would let the compiler fuse a multiplication and an addition into one rounding, and QuPath's
pixels depend on each rounding.
"""

from __future__ import annotations

import importlib
import json
import signal
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
from numba import carray
from numba.extending import intrinsic
from numba.np import arrayobj

from qpmask.jit.arguments import Argument, Record
from qpmask.jit.library import LIBRARIES, Entry, Library, is_kernel, write_shipped
from qpmask.jit.machinecode import target_machine

# What all processors of a family have, and no vectors wider than ARM's.
numba.config.CPU_NAME, numba.config.CPU_FEATURES = "generic", ""

SHIPPED = (
    "qpmask.collection.runkernels",
    "qpmask.engines.native.library",
    "qpmask.geojson.library",
    "qpmask.ometiff.kernels.library",
    "qpmask.polygons.library",
    "qpmask.qpdata.kernel.library",
)
"""Modules of the libraries that the package brings bitcode of."""

_OPTIONS = {"nogil": True, "error_model": "numpy"}


def _index_from_start(
    context: Any, builder: Any, index_type: Any, index: Any, size: Any
) -> Any:  # as Numba calls it
    """An index of an array as it is: no kernel counts from the end, which Numba would look for."""
    return context.cast(builder, index, index_type, numba.types.intp)


arrayobj.fix_integer_index = _index_from_start  # kernels take a sixth less time


def bitcode_of(entries: Iterable[Entry]) -> bytes:
    """Compile kernels to bitcode that needs nothing but the C library.

    Raises
    ------
    RuntimeError
        A kernel uses what would need Numba at run time: it allocates an array, or may raise.
    """
    source = _Source()
    names: set[str] = set()
    whole = llvm.parse_assembly("")
    for entry in entries:
        for name, dtype in entry.variants():
            compiled = numba.cfunc(
                numba.void(numba.types.CPointer(numba.int64), numba.types.CPointer(numba.float64)),
                **_OPTIONS,
            )(_wrapper(entry, source, dtype.name if dtype else ""))
            part = llvm.parse_assembly(compiled.inspect_llvm())
            part.get_function(compiled.native_name).name = name
            names.add(name)
            whole.triple, whole.data_layout = part.triple, part.data_layout
            whole.link_in(part)
    _optimize(whole, names)
    return bytes(whole.as_bitcode())


def _optimize(module: Any, keep: set[str]) -> None:
    """Inline across kernels and drop what no entry needs, all that Numba has for errors too."""
    for function in module.functions:
        if not function.is_declaration:
            function.linkage = "external" if function.name in keep else "internal"
    for variable in module.global_variables:
        if not variable.is_declaration:
            variable.linkage = "internal"
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    builder = llvm.create_pass_builder(target_machine(plain=True), tuning)
    builder.getModulePassManager().run(module, builder)
    missing = [
        item.name
        for item in (*module.functions, *module.global_variables)
        if item.is_declaration and not item.name.startswith("llvm.")
        and item.name not in ("memcpy", "memset", "memmove", "floor", "ceil", "floorf", "ceilf")
    ]  # fmt: skip
    if missing:
        raise RuntimeError(f"kernels need what is not in them: {', '.join(missing)}")


def _wrapper(entry: Entry, source: _Source, pixels: str) -> Callable[..., None]:
    """Make the function that unpacks the words of a call and calls the kernel."""
    at, parts = 0, []
    for argument in entry.types:
        part, at = argument.source(at, pixels)
        parts.append(part)
    call = f"kernel({', '.join(parts)})"
    returns = entry.function.__annotations__.get("return") != "None"
    lines = [
        "def wrapper(words_at, floats_at):",
        f"    words, floats = carray(words_at, {at + 1}), carray(floats_at, {at + 1})",
        f"    words[{at}] = {call}" if returns else f"    {call}",
    ]
    scope: dict[str, Any] = {"carray": carray, "pointer": _pointer, "np": np}
    scope["kernel"] = source.compiled(entry.function)
    for name in ("uint8", "uint16", "uint32", "uint64", "int32", "int64", "float32", "float64"):
        scope[name] = getattr(np, name)
    for argument in entry.types:
        _add_records(argument, scope)
    exec("\n".join(lines), scope)
    wrapper: Callable[..., None] = scope["wrapper"]
    return wrapper


def _add_records(argument: Argument, scope: dict[str, Any]) -> None:
    if isinstance(argument, Record):
        scope[argument.cls.__name__] = argument.cls
        for field in argument.fields:
            _add_records(field, scope)


class _Source:
    """Functions for Numba: copies whose global names stand for compiled kernels.

    The functions themselves stay as they are: plain Python, which Numba cannot call.
    """

    def __init__(self) -> None:
        self._functions: dict[Callable[..., Any], Any] = {}
        self._modules: dict[int, dict[str, Any]] = {}

    def compiled(self, function: Any) -> Any:
        """The function as Numba's; it is compiled when something that calls it is."""
        if isinstance(function, Entry):
            function = function.function
        if function not in self._functions:
            copy = types.FunctionType(
                function.__code__, self._names(function.__globals__), function.__name__
            )
            copy.__module__ = function.__module__
            self._functions[function] = numba.njit(**_OPTIONS)(copy)
        return self._functions[function]

    def _names(self, names: dict[str, Any]) -> dict[str, Any]:
        """What a module's global names stand for."""
        if id(names) not in self._modules:
            mine: dict[str, Any] = {}
            self._modules[id(names)] = mine
            for name, value in names.items():
                if is_kernel(value):
                    mine[name] = self.compiled(value)
                elif isinstance(value, types.ModuleType) and _has_kernels(value):
                    mine[name] = types.ModuleType(value.__name__)
                    vars(mine[name]).update(self._names(vars(value)))
                else:
                    mine[name] = value
        return self._modules[id(names)]


def _has_kernels(module: types.ModuleType) -> bool:
    return module.__name__.startswith("qpmask.") and any(map(is_kernel, vars(module).values()))


@intrinsic  # type: ignore[untyped-decorator]
def _pointer(context: Any, address: Any, dtype: Any) -> Any:
    """An address as a pointer to numbers of a type."""
    to = numba.types.CPointer(dtype.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(to))

    return to(numba.int64, dtype), generate


def _library(name: str, modules: Iterable[str]) -> Library:
    for module in modules:
        importlib.import_module(module)
    return LIBRARIES[name]


def main() -> None:
    """Make the bitcode of all libraries for the package, or of one that is asked for to stdout."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if len(sys.argv) > 1:
        name, sources, *modules = json.loads(sys.argv[1])
        library = _library(name, modules)
        if library.sources != sources:
            sys.exit("the kernels were changed meanwhile; start again")
        sys.stdout.buffer.write(bitcode_of(library.entries.values()))
        return
    for module in SHIPPED:
        library = importlib.import_module(module).LIBRARY
        _library(library.name, library.modules)
        write_shipped(library, bitcode_of(library.entries.values()))
        sys.stderr.write(f"{library.shipped}: {library.shipped.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
