"""What the extra ``view`` brings, and what people read who lack it."""

from __future__ import annotations

from importlib.util import find_spec

from qpmask.errors import MissingExtraError

INSTALL_HINT = 'Install it with: pip install "qpmask[view]"'


def require_view() -> None:
    """Make sure that pictures can be drawn, before anything is read.

    Raises
    ------
    MissingExtraError
        matplotlib or Pillow is not installed.
    """
    for module, name in (("matplotlib", "matplotlib"), ("PIL", "Pillow")):
        if find_spec(module) is None:
            raise MissingExtraError(
                f"Looking at masks needs {name}, which is not installed.", hint=INSTALL_HINT
            )
