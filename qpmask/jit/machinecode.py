"""Bitcode to machine code of this processor, kept on disk: one file for a library.

The folder is ``QPMASK_CACHE_DIR``, or the user's cache folder for qpmask; whoever may write to it
may run code as whoever reads it, so it should be nobody else's. A file is written whole or not at
all, and read only if its checksum holds: a damaged one is made again.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import threading
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)


def place(name: str, sources: str) -> Path:
    """Where the code of a library is, or belongs; ``sources`` is their hash."""
    import platformdirs

    chosen = os.environ.get("QPMASK_CACHE_DIR")
    folder = Path(chosen) if chosen else platformdirs.user_cache_path("qpmask", appauthor=False)
    return folder / f"{name}-{_key(sources)}.kernels"


@functools.cache
def _key(sources: str) -> str:
    """Of everything that the code depends on."""
    import llvmlite
    import llvmlite.binding as llvm

    digest = hashlib.sha256(sources.encode())
    for item in (llvmlite.__version__, llvm.get_process_triple(), *_processor()):
        digest.update(f"\n{item}".encode())
    return digest.hexdigest()[:20]


@functools.cache
def _processor() -> tuple[str, str]:
    """Name and features of this processor, as LLVM has them."""
    import llvmlite.binding as llvm

    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def read(path: Path) -> bytes | None:
    """Machine code; None if there is none, or none that is whole."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    digest, code = data[:32], data[32:]
    return code if hashlib.sha256(code).digest() == digest else None


def write(path: Path, code: bytes) -> None:
    """Keep machine code; if there is no place for it, say so and go on."""
    import tempfile  # late: once on a machine

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(code).digest() + code)
            Path(scratch).replace(path)
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise
    except OSError as error:
        _log.error(
            "What was compiled cannot be kept in %s (%s), so each run will compile it anew. "
            "QPMASK_CACHE_DIR names another folder.",
            path.parent,
            error.strerror or error,
        )


def machine_code(bitcode: bytes) -> bytes:
    """Machine code of bitcode, as an object file; it takes a second or two.

    LLVM works in a thread, so that Ctrl-C is heard meanwhile.

    Raises
    ------
    RuntimeError
        This llvmlite cannot read the bitcode.
    """
    done: list[bytes | BaseException] = []

    def work() -> None:
        try:
            done.append(_object_of(bitcode))
        except BaseException as error:
            done.append(error)

    thread = threading.Thread(target=work, name="qpmask-machine-code", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.05)
    if isinstance(done[0], BaseException):
        raise done[0]
    return done[0]


def _object_of(bitcode: bytes) -> bytes:
    import llvmlite.binding as llvm

    machine = target_machine()
    module = llvm.parse_bitcode(bitcode)
    module.triple, module.data_layout = llvm.get_process_triple(), str(machine.target_data)
    return bytes(machine.emit_object(module))


def load(code: bytes) -> Any:
    """Machine code, loaded: what its functions' addresses are asked of, and must outlive them."""
    import llvmlite.binding as llvm

    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())  # of nothing
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


def target_machine(*, plain: bool = False) -> Any:
    """A target machine of LLVM, with the settings that code for immediate use needs.

    ``plain`` is one of the family of this processor that has only what all of them have.
    """
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    cpu, features = ("", "") if plain else _processor()
    return target.create_target_machine(
        cpu=cpu,
        features=features,
        opt=2,
        reloc="static" if target.name.startswith("x86") else "default",
        codemodel="jitdefault",
        jit=True,
    )
