"""Tissue by a SAM2 checkpoint, prompted with a box around the whole picture.

As AtlasPatch segments slides: a small picture is stretched to the square that the model takes, one
mask of the whole-picture box is asked for, and where its score (a logit) is above 0 is tissue. What
is too small is dropped by the areas in mm² that ``thresholds`` uses; AtlasPatch drops pieces of
less than 1 % of the picture, which may be a biopsy beside a resection. The model is Transformers'
``Sam2Model``, from a folder or from the Hugging Face hub, or from a file of Meta's own format
(:mod:`.sam2_meta`), as AtlasPatch's is.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import MissingExtraError, OptionsError, QpmaskError
from qpmask.slides import Slide
from qpmask.tissue.area import TissueArea
from qpmask.tissue.components import drop_small, fill_small_holes
from qpmask.tissue.sam2_meta import SUFFIXES, load_meta
from qpmask.tissue.smallpicture import WANTED_UM, Picture, slide_picture
from qpmask.tissue.thresholds import TissueRules

PICTURE_PX = 1024
_WEIGHTS = ("*.safetensors", "*.bin")
_HINT = 'Install it with: pip install "qpmask[sam2]"'


def require_sam2(source: str) -> None:
    """Raise if a checkpoint can't be meant to be run here. Imports and loads nothing.

    Raises
    ------
    MissingExtraError
        PyTorch or Transformers is not installed.
    OptionsError
        `source` is a folder or a file that holds no checkpoint.
    """
    missing = [p for p in ("torch", "torchvision", "transformers")
               if importlib.util.find_spec(p) is None]  # fmt: skip
    if missing:
        raise MissingExtraError(
            f"--tissue sam2 needs {' and '.join(missing)}, not installed here.", hint=_HINT
        )
    path = Path(source).expanduser()
    if path.is_dir():
        if not checkpoint_files(source):
            raise OptionsError(
                f"{path} holds no SAM2 checkpoint: config.json and *.safetensors are wanted.",
                hint="That is Transformers' format, as facebook/sam2.1-hiera-tiny on the hub has "
                "it; or name a file of Meta's format (.pt, .pth), as AtlasPatch's model.pth.",
            )
    elif path.is_file() and path.suffix in SUFFIXES:
        return
    elif path.exists() or source.startswith(("/", ".", "~")) or not _is_on_hub(source):
        raise OptionsError(
            f"--sam2 is {source!r}, which is no folder, and no file of weights (.pt, .pth).",
            hint="It may also be a name on the Hugging Face hub such as "
            "facebook/sam2.1-hiera-tiny (NAME@REVISION for a fixed one), or a file there: "
            "AtlasAnalyticsLab/AtlasPatch/model.pth.",
        )


def _is_on_hub(source: str) -> bool:
    """Whether a name may be one on the hub: ``OWNER/NAME``, or a file of Meta's format in it."""
    n = source.count("/")
    return n <= 1 or (n == 2 and source.partition("@")[0].endswith(SUFFIXES))


def checkpoint_files(source: str) -> tuple[Path, ...]:
    """The files that decide what a model finds; none for a name on the hub."""
    path = Path(source).expanduser()
    if path.is_file():
        return (path,)
    if not (path / "config.json").is_file():
        return ()
    weights = {file for pattern in _WEIGHTS for file in path.glob(pattern)}
    return tuple(sorted({*weights, *path.glob("*.json")})) if weights else ()


def sam2_picture(slide: Slide, scales: Sequence[float], mpp: float) -> Picture:
    """The picture of a slide that the model is shown: 8 µm a pixel, coarser for a large slide.

    Parameters are those of :func:`~qpmask.tissue.smallpicture.slide_picture`.
    """
    longest = max(slide.levels[0].width_px, slide.levels[0].height_px)
    return slide_picture(slide, scales, mpp, max(WANTED_UM, longest * mpp / PICTURE_PX))


