"""What each contestant of ``peers.py`` does, one task a process: prints a line of JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from peers import LARGE_BLOCKS, LARGE_SIDE, N_BLOCKS, N_REWRITES, TILE

CLASSES = {1: "Tumor", 2: "Stroma", 3: "Necrosis", 4: "Immune cells", 5: "Other"}
WARM_SIDE = 1500
REGION = 1024


def peak_mb() -> float:
    """Peak memory of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def shapes(side: int, seed: int = 0) -> np.ndarray:
    """Round, uneven areas of 5 classes on background."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((side, side), np.uint8)
    for i in range(600):
        y, x = rng.integers(0, side, 2)
        r = int(side * rng.uniform(0.004, 0.04))
        top, bottom = max(0, y - 2 * r), min(side, y + 2 * r)
        left, right = max(0, x - 2 * r), min(side, x + 2 * r)
        dy, dx = np.ogrid[top - y : bottom - y, left - x : right - x]
        angle = np.arctan2(dy.astype(np.float32), dx.astype(np.float32))
        edge = r * (1 + 0.2 * np.sin(3 * angle + i) + 0.1 * np.sin(17 * angle))
        labels[top:bottom, left:right][dy * dy + dx * dx < edge * edge] = i % 5 + 1
    return labels


class Source:
    """Labels on disk, read piece by piece, so that a contestant holds only what it asks for."""

    def __init__(self, folder: Path, side: int) -> None:
        self.folder, self.side = folder, side
        self._n_blocks = 16 if side == WARM_SIDE else N_BLOCKS

    def prepare(self) -> None:
        """Write the label array, its tiles one behind the other, and the blocks."""
        labels = shapes(self.side)
        labels.tofile(self._file("array"))
        with self._file("tiles").open("wb") as file:
            for y in range(0, self.side, TILE):
                for x in range(0, self.side, TILE):
                    file.write(labels[y : y + TILE, x : x + TILE].tobytes())
        expected = np.zeros_like(labels)
        rng = np.random.default_rng(1)
        places = []
        with self._file("blocks").open("wb") as file:
            for x, y in self._grid(rng):
                w, h = (int(n) for n in rng.integers(768, 1025, 2))
                w, h = min(w, self.side - x), min(h, self.side - y)
                block = labels[y : y + h, x : x + w]
                if len(places) >= self._n_blocks:  # a rewrite changes what is there
                    block = (block + 1) % 6
                expected[y : y + h, x : x + w] = block
                places.append((x, y, w, h))
                file.write(block.tobytes())
        expected.tofile(self._file("placed"))
        self._file("places").write_text(json.dumps(places))

    def _grid(self, rng: np.random.Generator) -> list[tuple[int, int]]:
        """Places that cover nearly all, in random order, and some of them again."""
        across = int(np.ceil(np.sqrt(self._n_blocks)))
        step = self.side / across
        every = [(int(i % across * step), int(i // across * step)) for i in range(across * across)]
        order = rng.permutation(len(every))[: self._n_blocks]
        again = rng.choice(order, self._n_blocks * N_REWRITES // N_BLOCKS, replace=False)
        return [every[i] for i in [*order, *again]]

    def array(self, kind: str = "array") -> np.ndarray:
        """All labels at once."""
        return np.fromfile(self._file(kind), np.uint8).reshape(self.side, self.side)

    def tiles(self) -> Iterator[np.ndarray]:
        """Tiles of 512, row by row, cropped at the edges."""
        with self._file("tiles").open("rb") as file:
            for y in range(0, self.side, TILE):
                for x in range(0, self.side, TILE):
                    shape = min(TILE, self.side - y), min(TILE, self.side - x)
                    yield np.fromfile(file, np.uint8, shape[0] * shape[1]).reshape(shape)

    def blocks(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """x, y and labels of each block, in random order."""
        with self._file("blocks").open("rb") as file:
            for x, y, w, h in json.loads(self._file("places").read_text()):
                yield x, y, np.fromfile(file, np.uint8, w * h).reshape(h, w)

    def _file(self, kind: str) -> Path:
        return self.folder / f"source-{self.side}-{kind}"


# --- (a) --------------------------------------------------------------------------------------


def store(kind: str, codec: str, source: Source, out: Path) -> Path:
    """Write a whole mask, one level."""
    if kind == "qpmask":
        return ours(source, out, codec, pyramid=False)
    if kind == "medmask":
        import medmask

        path = out / "m.msk"
        names = {name: label for label, name in CLASSES.items()}
        medmask.save_mask(medmask_mask(medmask, source.array(), names), str(path))
        return path
    path = out / "m.npz"
    np.savez_compressed(path, labels=source.array())
    return path


def medmask_mask(medmask: Any, labels: np.ndarray, names: dict[str, int]) -> Any:
    """A medmask of three dimensions, as it refuses two."""
    return medmask.SegmentationMask(labels[None], names)


def region(kind: str, codec: str, source: Source, out: Path) -> np.ndarray:
    """Open a file and read one region."""
    at = source.side // 2 - 300
    box = np.s_[at : at + REGION, at : at + REGION]
    stored = source.folder / "-".join(filter(None, ["store", kind, codec]))
    if source.side == WARM_SIDE:
        stored /= "warm"
    if kind == "qpmask":
        from qpmask.ometiff import MaskFile

        with MaskFile(stored / "m.ome.tif") as mask:
            return mask.read(0, 0, at, at + REGION, at, at + REGION)
    if kind == "medmask":
        import medmask

        data = medmask.load_mask(str(stored / "m.msk")).data
        return np.asarray(data)[0][box].copy()
    with np.load(stored / "m.npz") as stored_arrays:
        return np.asarray(stored_arrays["labels"][box].copy())


# --- (b) --------------------------------------------------------------------------------------


def ours(source: Source, out: Path, codec: str, *, pyramid: bool = True) -> Path:
    """qpmask, tiles in order."""
    from qpmask import MaskWriter

    path = out / "m.ome.tif"
    MaskWriter.from_tiles(
        path, source.side, source.side, source.tiles(), order="rows", classes=CLASSES, mpp=0.25,
        compression=codec, pyramid=pyramid,
    )  # fmt: skip
    return path


def pyramid(kind: str, codec: str, source: Source, out: Path) -> Path:
    """All levels."""
    if kind == "qpmask":
        return ours(source, out, codec)
    from dlup.writers import TiffCompression, TifffileImageWriter

    path = out / "m.tif"
    name = {"zlib": "DEFLATE"}.get(codec, codec.upper())
    writer = TifffileImageWriter(
        path, size=(source.side, source.side, 1), mpp=0.25, tile_size=(TILE, TILE), pyramid=True,
        compression=TiffCompression(name), is_mask=True,
    )  # fmt: skip
    writer.from_tiles_iterator(source.tiles())
    return path


# --- (c) --------------------------------------------------------------------------------------


def place(kind: str, codec: str, source: Source, out: Path) -> tuple[Path, float]:
    """Blocks in random order, then the levels; also the time of the first part."""
    began = time.perf_counter()
    path, side = out / "m.ome.tif", source.side
    if kind == "nothing":
        for _ in source.blocks():
            pass
        path.touch()
        return path, time.perf_counter() - began
    if kind == "qpmask":
        from qpmask import MaskWriter

        mask = MaskWriter(path, side, side, classes=CLASSES, mpp=0.25, compression=codec)
        for x, y, block in source.blocks():
            mask.write(x, y, block)
        writing = time.perf_counter() - began
        mask.close()
        return path, writing
    if kind == "h5py":
        import h5py

        with h5py.File(out / "staging.h5", "w") as file:
            base = file.create_dataset("0", (side, side), "u1", chunks=(TILE, TILE))
            for x, y, block in source.blocks():
                base[y : y + block.shape[0], x : x + block.shape[1]] = block
            writing = time.perf_counter() - began

            def half(level: int, above: Any) -> Any:
                size = tuple((n + 1) // 2 for n in above.shape)
                chunks = tuple(min(n, TILE) for n in size)
                below = file.create_dataset(str(level), size, "u1", chunks=chunks)
                for y in range(0, size[0], TILE):  # by strips: h5py is slow with steps
                    below[y : y + TILE] = above[2 * y : 2 * (y + TILE)][::2, ::2]
                return below

            by_tifffile(path, base, codec, half)
        (out / "staging.h5").unlink()
        return path, writing
    if kind == "memmap":
        staged = np.memmap(out / "staging.bin", np.uint8, "w+", shape=(side, side))
        for x, y, block in source.blocks():
            staged[y : y + block.shape[0], x : x + block.shape[1]] = block
        writing = time.perf_counter() - began
        by_tifffile(path, staged, codec, lambda level, above: above[::2, ::2])
        del staged
        (out / "staging.bin").unlink()
        return path, writing
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.windows import Window

    profile = {"driver": "GTiff", "width": side, "height": side, "count": 1, "dtype": "uint8",
               "tiled": True, "blockxsize": TILE, "blockysize": TILE, "num_threads": "all_cpus",
               "compress": {"zlib": "deflate"}.get(codec, codec)}  # fmt: skip
    with rasterio.open(path, "w+", **profile) as dataset:
        for x, y, block in source.blocks():
            dataset.write(block, 1, window=Window(x, y, block.shape[1], block.shape[0]))
    writing = time.perf_counter() - began
    with rasterio.open(path, "r+", num_threads="all_cpus") as dataset:
        steps = []
        while side > TILE:
            side = (side + 1) // 2
            steps.append(2 ** (len(steps) + 1))
        dataset.build_overviews(steps, Resampling.nearest)
    return path, writing


def by_tifffile(path: Path, base: Any, codec: str, half: Callable[[int, Any], Any]) -> None:
    """Write an array and its levels, tile by tile, with tifffile's own threads."""
    import tifffile

    def tiles(image: Any) -> Iterator[np.ndarray]:
        for y in range(0, image.shape[0], TILE):
            strip = image[y : y + TILE]
            for x in range(0, image.shape[1], TILE):
                yield strip[:, x : x + TILE]

    n_levels, side = 0, max(base.shape)
    while side > TILE:
        side, n_levels = (side + 1) // 2, n_levels + 1
    with tifffile.TiffWriter(path) as tif:
        image = base
        for level in range(n_levels + 1):
            tif.write(
                tiles(image), shape=image.shape, dtype="uint8", tile=(TILE, TILE),
                compression=codec, photometric="minisblack", metadata=None,
                subifds=n_levels if level == 0 else None, subfiletype=int(level > 0),
            )  # fmt: skip
            if level < n_levels:
                image = half(level + 1, image)


