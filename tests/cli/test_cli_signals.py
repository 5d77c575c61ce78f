"""What Ctrl-C does in a long command."""

from __future__ import annotations

import signal

import pytest

from qpmask.cli.signals import stop_signals


def test_an_interrupt_before_anything_is_written_ends_a_command_where_it_is() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="before anything was written"), stop_signals():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_that_is_dropped_on_its_way_still_stops_the_run() -> None:
    """As NumPy does with whatever is raised while it looks what an object can do."""
    with stop_signals() as (stop, begun):
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        begun.set()
        assert stop.is_set()


def test_the_second_interrupt_of_a_run_ends_it_at_once() -> None:
    with stop_signals() as (stop, begun):
        begun.set()
        signal.raise_signal(signal.SIGINT)
        assert stop.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
