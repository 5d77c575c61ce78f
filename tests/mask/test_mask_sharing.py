"""One mask in many hands: threads, processes, Dask."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mask_files import blobs, write

from qpmask.errors import MaskError
from qpmask.mask import open_mask

BASE = blobs(300, 500, n=40)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sharing") / "m.ome.tif"
    write(path, BASE, tile_px=32)
    return path


def read_in_worker(job: tuple[Any, tuple[slice, slice]]) -> np.ndarray:
    source, key = job
    found: np.ndarray = source[key]
    return found


KEYS = [np.s_[y : y + 70, x : x + 90] for y in range(0, 300, 50) for x in range(0, 500, 60)]


@pytest.mark.parametrize("cache_bytes", [0, 5000, 2**20])
def test_threads_share_a_mask(path: Path, cache_bytes: int) -> None:
    with open_mask(path, cache_bytes=cache_bytes) as mask, ThreadPoolExecutor(8) as pool:
        jobs = [(key, pool.submit(mask.__getitem__, key)) for key in KEYS * 5]
        counts = [pool.submit(mask.counts) for _ in range(3)]
        assert all(np.array_equal(job.result(), BASE[key]) for key, job in jobs)
        assert all(sum(c.result().values()) == BASE.size for c in counts)
        assert mask._file._cache.n_bytes <= cache_bytes


def test_pickling_opens_the_file_again(path: Path) -> None:
    with open_mask(path, cache_bytes=12345) as mask:
        mask.areas()
        packed = pickle.dumps(mask)
        assert len(packed) < 1000  # no tiles
        again = pickle.loads(packed)
        assert again._file is not mask._file and again._file.cache_bytes == 12345
        binary = pickle.loads(pickle.dumps(mask.binary("Stroma")))
    with again, binary.mask:  # the first one is closed by now
        assert np.array_equal(again[:], BASE)
        assert np.array_equal(binary[:], BASE == 2)


def test_a_pickle_holds_its_plane_and_an_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planes = np.stack([BASE, BASE[::-1]])
    monkeypatch.chdir(tmp_path)
    write(Path("x.tif"), planes, size_c=2)
    with open_mask("x.tif", plane=1) as mask:
        packed = pickle.dumps(mask)
    monkeypatch.chdir(tmp_path.parent)
    with pickle.loads(packed) as again:
        assert np.array_equal(again[:], planes[1])


def test_a_pickle_of_a_file_that_was_written_again(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    write(path, BASE)
    with open_mask(path) as mask:
        packed = pickle.dumps(mask)
    n_bytes = path.stat().st_size
    write(path, BASE[:, ::-1])
    path.write_bytes(path.read_bytes().ljust(n_bytes, b"\0")[:n_bytes])  # of the same size, too
    with pytest.raises(MaskError, match=r"another file.*written again"):
        pickle.loads(packed)
    write(path, BASE)
    pickle.loads(packed).close()
    path.unlink()
    with pytest.raises(MaskError, match="No such file"):
        pickle.loads(packed)


METHODS = [m for m in multiprocessing.get_all_start_methods() if m != "forkserver"]


@pytest.mark.parametrize("method", METHODS)
def test_worker_processes(path: Path, method: str) -> None:
    with open_mask(path) as mask, warnings.catch_warnings():
        # Later Pythons warn of any fork of a process with threads, which pytest's may be.
        warnings.simplefilter("ignore", DeprecationWarning)
        mask[:150], mask[:150]  # something in the cache
        sources = (mask, mask.binary(1, 3))
        bases = (BASE, np.isin(BASE, [1, 3]))
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            for source, base in zip(sources, bases, strict=True):
                found = list(pool.map(read_in_worker, [(source, key) for key in KEYS[:6]]))
                for key, pixels in zip(KEYS[:6], found, strict=True):
                    assert np.array_equal(pixels, base[key])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_of_a_fork_goes_on_reading(path: Path) -> None:
    """Also if a thread held the cache's lock in that moment, which nobody lets go in the child."""
    with open_mask(path) as mask:
        assert np.array_equal(mask[:], BASE)
        held, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            with mask._file._cache._lock:
                held.set()
                go_on.wait(60)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(60)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                child = os.fork()
            if child == 0:
                code = 1
                try:
                    # Without the renewal this would hang: better end with an error than never.
                    if mask._file._cache._lock.acquire(timeout=20):
                        mask._file._cache._lock.release()
                        code = 0 if np.array_equal(mask[:], BASE) else 2
                finally:
                    os._exit(code)
            _, status = os.waitpid(child, 0)
        finally:
            go_on.set()
            thread.join()
        assert os.waitstatus_to_exitcode(status) == 0
        assert np.array_equal(mask[:], BASE)


# --- Dask -------------------------------------------------------------------------------------


@pytest.fixture
def da() -> Any:
    return pytest.importorskip("dask.array", reason="Dask is not installed")


def test_dask_arrays(path: Path, da: Any) -> None:
    with open_mask(path) as mask:
        array = da.from_array(mask, chunks=(128, 96))
        assert (array.shape, array.dtype) == (BASE.shape, BASE.dtype)
        assert np.array_equal(array.compute(), BASE)
        assert np.array_equal(array[7:250:3, ::-1].compute(), BASE[7:250:3, ::-1])
        assert int((array == 2).sum().compute()) == int((BASE == 2).sum())
        binary = da.from_array(mask.binary("Stroma"), chunks=100)
        assert binary.dtype == bool
        assert int(binary.sum().compute(scheduler="synchronous")) == int((BASE == 2).sum())


def test_dask_knows_masks_that_are_the_same(path: Path, tmp_path: Path, da: Any) -> None:
    from dask.base import tokenize

    write(tmp_path / "x.tif", BASE)
    with open_mask(path) as a, open_mask(path) as b, open_mask(tmp_path / "x.tif") as c:
        assert tokenize(a) == tokenize(b)
        assert tokenize(a) != tokenize(c)
        assert tokenize(a.binary(1)) == tokenize(b.binary(1))
        assert len({tokenize(a), tokenize(a.binary(1)), tokenize(a.binary(1, 2))}) == 3
        assert da.from_array(a, chunks=64).name == da.from_array(b, chunks=64).name


def test_dask_in_processes(path: Path, da: Any) -> None:
    if sys.platform == "win32":
        pytest.skip("starting Dask's processes takes minutes there")
    with open_mask(path) as mask:
        array = da.from_array(mask, chunks=(150, 250))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = (array > 0).sum().compute(scheduler="processes", num_workers=2)
        assert int(found) == int((BASE > 0).sum())


def test_a_mask_is_no_dask(path: Path) -> None:
    """Opening and reading needs neither Dask nor Zarr."""
    import subprocess

    code = (
        "import sys, qpmask\n"
        "with qpmask.open_mask(sys.argv[1]) as m:\n"
        "    m[:], m.areas(), m.binary('Stroma')[0], m.thumbnail(9)\n"
        "print({n.partition('.')[0] for n in sys.modules} & "
        "{'dask', 'zarr', 'numba', 'click', 'rich', 'jpype', 'paquo'})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