def find_tissue_by_sam2(
    picture: Picture, source: str, device: str = "auto", threads: int | None = None
) -> TissueArea:
    """Where a SAM2 checkpoint sees tissue.

    Parameters
    ----------
    picture : Picture
        The slide; :func:`sam2_picture` makes it.
    source : str
        A folder, a file of Meta's format, or a name on the hub (``OWNER/NAME``, or
        ``OWNER/NAME/model.pth`` for Meta's format), with ``@revision`` if wanted.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    threads : int, optional
        Of the processor, where several processes share it.

    Returns
    -------
    TissueArea
        A map of the picture's size.

    Raises
    ------
    OptionsError
        The checkpoint cannot be loaded, or is no SAM2.
    EngineUnavailableError
        There is no such device, or it has too little memory.
    """
    found = _mask_of(_loaded(source, device, threads), picture.pixels)
    rules, um2 = TissueRules(), picture.um * picture.um
    found = drop_small(found, rules.min_area_mm2 * 1e6 / um2)
    return TissueArea(fill_small_holes(found, rules.min_hole_mm2 * 1e6 / um2), picture.scale)


class _Sam2:
    """A model with its processor, on its device."""

    def __init__(self, source: str, device: str, threads: int | None) -> None:
        from qpmask.common.torchdevice import device_of, require_torch

        self.torch = require_torch(_HINT)
        self.device = device_of(device)
        if threads is not None:
            self.torch.set_num_threads(threads)
        require_sam2(source)
        try:
            with _silent_transformers():
                model, self.processor, lost = _load(source)
        except OptionsError:
            raise
        except Exception as error:  # Transformers, the hub and safetensors have errors of their own
            text = " ".join(str(error).split())[:300]
            raise OptionsError(
                f"The SAM2 checkpoint {source} cannot be loaded: {type(error).__name__}: {text}",
                hint="Without a network, give a folder that holds it (--sam2 FOLDER); a gated one "
                "needs 'hf auth login' or HF_TOKEN.",
            ) from error
        # Transformers fills what is missing with random numbers, and warns alone.
        if lost:
            raise OptionsError(
                f"{source} is no whole SAM2 checkpoint: {len(lost)} of its weights are missing or "
                f"of another shape, such as {min(lost)}.",
                hint="Give one that Transformers' Sam2Model can load.",
            )
        self.model = model.to(self.device).eval()


def _load(source: str) -> tuple[Any, Any, list[str]]:
    """A model, its processor, and the names of weights that the checkpoint lacks."""
    path = Path(source).expanduser()
    name, _, revision = source.partition("@")
    how = {"revision": revision} if revision and not path.exists() else {}
    if not path.exists() and name.count("/") == 2:
        repository, _, file = name.rpartition("/")
        hub = importlib.import_module("huggingface_hub")
        path = Path(hub.hf_hub_download(repository, file, **how))
    if path.is_file():
        return load_meta(path)
    from transformers import Sam2Model, Sam2Processor

    where = str(path) if path.is_dir() else name
    model, found = Sam2Model.from_pretrained(where, output_loading_info=True, **how)
    lost = [*found["missing_keys"], *found.get("mismatched_keys", ())]
    return model, Sam2Processor.from_pretrained(where, **how), list(map(str, lost))


@contextlib.contextmanager
def _silent_transformers() -> Iterator[None]:
    """No bars and warnings of its own upon the run's; what they would say is checked."""
    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _mask_of(sam2: _Sam2, pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """What the model finds in the box around all of a picture, shape (rows, columns)."""
    from qpmask.errors import EngineUnavailableError

    torch, (height, width) = sam2.torch, pixels.shape[:2]
    given = sam2.processor(
        images=pixels, input_boxes=[[[0, 0, width, height]]], return_tensors="pt",
        input_data_format="channels_last",
    )  # fmt: skip
    sizes = given.pop("original_sizes")
    try:
        with torch.inference_mode():
            out = sam2.model(**given.to(sam2.device), multimask_output=False)
            masks = sam2.processor.post_process_masks(out.pred_masks.float(), sizes)
    except torch.OutOfMemoryError as error:
        raise EngineUnavailableError(
            f"{sam2.device} has too little memory for SAM2.", hint="Use --device cpu."
        ) from error
    found: NDArray[np.bool_] = masks[0][0, 0].cpu().numpy().astype(np.bool_)
    return found


_LOADED: dict[tuple[str, str], _Sam2 | QpmaskError] = {}


def _loaded(source: str, device: str, threads: int | None) -> _Sam2:
    """The model, loaded once in a process; what failed once fails for every slide, at once."""
    key = source, device
    if key not in _LOADED:
        _LOADED.clear()
        try:
            _LOADED[key] = _Sam2(source, device, threads)
        except QpmaskError as error:
            _LOADED[key] = error
    found = _LOADED[key]
    if isinstance(found, QpmaskError):
        raise found
    return found