# --- (d) --------------------------------------------------------------------------------------


def large_write(out: Path, side: int) -> Path:
    """A mask of a few hundred mixed areas."""
    from qpmask import MaskWriter

    rng = np.random.default_rng(3)
    areas = [shapes(min(2000, side // 2), seed) for seed in range(3)]
    with MaskWriter(out / "m.ome.tif", side, side, classes=CLASSES, mpp=0.25) as mask:
        for i in range(LARGE_BLOCKS if side == LARGE_SIDE else 3):
            x, y = (int(n) for n in rng.integers(0, side - 1000, 2))
            mask.write(x, y, areas[i % 3])
    return out / "m.ome.tif"


def large_read(folder: Path, side: int) -> np.ndarray:
    """Open it and read one region."""
    from qpmask import open_mask

    at = side // 2
    with open_mask(folder / "m.ome.tif") as mask:
        return mask[at : at + REGION, at : at + REGION]


# --- exactness --------------------------------------------------------------------------------


def wrong_shares(path: Path, base: np.ndarray) -> list[float]:
    """By level, the share of pixels whose label none of their pixels of level 0 has."""
    import tifffile

    present = np.left_shift(np.uint8(1), base)  # one bit a label
    shares = []
    with tifffile.TiffFile(path) as tif:
        pages = list(tif.pages)
        if len(pages) == 1 and pages[0].subifds:
            pages = list(tif.series[0].levels)
        for level, page in enumerate(pages):
            found = page.asarray()
            found = found.reshape(found.shape[:2])
            if level == 0:
                shares.append(float(np.mean(found != base)))
                continue
            odd = [(0, n % 2) for n in present.shape]
            present = np.pad(present, odd)  # a last odd row or column has no pair
            present = present[::2] | present[1::2]
            present = present[:, ::2] | present[:, 1::2]
            there = present[: found.shape[0], : found.shape[1]]
            bits = np.left_shift(np.uint8(1), found, dtype=np.uint8)
            shares.append(float(np.mean((there & bits) == 0)))
    return shares


# --- one task ---------------------------------------------------------------------------------


def run(task: str, kind: str, codec: str, source: Source, out: Path) -> tuple[float, Any, float]:
    """Do a task once: seconds, what came out, seconds of the first part."""
    began = time.perf_counter()
    writing = 0.0
    made: Any
    if task == "place":
        made, writing = place(kind, codec, source, out)
    elif task == "large" and kind == "write":
        made = large_write(out, LARGE_SIDE if source.side != WARM_SIDE else 4000)
    elif task == "large":
        made = large_read(source.folder / "large-write", LARGE_SIDE)
    else:
        made = {"store": store, "region": region, "pyramid": pyramid}[task](
            kind, codec, source, out
        )
    return time.perf_counter() - began, made, writing


def main() -> None:
    """Warm up, do the task, say what it took."""
    folder, side, task, *rest = sys.argv[1:]
    source = Source(Path(folder), int(side))
    if task == "prepare":
        source.prepare()
        Source(Path(folder), WARM_SIDE).prepare()
        print(json.dumps({"seconds": 0.0}))
        return
    kind, codec = rest[0], rest[1] if len(rest) > 1 else ""
    out = Path(folder) / "-".join([task, *rest])
    if task == "judge":
        made_by = rest[2]
        path = next((Path(folder) / f"{made_by}-{kind}-{codec}").glob("m.*"))
        base = source.array("array" if made_by == "pyramid" else "placed")
        print(json.dumps({"seconds": 0.0, "wrong": wrong_shares(path, base)}))
        return
    small = Source(Path(folder), WARM_SIDE)
    warm = out / "warm"
    warm.mkdir(exist_ok=True)
    if (task, kind) == ("large", "read"):  # as it is the first time, but for the import
        from qpmask import open_mask as open_mask
    else:
        run(task, kind, codec, small, warm)
    if task != "store":  # those are what "region" warms up with
        for path in warm.iterdir():
            path.unlink()
    before = peak_mb()
    seconds, made, writing = run(task, kind, codec, source, out)
    found = {"seconds": seconds, "memory": peak_mb(), "writing": writing}
    found["own"] = found["memory"] - before
    if isinstance(made, Path):
        found["file"] = made.stat().st_size / 1e6
    if task == "region":
        again = [run(task, kind, codec, source, out)[0] for _ in range(4)]
        found["seconds"] = float(np.median([seconds, *again]))
        at = source.side // 2 - 300
        assert np.array_equal(made, source.array()[at : at + REGION, at : at + REGION])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
