"""What each contestant of ``patches.py`` does, one task a process: prints a line of JSON."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PATCH, MPP = 256, 0.5


def cpu_s() -> float:
    """CPU seconds of this process and its children."""
    parts = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(p.ru_utime + p.ru_stime for p in parts)


def say(**data: Any) -> None:
    """Print what was measured, with CPU and memory of the process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    data = {"cpu_s": cpu_s(), "peak_mb": peak / (1e6 if sys.platform == "darwin" else 1e3), **data}
    print("\n" + json.dumps(data))


# --- (a) ------------------------------------------------------------------------------------------


def coords_qpmask(slide: str, out: str) -> None:
    """Our own, by way of the patch file."""
    import numpy as np

    from qpmask.patches.h5file import read_patch_file
    from qpmask.patches.options import patch_options
    from qpmask.patches.run import make_patches

    with tempfile.TemporaryDirectory() as folder:
        began = cpu_s()
        report = make_patches(slide, folder, patch_options(patch_size=PATCH, target_mpp=MPP))
        work_s = cpu_s() - began
        assert report.ok, report.records
        table = read_patch_file(Path(folder) / str(report.records[0].file))
    say(work_s=work_s, size_px0=int(table.attributes["patch_size_level0"]))
    np.save(out, table.coords)


def coords_hs2p(slide: str, out: str) -> None:
    """As of version 6.1."""
    import hs2p
    import numpy as np

    began = cpu_s()
    found = hs2p.tile_slide(
        hs2p.SlideSpec(sample_id="a", image_path=Path(slide)),
        tiling=hs2p.TilingConfig(
            requested_spacing_um=MPP, requested_tile_size_px=PATCH, tolerance=0.05, overlap=0.0,
            backend="openslide",
        ),
        segmentation=hs2p.SegmentationConfig(method="otsu", downsample=64),
    )  # fmt: skip
    work_s = cpu_s() - began
    result = next(iter(found.values())) if isinstance(found, dict) else found
    x, y = (np.asarray(getattr(result, name)) for name in ("x", "y"))
    say(work_s=work_s, size_px0=round(PATCH * MPP / 0.25))
    np.save(out, np.stack([x, y], axis=1))


