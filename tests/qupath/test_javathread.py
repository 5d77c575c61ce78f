"""Java calls on a thread of their own end, whatever happens. With a stand-in for the JVM."""

from __future__ import annotations

import sys
import threading
import types
from typing import Any

import pytest

from qpmask.engines.qupath.javathread import JavaThread


class _Threads:
    """Stands in for java.lang.Thread."""

    fails_at = ""
    interrupts = 0
    go_on = threading.Event()

    @classmethod
    def currentThread(cls) -> Any:
        cls.go_on.wait(5)
        if cls.fails_at == "currentThread":
            raise RuntimeError("no JVM")
        return cls

    @classmethod
    def interrupt(cls) -> None:
        cls.interrupts += 1

    @classmethod
    def detach(cls) -> None:
        if cls.fails_at == "detach":
            raise RuntimeError("no JVM any more")


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> type[_Threads]:
    def find(name: str) -> Any:
        if _Threads.fails_at == "JClass":
            raise RuntimeError("no JVM")
        return _Threads

    monkeypatch.setitem(sys.modules, "jpype", types.SimpleNamespace(JClass=find))
    _Threads.fails_at, _Threads.interrupts = "", 0
    _Threads.go_on.set()
    return _Threads


@pytest.mark.parametrize("fails_at", ["JClass", "currentThread", "detach"])
def test_a_thread_that_cannot_reach_java_ends_with_an_error(
    threads: type[_Threads], fails_at: str
) -> None:
    threads.fails_at = fails_at
    thread = JavaThread(lambda: None)
    thread.start()
    assert thread.wait(20)
    assert "no JVM" in str(thread.error)


def test_an_interrupt_before_java_knows_the_thread_is_not_lost(threads: type[_Threads]) -> None:
    threads.go_on.clear()
    called: list[bool] = []
    thread = JavaThread(lambda: called.append(True))
    thread.start()
    thread.interrupt()
    threads.go_on.set()
    assert thread.wait(20)
    assert called == [] and thread.error is None


def test_the_error_of_the_call_is_kept(threads: type[_Threads]) -> None:
    def call() -> None:
        raise KeyError("x")

    thread = JavaThread(call)
    thread.start()
    assert thread.wait(20) and isinstance(thread.error, KeyError)
    thread.interrupt()  # nothing to interrupt any more
