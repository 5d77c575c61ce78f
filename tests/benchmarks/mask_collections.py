"""Many masks in one file, beside MedMask's archives and NIfTI files, in one run.

  python tests/benchmarks/mask_collections.py volume     # 117 masks of 160 x 200 x 200
  python tests/benchmarks/mask_collections.py plane      # 24 overlapping classes of 20,000 x 20,000
  python tests/benchmarks/mask_collections.py plane 8000 # the same, of another size
  python tests/benchmarks/mask_collections.py memory     # 24 classes of 100,000 x 100,000

Needs medmask and nibabel. Each mask that is read is compared with what was written. Times are the
least of several, in milliseconds of the clock, and each reading opens the file anew; writing leaves
out the drawing of the masks. Readings of a few milliseconds are taken in turns, 40 of each, so that
what else the machine does meets all of them.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from qpmask import MaskCollection

N_ORGANS, VOLUME = 117, (160, 200, 200)
N_CLASSES = 24
ROWS, COLUMNS = 2048, 16_384  # of a block, as a program that goes by tiles gives them


def organs() -> dict[str, np.ndarray]:
    """Ellipsoids of which 15 % of the voxels are in more than one."""
    rng = np.random.default_rng(2)
    axes = [np.arange(n, dtype=np.float32) for n in VOLUME]
    found = {}
    for number in range(N_ORGANS):
        radii = (4 + 26 * rng.uniform() ** 2) * rng.uniform(0.8, 1.2, 3)
        center = [rng.uniform(0, n) for n in VOLUME]
        z, y, x = (((a - c) / r) ** 2 for a, c, r in zip(axes, center, radii, strict=True))
        found[f"organ_{number:03d}"] = z[:, None, None] + y[None, :, None] + x < 1
    return found


def areas(side_px: int) -> Iterator[tuple[str, list[tuple[int, int, np.ndarray]]]]:
    """20 classes of 12 large areas, 4 of 60 small ones: x, y and pixels of each area."""
    rng = np.random.default_rng(1)
    turn = np.linspace(0, 2 * np.pi, 129)
    for number in range(N_CLASSES):
        n, low, high = (12, 300, 1500) if number < 20 else (60, 40, 150)
        found = []
        for _ in range(n):
            x, y = rng.uniform(0, side_px, 2)
            reach = rng.uniform(low, high) * min(side_px, 20_000) / 20_000
            radius = np.full_like(turn, reach)
            for k in range(2, 7):
                radius *= 1 + rng.normal(0, 0.24 / k) * np.cos(k * turn + rng.uniform(0, 6.3))
            radius = np.maximum(radius, 1)
            side = int(radius.max()) + 1
            d = np.arange(-side, side + 1, dtype=np.float32)
            angle = np.arctan2(d[:, None], d[None, :]) % np.float32(2 * np.pi)
            area = np.hypot(d[:, None], d[None, :]) < np.interp(angle, turn, radius)
            x0, y0 = int(x) - side, int(y) - side
            rows = slice(max(0, -y0), max(0, side_px - y0))
            cols = slice(max(0, -x0), max(0, side_px - x0))
            found.append((max(0, x0), max(0, y0), area[rows, cols]))
        yield f"class_{number:02d}", found


def drawn(side_px: int, *wanted: str) -> Iterator[tuple[str, np.ndarray]]:
    """The classes, or some of them, as whole masks, one after the other."""
    for name, found in areas(side_px):
        if wanted and name not in wanted:
            continue
        mask = np.zeros((side_px, side_px), bool)
        for x, y, area in found:
            mask[y : y + area.shape[0], x : x + area.shape[1]] |= area
        yield name, mask


def least(do: Callable[[], Any], times: int = 3) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        do()
        taken.append(time.perf_counter() - start)
    return min(taken) * 1e3


def in_turns(*each: Callable[[], Any]) -> list[float]:
    """The least time of each, a few of one after a few of the other."""
    rounds = [[least(do, 5) for do in each] for _ in range(8)]
    return [min(times) for times in zip(*rounds, strict=True)]


def row(what: str, *values: float) -> None:
    print(f"{what:24}" + "".join(f"{value:14,.1f}" for value in values), flush=True)


def head(*names: str) -> None:
    print("".join([f"{'':24}", *(f"{name:>14}" for name in names)]), flush=True)


class MedMask:
    """An archive of MedMask's: one array a mask."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        import medmask
        from spacetransformer import Space

        self.medmask, self.path = medmask, path
        self.space = Space(shape=shape)

    def add(self, name: str, mask: np.ndarray) -> None:
        archive = self.medmask.MaskArchive(str(self.path), "a", space=self.space)
        labelled = self.medmask.SegmentationMask(mask, {name: 1}, space=self.space)
        archive.add_segmask(labelled, name)

    def read(self, name: str) -> np.ndarray:
        archive = self.medmask.MaskArchive(str(self.path), "r")
        found: np.ndarray = archive.load_segmask(name).data
        return found