def coords_clam(slide: str, out: str) -> None:
    """CLAM's own class, with the parameters of its script's defaults."""
    import h5py
    import numpy as np
    from wsi_core.WholeSlideImage import WholeSlideImage

    began = cpu_s()
    wsi = WholeSlideImage(slide)
    level = wsi.getOpenSlide().get_best_level_for_downsample(64)
    wsi.segmentTissue(
        seg_level=level, sthresh=8, mthresh=7, close=4, use_otsu=False,
        filter_params={"a_t": 100, "a_h": 16, "max_n_holes": 8}, keep_ids=[], exclude_ids=[],
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        wsi.process_contours(
            save_path=folder, patch_level=1, patch_size=PATCH, step_size=PATCH,
            contour_fn="four_pt", use_padding=True,
        )  # fmt: skip
        work_s = cpu_s() - began
        with h5py.File(next(Path(folder).glob("*.h5"))) as file:
            coords = np.asarray(file["coords"])
    say(work_s=work_s, size_px0=PATCH * 2)
    np.save(out, coords)


def coords_histolab(slide: str, out: str) -> None:
    """Coordinates alone, which its tiler lists by a private method; that one knows no mpp."""
    import numpy as np
    from histolab.masks import TissueMask
    from histolab.slide import Slide
    from histolab.tiler import GridTiler

    began = cpu_s()
    opened = Slide(slide, processed_path=tempfile.gettempdir())
    side = round(PATCH * MPP / 0.25)
    tiler = GridTiler(tile_size=(side, side), level=0, check_tissue=False, pixel_overlap=0)
    found = list(tiler._grid_coordinates_generator(opened, TissueMask()))
    work_s = cpu_s() - began
    coords = np.array([(c.x_ul, c.y_ul) for c in found])
    say(work_s=work_s, size_px0=side)
    np.save(out, coords)


def coords_tiatoolbox(slide: str, out: str) -> None:
    """Sliding windows on its Otsu mask."""
    import numpy as np
    from tiatoolbox.tools.patchextraction import SlidingWindowPatchExtractor
    from tiatoolbox.wsicore.wsireader import WSIReader

    began = cpu_s()
    reader = WSIReader.open(slide)
    mask = reader.tissue_mask(method="otsu", resolution=1.25, units="power")
    extractor = SlidingWindowPatchExtractor(
        reader, (PATCH, PATCH), input_mask=mask, resolution=MPP, units="mpp", min_mask_ratio=0.1,
        within_bound=True,
    )  # fmt: skip
    coords = np.asarray(extractor.coordinate_list)[:, :2] * (MPP / 0.25)
    work_s = cpu_s() - began
    say(work_s=work_s, size_px0=round(PATCH * MPP / 0.25))
    np.save(out, coords.round().astype(int))


def coords_lazyslide(slide: str, out: str) -> None:
    """Its tissue and tiles."""
    import lazyslide as zs
    import numpy as np
    from wsidata import open_wsi

    began = cpu_s()
    wsi = open_wsi(slide, store=None)
    zs.pp.find_tissues(wsi)
    zs.pp.tile_tissues(wsi, PATCH, mpp=MPP)
    bounds = wsi.shapes["tiles"].geometry.bounds
    work_s = cpu_s() - began
    say(work_s=work_s, size_px0=round(PATCH * MPP / 0.25))
    np.save(out, bounds[["minx", "miny"]].to_numpy().round().astype(int))


# --- (b) ------------------------------------------------------------------------------------------


def _cells(side: int) -> tuple[Any, int]:
    import numpy as np

    step = side // 317  # about 100,000 patches
    n = (side - step) // step + 1
    return np.arange(n) * step, step


def fractions_qpmask(path: str, out: str) -> None:
    """All patches."""
    import numpy as np

    from qpmask.ometiff.reader import MaskFile
    from qpmask.patches.classfractions import Axis, class_areas

    began, spent = time.perf_counter(), cpu_s()
    with MaskFile(path) as mask:
        start, step = _cells(mask.size.width_px)
        axis = Axis(start.astype(float), (start + step).astype(float))
        areas = class_areas(mask, (1, 2, 3, 4, 5), axis, axis)
    found = (areas / step**2).astype(np.float32)
    wall_s = time.perf_counter() - began
    say(wall_s=wall_s, work_s=cpu_s() - spent, n=found.shape[0] * found.shape[1])
    np.save(out, found)


def fractions_tifffile(path: str, ours: str) -> None:
    """Every 100th patch, read as a region and counted; compared with ours."""
    import numpy as np
    import tifffile
    import zarr

    expected = np.load(ours)
    with tifffile.TiffFile(path) as tif:
        array = zarr.open(tif.series[0].aszarr(level=0), mode="r")
        start, step = _cells(array.shape[1])
        places = [(y, x) for y in range(len(start)) for x in range(len(start))][::100]
        began, spent = time.perf_counter(), cpu_s()
        found = []
        for row, col in places:
            y, x = start[row], start[col]
            cell = np.asarray(array[y : y + step, x : x + step])
            found.append(np.bincount(cell.ravel(), minlength=6)[1:6] / cell.size)
        wall_s, work_s = time.perf_counter() - began, cpu_s() - spent
    same = all((np.float32(f) == expected[at]).all() for f, at in zip(found, places, strict=True))
    say(wall_s=wall_s, work_s=work_s, n=len(places), equal=same)


# --- (c) ------------------------------------------------------------------------------------------


def reading(slide: str, mpp: str) -> None:
    """All patches with tissue, in order: OpenSlide one by one, then ours on one thread and two."""
    import numpy as np
    import openslide

    from qpmask import make_patches, open_patches, patch_options

    with tempfile.TemporaryDirectory() as folder:
        options = patch_options(patch_size=PATCH, target_mpp=float(mpp), min_tissue=0.5)
        report = make_patches(slide, folder, options)
        patches = open_patches(Path(folder) / str(report.records[0].file))
        level = int(patches.attributes["patch_level"])
        n = min(len(patches), 2000)
        handle = openslide.OpenSlide(slide)
        equal, rates = True, {}
        kept = []
        began = time.perf_counter()
        for x, y in patches.coords[:n].tolist():
            region = handle.read_region((x, y), level, (PATCH, PATCH))
            pixels = np.asarray(region.convert("RGB"))
            kept.append(pixels if len(kept) < 200 else None)
        rates["openslide"] = n / (time.perf_counter() - began)
        for name, threads in (("one", 1), ("two", 2)):
            began = time.perf_counter()
            for i, pixels in enumerate(patches.iter_pixels(threads, range(n))):
                if kept[i] is not None:
                    equal &= bool((pixels == kept[i]).all())
            rates[name] = n / (time.perf_counter() - began)
        say(equal=equal, **rates)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
