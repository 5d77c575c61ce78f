"""The QuPath engine keeps the contract of all engines."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from engine_contract import EngineContract, plan_one

from qpmask.engines.base import Engine, Watch
from qpmask.engines.qupath import QuPathEngine, bands, countingserver, pixel_rules
from qpmask.engines.qupath.rendering import QuPathRendering
from qpmask.errors import (
    EngineError,
    EngineOutOfMemoryError,
    Interrupted,
    LostTilesError,
    UnsupportedByEngineError,
)
from qpmask.ometiff.layout import single_tiles
from qpmask.plan import ImagePlan


@pytest.mark.qupath
class TestQuPathEngine(EngineContract):
    @pytest.fixture
    def engine(self, qupath: Any) -> Engine:
        return QuPathEngine()

    def test_progress_is_qupaths_own_count(self, engine: Engine, tmp_path: Path) -> None:
        seen: list[int] = []
        drawn(engine, plan_one("squares", tile_px=16), tmp_path, Watch(on_tiles=seen.append))
        assert seen[-1] == 4 * 3
        assert seen == sorted(seen)

    @pytest.mark.parametrize("rows", [1, 2, 3])
    def test_bands_make_no_difference(
        self, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
    ) -> None:
        plan = plan_one("squares", tile_px=16)
        whole = drawn(engine, plan, tmp_path)
        monkeypatch.setattr(bands, "_BAND_BYTES", rows * 16 * plan.job.size.width_px)
        seen: list[int] = []
        cut = drawn(engine, plan, tmp_path, Watch(on_tiles=seen.append))
        for a, b in zip(whole, cut, strict=True):
            assert np.array_equal(a, b)
        assert seen[-1] == 4 * 3 and seen == sorted(seen)
        assert list(tmp_path.iterdir()) == []

    def test_stopping_between_bands_leaves_no_file(
        self, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plan = plan_one("squares", tile_px=16)
        monkeypatch.setattr(bands, "_BAND_BYTES", 1)
        with engine.render(plan.job, tmp_path / "s.ome.tif", Watch()) as rendering:
            next(iter(rendering.tiles()))
            assert list(tmp_path.iterdir())
        assert list(tmp_path.iterdir()) == []
        watch = Watch()
        with (
            engine.render(plan.job, tmp_path / "s.ome.tif", watch) as rendering,
            pytest.raises(Interrupted),
        ):
            for _ in rendering.tiles():
                watch.stop.set()
        assert list(tmp_path.iterdir()) == []

    def test_tiles_of_an_image_that_was_left_are_not_those_that_the_next_one_lost(
        self, qupath: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
    ) -> None:
        """An interrupted writer does not wait for its threads: they log what they lose later."""
        servers = itertools.count(1)
        deadline = time.monotonic() + 60
        begun, go = threading.Event(), threading.Event()

        def is_logged() -> bool:
            return any("a late tile" in record.getMessage() for record in caplog.records)

        class _Server:
            def __init__(self, server: Any) -> None:
                self._server = server
                self._number = next(servers)
                self._calls = itertools.count(1)

            def readRegion(self, *args: Any) -> Any:
                import jpype

                if self._number == 2:
                    go.set()
                    while not is_logged() and time.monotonic() < deadline:
                        time.sleep(0.01)
                elif next(self._calls) > 5:  # in the threads of the second band
                    begun.set()
                    go.wait(60)
                    raise jpype.JClass("java.io.IOException")("a late tile")
                return self._server.readRegion(*args)

            def __getattr__(self, name: str) -> Any:
                return getattr(self._server, name)

        real = countingserver.CountingServer.__init__

        def init(self: Any, server: Any) -> None:
            import jpype

            inner = _Server(server)
            real(self, jpype.JProxy("qupath.lib.images.servers.ImageServer", inst=inner))

        monkeypatch.setattr(countingserver.CountingServer, "__init__", init)
        monkeypatch.setattr(bands, "_BAND_BYTES", 1)
        engine, plan = QuPathEngine(threads=2), plan_one("squares", tile_px=16)
        with engine.render(plan.job, tmp_path / "a.ome.tif", Watch()) as rendering:
            next(iter(rendering.tiles()))
            assert begun.wait(60)
        assert not is_logged()
        drawn(engine, plan, tmp_path)
        assert is_logged()

    def test_more_labels_than_qupath_can_hold_are_refused(
        self, engine: Engine, tmp_path: Path
    ) -> None:
        plan = plan_one("squares")
        assert plan.job is not None
        job = plan.job._replace(max_label=65536)
        with pytest.raises(UnsupportedByEngineError, match="65,536") as caught:
            engine.render(job, tmp_path / "s.ome.tif", Watch())
        assert caught.value.hint is not None and "--engine native" in caught.value.hint

    @pytest.fixture
    def failing(self, qupath: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
        """Makes the fifth tile that QuPath draws fail with a Java throwable."""

        class _Failing:
            def __init__(self, server: Any, error: str) -> None:
                self._server = server
                self._error = error
                self._calls = itertools.count(1)

            def readRegion(self, *args: Any) -> Any:
                import jpype

                if next(self._calls) == 5:
                    raise jpype.JClass(self._error)("no such tile")
                return self._server.readRegion(*args)

            def __getattr__(self, name: str) -> Any:
                return getattr(self._server, name)

        def fail(error: str) -> None:
            import jpype

            real = countingserver.CountingServer.__init__

            def init(self: Any, server: Any) -> None:
                inner = _Failing(server, error)
                real(self, jpype.JProxy("qupath.lib.images.servers.ImageServer", inst=inner))

            monkeypatch.setattr(countingserver.CountingServer, "__init__", init)

        return fail

    def test_a_tile_that_fails_in_qupath_is_an_error(
        self, engine: Engine, tmp_path: Path, failing: Callable[[str], None]
    ) -> None:
        """The writer itself logs the exception and goes on: the tile would read as background."""
        failing("java.io.IOException")
        with pytest.raises(LostTilesError, match=r"lost 1 tile.*no such tile"):
            drawn(engine, plan_one("squares", tile_px=16), tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_java_that_runs_out_of_memory_is_an_error(
        self, engine: Engine, tmp_path: Path, failing: Callable[[str], None]
    ) -> None:
        """In QuPath's writer an Error of Java, unlike an Exception, is lost without a word."""
        failing("java.lang.OutOfMemoryError")
        with pytest.raises(EngineOutOfMemoryError, match="--jvm-memory"):
            drawn(engine, plan_one("squares", tile_px=16), tmp_path)

    def test_a_tile_that_is_not_in_qupaths_file_is_an_error(
        self,
        engine: Engine,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        real = QuPathRendering._finish

        def finish_and_damage(self: Any) -> None:
            real(self)
            with tifffile.TiffFile(tmp_path / "s.ome.tif") as tif:
                assert tif.byteorder == ">" and tif.is_bigtiff
                at = tif.pages.first.tags["TileOffsets"].valueoffset + 8 * 7
            with (tmp_path / "s.ome.tif").open("r+b") as file:
                file.seek(at)
                file.write(bytes(8))

        monkeypatch.setattr(QuPathRendering, "_finish", finish_and_damage)
        with pytest.raises(LostTilesError, match="row 1"):
            drawn(engine, plan_one("squares", tile_px=16), tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_a_scratch_file_that_cannot_be_written(self, engine: Engine, tmp_path: Path) -> None:
        (tmp_path / "a file").touch()
        with pytest.raises(EngineError, match=r"squares\.ome\.tif"):
            drawn(engine, plan_one("squares"), tmp_path / "a file")


def drawn(engine: Engine, plan: ImagePlan, folder: Path, watch: Watch | None = None) -> list[Any]:
    """All tiles of a job, one by one."""
    assert plan.job is not None
    with engine.render(plan.job, folder / "s.ome.tif", watch or Watch()) as rendering:
        tiles = single_tiles(rendering.tiles())
        return list(tiles)


@pytest.mark.qupath
class TestCountingServer:
    def test_it_answers_as_the_server_does(self, qupath: Any) -> None:
        import jpype

        QuPathEngine().start()

        class _Server:
            def getPath(self) -> str:
                return "a path"

            def nChannels(self) -> int:
                return 7

            def getDownsampleForResolution(self, level: int) -> float:
                return 2.0**level

            def readRegion(self, *args: Any) -> Any:
                raise jpype.JClass("java.io.IOException")("gone")

        inner = jpype.JProxy("qupath.lib.images.servers.ImageServer", inst=_Server())
        server = countingserver.CountingServer(inner)
        interface = jpype.JClass("qupath.lib.images.servers.ImageServer")
        proxy = jpype.JObject(server.proxy, interface)
        assert str(proxy.getPath()) == "a path"
        assert int(proxy.nChannels()) == 7
        assert float(proxy.getDownsampleForResolution(3)) == 8.0
        assert server.n_begun == 0 and server.failure is None
        for count in (1, 2):
            with pytest.raises(jpype.JClass("java.io.IOException"), match="gone"):
                proxy.readRegion(1.0, 0, 0, 4, 4)
            assert server.n_begun == count
        assert "gone" in str(server.failure)
        proxy.hashCode(), proxy.toString()  # of the proxied server


@pytest.mark.parametrize(
    ("version", "rules"),
    [("0.6.0", "qupath-0.6"), ("0.7.0-SNAPSHOT", "qupath-0.6"), ("0.5.1", "qupath-0.4"),
     ("0.4.4", "qupath-0.4"), ("1.0.0", "qupath-0.6"), ("odd", "qupath-odd")],
)  # fmt: skip
def test_versions_that_draw_the_same_pixels(version: str, rules: str) -> None:
    assert pixel_rules(version) == rules
