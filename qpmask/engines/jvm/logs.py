"""What QuPath logs, taken off the console: it goes to Python's logging, and errors are kept."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from typing import Any

from qpmask.engines.jvm.javaerrors import first_line

log = logging.getLogger("qpmask.qupath")


class LogCatcher:
    """Sees every message that QuPath logs; a Java ``Appender`` implemented in Python.

    Messages go on to Python's logger ``qpmask.qupath``. Errors are kept between :meth:`clear` and
    :meth:`errors`, since QuPath's writer logs what befalls a tile and goes on; those about servers
    that were abandoned are not.
    """

    def __init__(self) -> None:
        self._errors: list[str] = []
        self._abandoned: set[str] = set()
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Forget the errors seen so far."""
        with self._lock:
            self._errors.clear()

    def errors(self) -> list[str]:
        """Messages logged as errors by QuPath's image code since :meth:`clear`."""
        with self._lock:
            return list(self._errors)

    def abandon(self, server_path: str) -> None:
        """Keep no errors about an image server any more, whose writer was interrupted.

        QuPath's writer does not wait then for the tiles that its threads have begun. They are
        logged as lost later, when the next image may be at work.
        """
        with self._lock:
            self._abandoned.add(server_path)

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
                    if not any(path in text for path in self._abandoned):
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


def quiet_logs() -> None:
    """Take QuPath's messages off the console and hand them to Python's logging."""
    import jpype

    try:
        factory = jpype.JClass("org.slf4j.LoggerFactory").getILoggerFactory()
        root = factory.getLogger("ROOT")
        root.detachAndStopAllAppenders()
        set_level()
        proxy = jpype.JProxy("ch.qos.logback.core.Appender", inst=catcher)
        root.addAppender(proxy)
    except Exception as error:  # another logger than logback: its messages stay where they are
        log.debug("QuPath's log cannot be taken over: %s", first_line(error))


def set_level() -> None:
    """Keep QuPath from making messages that nobody reads.

    ``paquo.projects`` sets the level to DEBUG when it is imported. QuPath then logs something for
    each object that it reads, which took two thirds of that time.
    """
    import jpype

    with contextlib.suppress(Exception):  # another logger than logback
        root = jpype.JClass("org.slf4j.LoggerFactory").getILoggerFactory().getLogger("ROOT")
        root.setLevel(jpype.JClass("ch.qos.logback.classic.Level").INFO)
