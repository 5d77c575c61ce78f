"""The QuPath engine keeps the contract of all engines."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest
import tifffile
from engine_contract import EngineContract, plan_one

from qpmask.engines.base import Engine, Watch
from qpmask.engines.qupath import QuPathEngine, _ScratchRendering, pixel_rules
from qpmask.errors import EngineError, LostTilesError, UnsupportedByEngineError


@pytest.mark.qupath
class TestQuPathEngine(EngineContract):
    @pytest.fixture
    def engine(self, qupath: Any) -> Engine:
        return QuPathEngine()

    def test_progress_is_qupaths_own_count(self, engine: Engine, tmp_path: Path) -> None:
        seen: list[int] = []
        plan = plan_one("squares", tile_px=16)
        assert plan.job is not None
        with engine.render(plan.job, tmp_path / "s.ome.tif", Watch(on_tiles=seen.append)):
            pass
        assert seen[-1] == 4 * 3

    def test_more_labels_than_qupath_can_hold_are_refused(
        self, engine: Engine, tmp_path: Path
    ) -> None:
        from dataclasses import replace

        plan = plan_one("squares")
        assert plan.job is not None
        job = replace(plan.job, max_label=65536)
        with pytest.raises(UnsupportedByEngineError, match="65,536"):
            engine.render(job, tmp_path / "s.ome.tif", Watch())

    def test_a_tile_that_fails_in_qupath_is_an_error(
        self, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The writer itself logs the exception and goes on: the tile would read as background."""
        import jpype

        from qpmask.engines import qupath

        calls = itertools.count(1)

        class _Failing(qupath._CountingServer):
            def readRegion(self, *args: Any) -> Any:
                if next(calls) == 5:
                    raise jpype.JClass("java.io.IOException")("no such tile")
                return super().readRegion(*args)

        monkeypatch.setattr(qupath, "_CountingServer", _Failing)
        plan = plan_one("squares", tile_px=16)
        assert plan.job is not None
        with pytest.raises(LostTilesError, match=r"lost 1 tile.*no such tile"):
            engine.render(plan.job, tmp_path / "s.ome.tif", Watch())

    def test_java_that_runs_out_of_memory_is_an_error(
        self, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In QuPath's writer an Error of Java, unlike an Exception, is lost without a word."""
        import jpype

        from qpmask.engines import qupath
        from qpmask.errors import EngineOutOfMemoryError

        class _Greedy:
            def __init__(self, server: Any) -> None:
                self._server = server
                self._calls = itertools.count(1)

            def readRegion(self, *args: Any) -> Any:
                if next(self._calls) == 5:
                    raise jpype.JClass("java.lang.OutOfMemoryError")("Java heap space")
                return self._server.readRegion(*args)

            def __getattr__(self, name: str) -> Any:
                return getattr(self._server, name)

        real = qupath._CountingServer.__init__

        def init(self: Any, server: Any) -> None:
            real(self, _Greedy(server))

        monkeypatch.setattr(qupath._CountingServer, "__init__", init)
        plan = plan_one("squares", tile_px=16)
        assert plan.job is not None
        with pytest.raises(EngineOutOfMemoryError, match="--jvm-memory"):
            engine.render(plan.job, tmp_path / "s.ome.tif", Watch())

    def test_a_tile_that_is_not_in_qupaths_file_is_an_error(
        self, engine: Engine, tmp_path: Path
    ) -> None:
        plan = plan_one("squares", tile_px=16)
        assert plan.job is not None
        scratch, damaged = tmp_path / "s.ome.tif", tmp_path / "damaged.ome.tif"
        with engine.render(plan.job, scratch, Watch()):
            shutil.copy(scratch, damaged)
        with tifffile.TiffFile(damaged) as tif:
            assert tif.byteorder == ">" and tif.is_bigtiff
            at = tif.pages.first.tags["TileOffsets"].valueoffset + 8 * 7
        with damaged.open("r+b") as file:
            file.seek(at)
            file.write(bytes(8))
        with (
            _ScratchRendering(plan.job, damaged) as rendering,
            pytest.raises(LostTilesError, match="row 1"),
        ):
            list(rendering.tiles())
        assert not damaged.exists()

    def test_a_scratch_file_that_cannot_be_written(self, engine: Engine, tmp_path: Path) -> None:
        plan = plan_one("squares")
        assert plan.job is not None
        (tmp_path / "a file").touch()
        with pytest.raises(EngineError, match=r"squares\.ome\.tif"):
            engine.render(plan.job, tmp_path / "a file" / "s.ome.tif", Watch())


@pytest.mark.parametrize(
    ("version", "rules"),
    [("0.6.0", "qupath-0.6"), ("0.7.0-SNAPSHOT", "qupath-0.6"), ("0.5.1", "qupath-0.4"),
     ("0.4.4", "qupath-0.4"), ("1.0.0", "qupath-0.6"), ("odd", "qupath-odd")],
)  # fmt: skip
def test_versions_that_draw_the_same_pixels(version: str, rules: str) -> None:
    assert pixel_rules(version) == rules
