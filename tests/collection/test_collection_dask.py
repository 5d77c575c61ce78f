"""Masks of collections under Dask, while something happens to the file."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from collection import pool_calls

from qpmask import MaskCollection
from qpmask.errors import MaskError, OptionsError

da = pytest.importorskip("dask.array")
SHAPES = {"plane": (2100, 300), "volume": (90, 80, 70)}


def mask_of(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) > 0.5


def written(path: Path, shape: tuple[int, ...], seed: int = 0) -> Path:
    with MaskCollection(path, "w", shape=shape) as masks:
        masks.add("Tumor", mask_of(shape, seed), group="all")
        masks.add("Tissue", ~mask_of(shape, seed + 1), group="all")
        masks.add("cells", mask_of(shape, seed + 2) * np.uint16(700))
    return path


@pytest.mark.parametrize("suffix", [".ozx", ".zarr"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_views_are_the_same_in_another_process(
    shape: tuple[int, ...], suffix: str, tmp_path: Path
) -> None:
    path = written(tmp_path / f"c{suffix}", shape)
    with MaskCollection(path) as masks:
        views = {
            "one": masks["Tumor"], "integers": masks["cells"], "several": masks.binary("all"),
            "as boolean": masks.binary(["cells"]), "all": masks.flat,
        }  # fmt: skip
        if len(shape) == 3:
            views["slice"] = masks["cells"].slice(7)  # type: ignore[union-attr]
        for what, view in views.items():
            again = pickle.loads(pickle.dumps(view))
            assert type(again) is type(view) and repr(again) == repr(view), what
            assert again.dtype == view.dtype
            assert np.array_equal(again[...], view[...]), what
            assert again.__dask_tokenize__() == view.__dask_tokenize__()
    with MaskCollection(path, "a") as masks:
        assert masks["Tumor"][...].any()
        with pytest.raises(OptionsError, match="being written"):
            pickle.dumps(masks["Tumor"])


def cut(path: Path) -> None:
    whole = [p for p in path.rglob("*") if p.is_file() and p.suffix != ".json"]
    for file in whole or [path]:
        os.truncate(file, file.stat().st_size // 30)


def gone(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def replaced(path: Path) -> None:
    other = written(path.with_name(f"other{path.suffix}"), SHAPES["plane"], 40)
    gone(path)
    other.rename(path)


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), initializer=pool_calls.end_if_stuck
    ) as processes:
        yield processes


@pytest.mark.parametrize("suffix", [".ozx", ".zarr"])
@pytest.mark.parametrize("happens", [cut, gone, replaced])
@pytest.mark.parametrize("how", ["threads", "processes"])
def test_a_file_that_changes_under_its_readers_is_an_error_that_names_the_mask(
    how: str,
    happens: Callable[[Path], None],
    suffix: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    shape = SHAPES["plane"]
    path = written(tmp_path / f"c{suffix}", shape)
    options: dict[str, Any] = {"scheduler": how}
    if how == "processes":
        options["pool"] = request.getfixturevalue("pool")
    with MaskCollection(path, cache_bytes=0) as masks:
        lazy = da.from_array(masks["Tumor"], chunks=700)
        n = int(np.count_nonzero(mask_of(shape, 0)))
        assert int(lazy.sum().compute(**options)) == n
        happens(path)
        if suffix == ".ozx" and how == "threads" and happens is not cut:
            assert int(lazy.sum().compute(**options)) == n  # the open file is what it was
        else:
            with pytest.raises(MaskError, match=rf"'Tumor'.*c{suffix}"):
                lazy.sum().compute(**options)
