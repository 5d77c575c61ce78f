from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qpmask.ometiff import tilecache
from qpmask.ometiff.tilecache import TileCache


def tile(n_bytes: int) -> np.ndarray:
    return np.zeros(n_bytes, np.uint8)


def test_what_was_not_used_for_longest_goes_first() -> None:
    cache = TileCache(300)
    tiles = {key: tile(100) for key in "abcd"}
    for key in "abc":
        cache.put(key, tiles[key])
    assert cache.get("a") is tiles["a"]
    cache.put("d", tiles["d"])
    assert cache.get("b") is None
    assert all(cache.get(key) is tiles[key] for key in "acd")
    assert cache.n_bytes == 300
    cache.clear()
    assert cache.get("a") is None and cache.n_bytes == 0


def test_too_large_and_nothing_at_all() -> None:
    cache = TileCache(99)
    cache.put("a", tile(100))
    assert cache.get("a") is None
    nothing = TileCache(0)
    nothing.put("a", tile(1))
    assert nothing.get("a") is None and nothing.n_bytes == 0


def test_a_tile_that_is_offered_is_kept_the_second_time() -> None:
    cache = TileCache(1000)
    for time in range(3):
        cache.offer("a", tile(10))
        assert (cache.get("a") is None) == (time == 0)
    cache.clear()
    cache.offer("a", tile(10))
    assert cache.get("a") is None
    for number in range(tilecache._MAX_OFFERED):
        cache.offer(number, tile(10))
    cache.offer("a", tile(10))
    assert cache.get("a") is None  # forgotten meanwhile
    assert len(cache._offered) == tilecache._MAX_OFFERED


def test_a_view_counts_as_what_it_keeps_alive() -> None:
    cache = TileCache(1000)
    cache.put("a", np.zeros((100, 9), np.uint8)[:2, :2])
    assert cache.n_bytes == 900


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 60))), st.integers(0, 150))
def test_never_more_than_allowed(puts: list[tuple[int, int]], max_bytes: int) -> None:
    cache = TileCache(max_bytes)
    last: dict[int, np.ndarray] = {}
    for key, n_bytes in puts:
        fresh = tile(n_bytes)
        cache.put(key, fresh)
        if n_bytes <= max_bytes:
            last[key] = fresh
            assert cache.get(key) is fresh
        kept = [found for key in last if (found := cache.get(key)) is not None]
        assert sum(found.nbytes for found in kept) == cache.n_bytes <= max_bytes


def test_threads() -> None:
    cache = TileCache(5000)

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(2000):
            key = int(rng.integers(0, 100))
            found = cache.get(key)
            assert found is None or found.nbytes == key + 1
            cache.put(key, tile(key + 1))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert 0 < cache.n_bytes <= 5000
    assert cache.n_bytes == sum(t.nbytes for t in cache._tiles.values())
