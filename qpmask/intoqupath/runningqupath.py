"""Whether QuPath runs on this machine, as far as that can be told."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"qupath", re.IGNORECASE)
_MAIN_CLASSES: Final = ("qupath.QuPath", "qupath.lib.gui.QuPathGUI", "qupath.lib.gui.QuPathApp")


def running_qupath() -> tuple[str, ...] | None:
    """Processes of QuPath on this machine, in words; None where that cannot be told."""
    import psutil

    found = []
    try:
        for process in psutil.process_iter(["pid", "name", "cmdline"]):
            name, command = process.info["name"] or "", process.info["cmdline"] or []
            if _NAME.match(name) or any(part in _MAIN_CLASSES for part in command):
                found.append(f"{name} (process {process.info['pid']})")
    except (psutil.Error, OSError):
        return None
    return tuple(found)
