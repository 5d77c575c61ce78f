from __future__ import annotations

import contextlib

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qpmask.ometiff import lzw
from qpmask.ometiff.codecs import decode_segment


def decoded(data: bytes, like: np.ndarray) -> np.ndarray:
    raw = imagecodecs.lzw_decode(data, out=like.nbytes)
    return np.frombuffer(raw, like.dtype.newbyteorder("<")).reshape(like.shape)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
@pytest.mark.parametrize("edge", [1, 2, 3, 8, 9, 16, 100, 512])
def test_hand_made(dtype: str, edge: int) -> None:
    rng = np.random.default_rng(edge)
    highest = np.iinfo(dtype).max
    y, x = np.mgrid[:edge, :edge]
    tiles = [
        np.zeros((edge, edge)),
        np.full((edge, edge), highest),
        np.full((edge, edge), 0x0101 & highest),
        np.full((edge, edge), 0x0102 & highest),
        np.full((edge, edge), 0x01020102 & highest),
        np.where(x < edge / 2, 0x00010005, 0x00020005) & highest,
        x % 2,
        y % 2,
        (x + y) % 3 * 100,
        ((x - edge / 2) ** 2 + (y - edge / 2) ** 2 < edge**2 / 5) * 7,
        rng.integers(0, 2, (edge, edge)),
        rng.integers(0, highest + 1, (edge, edge)),
        np.repeat(rng.integers(0, highest + 1, (edge, edge)), 7, axis=1)[:, :edge],
    ]
    for tile in tiles:
        tile = tile.astype(dtype)
        assert np.array_equal(decoded(lzw.encode_lzw(tile), tile), tile)


def test_runs_are_short() -> None:
    assert len(lzw.encode_lzw(np.zeros((512, 512), np.uint8))) < 1200
    assert len(lzw.encode_lzw(np.full((512, 512), 0x1234, np.uint16))) < 2000


def test_noise_is_no_longer_than_a_general_encoder_makes_it() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    assert len(lzw.encode_lzw(noise)) <= len(imagecodecs.lzw_encode(noise.tobytes()))


def test_views_and_other_byte_orders() -> None:
    base = (np.arange(64 * 64).reshape(64, 64) // 50).astype(np.uint16)
    for tile in (base[::2, ::2], base.T, base.astype(">u2"), base[1:, 3:]):
        assert np.array_equal(decoded(lzw.encode_lzw(tile), tile), tile)


SMALL = hnp.array_shapes(min_dims=2, max_dims=2, max_side=70)


def few(dtype: type) -> st.SearchStrategy[int]:
    """Few labels; of uint32 some that have their low 16 bits in common."""
    return st.sampled_from([0, 1, 2, 7] + [0x10007, 0x20007, 0x20000] * (dtype is np.uint32))


@given(
    st.sampled_from([np.uint8, np.uint16, np.uint32]).flatmap(
        lambda dtype: hnp.arrays(
            dtype, SMALL, elements=few(dtype) | hnp.from_dtype(np.dtype(dtype))
        )
    ),
    st.integers(1, 40),
)
def test_any_tile(tile: np.ndarray, repeat: int) -> None:
    tile = np.repeat(tile, repeat, axis=1)
    assert np.array_equal(decoded(lzw.encode_lzw(tile), tile), tile)


def packed(codes: list[int]) -> bytes:
    """Codes of 9 bits as bytes."""
    bits = "".join(f"{code:09b}" for code in codes)
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


@pytest.mark.parametrize("n_before", range(1, 9))
def test_codes_are_looked_at_before_they_are_decoded(
    monkeypatch: pytest.MonkeyPatch, n_before: int
) -> None:
    """n bytes make the phrases 258 to 256 + n; the next code is at most 257 + n."""
    asked = []

    def decoder(data: bytes, *, out: np.ndarray) -> np.ndarray:
        asked.append(data)
        return out

    monkeypatch.setattr(lzw.imagecodecs, "lzw_decode", decoder)
    before = [256, *range(65, 65 + n_before)]
    out = np.zeros(16, np.uint8)
    for code in (258 + n_before, 400, 511):
        with pytest.raises(ValueError, match="never made"):
            lzw.decode_lzw(packed([*before, code, 257]), out=out)
    assert asked == []
    lzw.decode_lzw(packed([*before, 257 + n_before, 257]), out=out)
    assert len(asked) == 1


@settings(max_examples=300)
@given(st.binary(max_size=300), st.booleans())
def test_damaged_segments_are_errors(noise: bytes, clears: bool) -> None:
    data = b"\x80" + noise if clears else noise
    with contextlib.suppress(ValueError):
        assert len(decode_segment(data, "lzw", 500)) == 500


def test_long_streams_pass_the_look_at_their_codes() -> None:
    rng = np.random.default_rng(0)
    for n_labels in (2, 40, 256):
        raw = rng.integers(0, n_labels, 300_000, np.uint8).tobytes()
        assert decode_segment(imagecodecs.lzw_encode(raw), "lzw", len(raw)).tobytes() == raw


def test_a_table_that_is_full_and_never_cleared_is_refused() -> None:
    widths = [9] * 254 + [10] * 512 + [11] * 1024 + [12] * 3000
    bits = f"{256:09b}" + "".join(f"{7:0{width}b}" for width in widths)
    data = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    with pytest.raises(ValueError, match="full"):
        decode_segment(data, "lzw", len(widths))
