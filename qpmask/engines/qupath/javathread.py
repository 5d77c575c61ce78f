"""A Java call on a thread of its own."""

from __future__ import annotations

import threading
from typing import Any


class JavaThread(threading.Thread):
    """Runs a Java call beside the main thread, which stays free for Ctrl-C."""

    def __init__(self, call: Any) -> None:
        super().__init__(name="qpmask-java", daemon=True)
        self._call = call
        self._java_thread: Any = None
        self._is_interrupted = False
        self._done = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        """Make the call; what it raises is in ``error``."""
        try:
            import jpype

            java_threads = jpype.JClass("java.lang.Thread")
            try:
                self._java_thread = java_threads.currentThread()
                if not self._is_interrupted:
                    self._call()
            finally:
                self._call = self._java_thread = None
                # A thread that stays attached keeps its buffers in the JVM, 1 MB an image.
                java_threads.detach()
        except BaseException as error:
            self.error = error
        finally:
            self._done.set()

    def wait(self, seconds: float) -> bool:
        """Whether the call has ended, after waiting for it this long at most."""
        return self._done.wait(seconds)

    def interrupt(self) -> None:
        """Ask Java to stop; the writer looks at it between two tiles. Again, if it goes on."""
        self._is_interrupted = True
        thread = self._java_thread
        if thread is not None:
            thread.interrupt()