def volume(folder: Path) -> None:
    masks = organs()
    depth = sum(m.astype(np.uint8) for m in masks.values())
    print(
        f"{N_ORGANS} masks of {VOLUME}, {np.mean(depth[depth > 0] > 1):.1%} of voxels in several\n"
    )
    head("kB", "write", "all", "one", "64^3")
    names, middle = list(masks), list(masks)[N_ORGANS // 2]
    part = (slice(40, 104), slice(60, 124), slice(60, 124))

    found: dict[str, tuple[float, float, float]] = {}
    readers: list[Callable[[], Any]] = []

    def measure(what: str, n_bytes: float, write: float, read: Callable[[str], Any]) -> None:
        for name in names[::10]:
            assert np.array_equal(np.asarray(read(name)) != 0, masks[name]), name
        found[what] = n_bytes / 1e3, write, least(lambda: [read(n) for n in names], 2)
        readers.extend([lambda: read(middle), lambda: read(middle)[part].copy()])

    path = folder / "c.ozx"

    def write_ours() -> None:
        with MaskCollection(path, "w", shape=VOLUME, spacing=(1.5, 1, 1)) as out:
            for name, mask in masks.items():
                out.add(name, mask)

    write = least(write_ours, 1)

    def read_all() -> None:
        with MaskCollection(path) as ours:
            for name in names:
                ours[name][:]

    with MaskCollection(path) as ours:
        for name in names:
            assert np.array_equal(ours[name][:], masks[name])
    found["qpmask .ozx"] = path.stat().st_size / 1e3, write, least(read_all)
    readers += [
        lambda: MaskCollection(path)[middle][:],
        lambda: MaskCollection(path)[middle][part],
    ]
    for dtype in (bool, np.uint8):
        medmask = MedMask(folder / f"{np.dtype(dtype)}.mska", VOLUME)
        write = least(
            lambda m=medmask, d=dtype: [m.add(n, x.astype(d)) for n, x in masks.items()], 1
        )
        size = medmask.path.stat().st_size
        measure(f"medmask {np.dtype(dtype)}", size, write, medmask.read)
    import nibabel

    def write_nifti() -> None:
        for name, mask in masks.items():
            image = nibabel.Nifti1Image(mask.astype(np.uint8), np.eye(4))
            nibabel.save(image, folder / f"{name}.nii.gz")

    write = least(write_nifti, 1)
    size = sum(p.stat().st_size for p in folder.glob("*.nii.gz"))
    measure(
        "117 .nii.gz", size, write,
        lambda n: np.asarray(nibabel.load(folder / f"{n}.nii.gz").dataobj),
    )  # fmt: skip
    times = in_turns(*readers)
    for number, (what, before) in enumerate(found.items()):
        row(what, *before, *times[2 * number : 2 * number + 2])


def plane(folder: Path, side_px: int) -> None:
    print(f"{N_CLASSES} classes of {side_px:,} x {side_px:,}\n")
    head("kB", "write", "one class", "1024^2", "memory MB")
    path, medmask = folder / "c.ozx", MedMask(folder / "m.mska", (1, side_px, side_px))
    ours = theirs = 0.0
    with MaskCollection(path, "w", shape=(side_px, side_px), mpp=0.5) as out:
        for name, mask in drawn(side_px):
            ours += least(lambda n=name, m=mask: out.add(n, m), 1)
            theirs += least(lambda n=name, m=mask: medmask.add(n, m[None]), 1)
        start = time.perf_counter()
    ours += (time.perf_counter() - start) * 1e3
    with MaskCollection(path) as masks:
        for name, mask in drawn(side_px, "class_00", "class_07", "class_23"):
            assert np.array_equal(masks[name][:], mask)
            assert np.array_equal(medmask.read(name)[0], mask)
    name, at = "class_07", side_px // 2 - 500
    part = (slice(at, at + 1024), slice(at, at + 1024))
    for what, size, write, whole, region in (
        ("qpmask .ozx", path.stat().st_size, ours,
         lambda: MaskCollection(path)[name][:], lambda: MaskCollection(path)[name][part]),
        ("medmask bool", medmask.path.stat().st_size, theirs,
         lambda: medmask.read(name), lambda: medmask.read(name)[0][part].copy()),
    ):  # fmt: skip
        row(what, size / 1e3, write, least(whole), least(region, 5), peak(what, path, medmask))


def peak(what: str, path: Path, medmask: MedMask) -> float:
    """Megabytes that reading a region of 1024 x 1024 takes, beyond what a process has."""
    import multiprocessing

    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (what, str(path), str(medmask.path)))


