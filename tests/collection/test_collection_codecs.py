"""Chunks as bytes: what other decoders make of them, and what ours makes of damaged ones."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpmask.collection import chunkbits, runkernels
from qpmask.collection.blosc import CodecError
from qpmask.collection.codecs import ChunkCodec, of_many, of_one

TYPES = [np.uint8, np.uint16, np.uint32]


@st.composite
def planes(draw: st.DrawFn) -> np.ndarray:
    """Bytes that are mostly runs."""
    n_bytes = draw(st.integers(1, 40)) * 8
    runs = st.tuples(
        st.integers(0, 2), st.integers(0, n_bytes), st.integers(0, 60), st.integers(0, 255)
    )
    found = np.zeros((3, n_bytes), np.uint8)
    for plane, at, length, value in draw(st.lists(runs, max_size=20)):
        found[plane, at : at + length] = value
    noise = draw(st.one_of(st.none(), st.integers(0, 99)))
    if noise is not None:
        found[0] = np.random.default_rng(noise).integers(0, 256, n_bytes)
    return found


@given(
    planes=planes(),
    chosen=st.lists(st.integers(-1, 2), min_size=1, max_size=9),
    record=st.sampled_from([4, 6, 8]),
    part=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_blocks_are_lz4(
    planes: np.ndarray, chosen: list[int], record: int, part: tuple[float, float]
) -> None:
    want = b"".join(bytes(planes.shape[1]) if p < 0 else planes[p].tobytes() for p in chosen)
    room = np.empty(2 * len(want) + 64, np.uint8)
    numbers = np.array(chosen, np.int64)
    n = runkernels.encode(planes, planes.view(np.uint64), numbers, record, room)
    block = room[:n].copy()
    assert n > 0
    assert bytes(imagecodecs.lz4_decode(block.tobytes(), out=len(want))) == want
    first, end = sorted(int(share * len(want)) for share in part)
    out = np.empty(end - first, np.uint8)
    assert runkernels.decode(block, first, out) == 0
    assert out.tobytes() == want[first:end]
    small = np.empty(n - 1, np.uint8)  # too little room is said, and not gone beyond
    assert runkernels.encode(planes, planes.view(np.uint64), numbers, record, small) in (-1, n)


@given(block=st.binary(max_size=60), first=st.integers(0, 40), n=st.integers(0, 40))
def test_any_bytes_are_read_within_bounds(block: bytes, first: int, n: int) -> None:
    out = np.empty(n, np.uint8)
    # As Python, which checks every index.
    runkernels.decode.function(np.frombuffer(block, np.uint8), first, out)  # type: ignore[attr-defined]


@given(
    data=st.data(),
    shape=st.sampled_from([(64, 80), (128, 96), (16, 4, 8), (8, 12, 20)]),
    dtype=st.sampled_from(TYPES),
    seed=st.integers(0, 999),
)
def test_a_mask_of_any_label(
    data: st.DataObject, shape: tuple[int, ...], dtype: type, seed: int
) -> None:
    label = data.draw(st.integers(1, min(np.iinfo(dtype).max, 2**24)))
    smooth = np.sin(np.indices(shape).sum(axis=0) / 5) > 0.3
    mask = smooth if seed % 2 else np.random.default_rng(seed).random(shape) > 0.5
    bits = chunkbits.pack(mask, shape)
    assert np.array_equal(chunkbits.unpack(bits, shape), mask)
    assert chunkbits.count(bits) == mask.sum()
    if mask.any():
        assert chunkbits.extent(bits, shape) == chunkbits.extent_of(mask)
    for step in (4, 16):
        each = (slice(None, None, step),) * len(shape)
        assert np.array_equal(chunkbits.picked(bits, shape, step), mask[each])
    block = chunkbits.to_block(bits)
    assert np.array_equal(chunkbits.from_block(block, len(bits)), bits)
    labels = mask * dtype(label)
    for codec in (of_one(2), of_one(3), of_many(2), of_many(3)):
        for blob in (
            codec.encode(labels),
            codec.encode_mask(bits, label, np.dtype(dtype), lambda: labels),
        ):
            assert np.array_equal(codec.decode(blob, shape, np.dtype(dtype)), labels)
            assert np.array_equal(codec.decode_mask(blob, shape, np.dtype(dtype), label), bits)


@given(
    data=st.data(),
    shape=st.sampled_from(
        [(40, 200), (33, 136), (64, 77), (45, 203), (5, 9, 136), (3, 70, 64), (4, 40, 131)]
    ),
    seed=st.integers(0, 999),
)
def test_boxes_to_bits_and_back(data: st.DataObject, shape: tuple[int, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.random(shape) > data.draw(st.sampled_from([0.5, 0.999, 1.0]))
    pixels[..., : shape[-1] // 2] |= np.sin(np.arange(shape[-2]) / 3)[:, None] > 0.5
    pixels = pixels.view(np.uint8) * np.uint8(data.draw(st.sampled_from([1, 255])))
    pixels = pixels.view(bool)  # whatever is not 0 is true
    chunk = (*(32 for _ in shape[:-1]), 64)
    start = [data.draw(st.sampled_from(range(0, n, c))) for n, c in zip(shape, chunk, strict=True)]
    n_chunks = data.draw(st.integers(1, 3))
    sides = (*chunk[:-1], chunk[-1] * n_chunks)
    box = tuple(slice(a, min(n, a + c)) for a, n, c in zip(start, shape, sides, strict=True))
    given_pixels = pixels if seed % 3 else np.asfortranarray(pixels)
    found = chunkbits.measured(given_pixels, box, chunk)
    want = np.zeros((*chunk[:-1], chunk[-1] * len(found)), bool)
    part = pixels[box] != 0
    want[tuple(slice(0, n) for n in part.shape)] = part
    want = np.stack(np.split(want, len(found), axis=-1))
    for one, expected in zip(found, want, strict=True):
        assert (one is None) == (not expected.any())
        if one is not None:
            assert one.n_pixels == np.count_nonzero(expected)
            assert np.array_equal(chunkbits.unpack(one.bits, chunk), expected)
            assert one.extent == chunkbits.extent_of(expected)
    number = data.draw(st.integers(0, len(found) - 1))
    chosen, want = found[number], want[number]
    if chosen is None:
        return
    ends = [sorted(data.draw(st.tuples(st.integers(0, c), st.integers(0, c)))) for c in chunk]
    inside = [range(a, b) for a, b in ends]
    out = np.zeros(tuple(len(r) + 9 for r in inside), bool)
    chunkbits.mark(chosen.bits, chunk, inside, out, [4] * len(chunk))
    expected = np.zeros_like(out)
    expected[tuple(slice(4, 4 + len(r)) for r in inside)] = want[
        tuple(slice(r.start, r.stop) for r in inside)
    ]
    assert np.array_equal(out.view(np.uint8), expected.view(np.uint8))


@pytest.mark.parametrize("label", [1, 2, 3, 7, 23, 128, 129, 200, 255])
@pytest.mark.parametrize("codec", [of_one(2), of_one(3)])
def test_frames_are_blosc(label: int, codec: ChunkCodec) -> None:
    numcodecs = pytest.importorskip("numcodecs.blosc")  # what zarr-python decodes with
    mask = np.sin(np.indices((256, 512)).sum(axis=0) / 50) > 0
    bits = chunkbits.pack(mask, mask.shape)
    data = codec.encode_mask(bits, label, np.dtype(np.uint8), lambda: mask * np.uint8(label))[:-4]
    for _ in range(2 if codec.kind == "bits" else 1):
        data = numcodecs.decompress(data)
    assert np.array_equal(np.frombuffer(data, np.uint8), (mask * np.uint8(label)).ravel())


@pytest.mark.parametrize("codec", [of_one(2), of_many(2), of_one(3)])
def test_a_frame_that_says_it_is_huge_is_not_believed(codec: ChunkCodec) -> None:
    shape, dtype = (256, 512), np.dtype(np.uint8)
    mask = np.sin(np.indices(shape).sum(axis=0) / 50) > 0
    blob = codec.encode_mask(chunkbits.pack(mask, shape), 1, dtype, lambda: mask.view(np.uint8))
    with pytest.raises(CodecError):
        codec.decode(blob, (8, 8), dtype)
    with pytest.raises(CodecError):
        codec.decode(blob, (1024, 1024), dtype)
    for at in range(0, len(blob), 7):  # its checksum
        damaged = bytearray(blob)
        damaged[at] ^= 1
        with pytest.raises(CodecError):
            codec.decode(bytes(damaged), shape, dtype)
