"""The processor that kernels are compiled for: this one."""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm


def target_machine() -> Any:
    """A target machine of LLVM, with the settings that code for immediate use needs."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        reloc="static" if target.name.startswith("x86") else "default",
        codemodel="jitdefault",
        jit=True,
    )