def _peak(what: str, path: str, archive: str) -> float:
    import medmask

    before = _most_mb()
    part = slice(5000, 6024)
    if what.startswith("qpmask"):
        MaskCollection(path)["class_07"][part, part]
    else:
        medmask.MaskArchive(archive, "r").load_segmask("class_07").data[0][part, part]
    return _most_mb() - before


def _most_mb() -> float:
    """The most memory that this process had, of Linux: ru_maxrss is also that of its parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def blocks(side_px: int, number: int) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """A class block by block, where it has any pixel: 12 large areas, or 60 small ones."""
    rng = np.random.default_rng(number)
    n, low, high = (12, 0.015, 0.075) if number < 20 else (60, 0.002, 0.0075)
    y, x = rng.uniform(0, side_px, (2, n))
    ry, rx = side_px * rng.uniform(low, high, (2, n))
    turn = rng.uniform(0, 6.3, n)
    for top in range(0, side_px, ROWS):
        rows = np.arange(top, min(side_px, top + ROWS))
        d = (rows[:, None] - y) / ry
        half = rx * np.sqrt(np.maximum(0, 1 - d * d)) * (1 + 0.1 * np.sin(20 * d + turn))
        first, end = ((x + sign * half).round().astype(int) for sign in (-1, 1))
        for left in range(0, side_px, COLUMNS):
            block = np.zeros((len(rows), min(COLUMNS, side_px - left)), bool)
            a, b = (np.clip(e - left, 0, block.shape[1]) for e in (first, end))
            some = np.argwhere(a < b)
            if len(some):
                for (row_number, _), start, stop in zip(
                    some.tolist(), a[a < b].tolist(), b[a < b].tolist(), strict=True
                ):
                    block[row_number, start:stop] = True
                yield (top, left), block


def memory(folder: Path, side_px: int = 100_000) -> None:
    path, before = folder / "c.ozx", _most_mb()
    ours, counts = 0.0, []
    start = time.perf_counter()
    with MaskCollection(path, "w", shape=(side_px, side_px), mpp=0.25) as out:
        for number in range(N_CLASSES):
            counts.append(0)
            with out.writer(f"class_{number:02d}") as writer:
                for at, block in blocks(side_px, number):
                    counts[-1] += int(block.sum())
                    ours += least(lambda a=at, b=block: writer.write(a, b), 1) / 1e3
                begun = time.perf_counter()
            ours += time.perf_counter() - begun
        begun = time.perf_counter()
    ours += time.perf_counter() - begun
    took, used = time.perf_counter() - start, _most_mb() - before
    with MaskCollection(path) as masks:
        assert [area.n_pixels for area in masks.areas().values()] == counts
    print(
        f"{N_CLASSES} classes of {side_px:,}^2, {sum(counts) / side_px**2:.2f} a pixel: "
        f"{path.stat().st_size / 1e6:.1f} MB, {ours:.1f} s, {took:.1f} s with their drawing, "
        f"{used:,.0f} MB beyond Python and its modules"
    )


if __name__ == "__main__":
    which = sys.argv[1] if len(sys.argv) > 1 else "volume"
    with tempfile.TemporaryDirectory() as temp:
        if which == "volume":
            volume(Path(temp))
        elif which == "plane":
            plane(Path(temp), int(sys.argv[2]) if len(sys.argv) > 2 else 20_000)
        else:
            memory(Path(temp), int(sys.argv[2]) if len(sys.argv) > 2 else 100_000)
