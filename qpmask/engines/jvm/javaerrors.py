"""Java's exceptions as errors of ours, which say what was being done and what to do."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from qpmask.errors import EngineError, EngineOutOfMemoryError

log = logging.getLogger("qpmask.qupath")


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


def first_line(error: BaseException) -> str:
    """The first line of what an error says, without its full stop."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
