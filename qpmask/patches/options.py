"""What patches to cut, as frozen records that make no sense can't be made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qpmask.common.arguments import check_fields, named
from qpmask.errors import OptionsError

if TYPE_CHECKING:
    from qpmask.options import EngineName

Edge = Literal["drop", "pad"]
EDGES: tuple[Edge, ...] = ("drop", "pad")
SizeRule = Literal["um", "magnification"]
SIZE_RULES: tuple[SizeRule, ...] = ("um", "magnification")
MAX_PATCH_PX = 1 << 15


@dataclass(frozen=True)
class GridOptions:
    """Size of the patches and where they lie.

    Attributes
    ----------
    patch_size : int
        Width and height of a patch, in pixels of the target resolution.
    target_mpp : float or None
        Micrometres per pixel of a patch. One of this and `target_mag` is given.
    target_mag : float or None
        The same as a magnification: 10 / `target_mag` micrometres, whatever the scanner calls it.
    by : str
        ``um``: the size at level 0 follows from the slide's micrometres. ``magnification``: from
        its nominal magnification, as AtlasPatch and TRIDENT do (512 at 40x for 256 at 20x); needs
        `target_mag`.
    step_size : int or None
        From one patch to the next, in pixels of the target resolution.
    overlap : int or None
        Of neighbours, in the same pixels: another way to say the step.
    edge : str
        ``drop``: no patch reaches beyond the slide. ``pad``: those that do are filled with white.
    """

    patch_size: int = 256
    target_mpp: float | None = None
    target_mag: float | None = None
    by: SizeRule = "um"
    step_size: int | None = None
    overlap: int | None = None
    edge: Edge = "drop"

    def __post_init__(self) -> None:
        check_fields(self, numbers=("target_mpp", "target_mag"), whole=("step_size", "overlap"))
        if not 1 <= self.patch_size <= MAX_PATCH_PX:
            raise OptionsError(f"patch_size is {self.patch_size}; it must be 1 to {MAX_PATCH_PX}.")
        if (self.target_mpp is None) == (self.target_mag is None):
            raise OptionsError(
                "The resolution of the patches must be given, once.",
                hint="Give the micrometres per pixel (--mpp 0.5) or a magnification "
                "(--target-mag 20).",
            )
        for name in ("target_mpp", "target_mag"):
            value = getattr(self, name)
            if value is not None and not 0.01 <= value <= 1000:
                raise OptionsError(f"{name} is {value:g}; it must be 0.01 to 1000.")
        _one_of("by", self.by, SIZE_RULES)
        _one_of("edge", self.edge, EDGES)
        if self.by == "magnification" and self.target_mag is None:
            raise OptionsError("--by magnification needs --target-mag.")
        if self.step_size is not None and self.overlap is not None:
            raise OptionsError("--step-size and --overlap say the same; give one of them.")
        if self.overlap is not None and not 0 <= self.overlap < self.patch_size:
            raise OptionsError(
                f"overlap is {self.overlap}; it must be 0 to {self.patch_size - 1} pixels."
            )
        if not 1 <= self.step_px <= MAX_PATCH_PX:
            raise OptionsError(f"step_size is {self.step_px}; it must be 1 to {MAX_PATCH_PX}.")

    @property
    def step_px(self) -> int:
        """From one patch to the next, in pixels of the target resolution."""
        if self.step_size is not None:
            return self.step_size
        return self.patch_size - (self.overlap or 0)


@dataclass(frozen=True)
class ChoiceOptions:
    """Which patches are kept.

    Attributes
    ----------
    tissue : str
        ``auto``, ``annotations``, ``none``, ``sam2``, or the path of a mask or of GeoJSON (in
        pixels of level 0; of an image of a project, in the image's), or of a folder that has one
        for each slide, called like it.
    tissue_classes : tuple of str
        Classes of the mask that count as tissue; by default all.
    sam2 : str or None
        With ``tissue="sam2"``: the checkpoint, a folder or a name on the Hugging Face hub
        (``name@revision`` for a fixed one) in Transformers' format, or a file of Meta's format
        (``model.pth``, or ``owner/name/model.pth`` on the hub).
    min_tissue : float
        Least share of a patch that is tissue, 0 to 1. At 0 any tissue at all is enough.
    white_thresh, black_thresh : float or None
        Most share of a patch whose pixels may be white (all of red, green and blue 220 and more) or
        black (35 and less). None does not look, since it takes reading every patch.
    only : tuple of str
        Keep patches of these classes alone: those whose majority they are.
    min_coverage : float
        Least share of a patch that its majority must have.
    """

    tissue: str = "auto"
    tissue_classes: tuple[str, ...] = ()
    sam2: str | None = None
    min_tissue: float = 0.15
    white_thresh: float | None = None
    black_thresh: float | None = None
    only: tuple[str, ...] = ()
    min_coverage: float = 0.5

    def __post_init__(self) -> None:
        check_fields(self, numbers=("white_thresh", "black_thresh"))
        for name in ("tissue_classes", "only"):
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        for name in ("min_tissue", "min_coverage", "white_thresh", "black_thresh"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise OptionsError(f"{name} is {value:g}; it is a share, 0 to 1.")
        if (self.tissue == "sam2") != (self.sam2 is not None):
            raise OptionsError(
                "--tissue sam2 and --sam2 go together: the second names the checkpoint.",
                hint="--tissue sam2 --sam2 FOLDER, or a name on the Hugging Face hub.",
            )

    @property
    def reads_patches(self) -> bool:
        """Whether the pixels of every patch have to be read."""
        return self.white_thresh is not None or self.black_thresh is not None


@dataclass(frozen=True)
class PatchOptions:
    """All that :func:`qpmask.make_patches` can be told.

    Attributes
    ----------
    grid : GridOptions
        Size of the patches and where they lie.
    choice : ChoiceOptions
        Which of them are kept.
    slide_mpp : float or None
        Micrometres per pixel of slides that do not say, or say it wrongly; for all of them.
    mpp_by_name : mapping of str to float
        The same by slide, by its file name without the ending.
    masks : Path or None
        Folder of masks that ``qpmask export`` made.
    mask_frame : str
        ``proved``: a mask must say where it lies upon the slide, or its project must. ``slide``:
        one that does not covers all of the slide's level 0; the user's word.
    labels : bool
        Whether to count classes; for a project its masks are made first.
    classes : Path or None
        Class map for the masks of a project.
    images : tuple of str
        Of a project, only these: names, entry ids or patterns.
    slides : tuple of Path
        Folders in which to look for slides of a project that moved.
    recursive : bool
        Look for slides in the folders of a folder too.
    engine : str
        What draws the masks of a project; as for the export.
    pictures : tuple of str
        Overlays to make: ``grid``, ``mask``, ``contours``, ``labels``.
    views : tuple of str
        Programs to write views for: ``clam``, ``trident``, ``stamp``.
    save_images : str or None
        ``png`` or ``jpeg``: save the patches themselves.
    force : bool
        Make files again that are there and still hold.
    workers : int
        Processes.
    device : str
        Where the model of ``tissue="sam2"`` runs: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    """

    grid: GridOptions
    choice: ChoiceOptions = ChoiceOptions()
    slide_mpp: float | None = None
    mpp_by_name: Mapping[str, float] = field(default_factory=dict)
    masks: Path | None = None
    mask_frame: str = "proved"
    labels: bool = True
    classes: Path | None = None
    images: tuple[str, ...] = ()
    slides: tuple[Path, ...] = ()
    recursive: bool = False
    engine: EngineName = "auto"
    pictures: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    save_images: str | None = None
    force: bool = False
    workers: int = 1
    device: str = "auto"

    def __post_init__(self) -> None:
        check_fields(self, numbers=("slide_mpp",))
        for name in ("images", "slides", "pictures", "views"):
            value = getattr(self, name)
            many = (value,) if isinstance(value, str | Path) else tuple(value)
            object.__setattr__(self, name, many)
        if not 1 <= self.workers <= 256:
            raise OptionsError(f"workers is {self.workers}; it must be 1 to 256.")
        _one_of("mask_frame", self.mask_frame, ("proved", "slide"))
        for picture in self.pictures:
            _one_of("visualize", picture, ("grid", "mask", "contours", "labels"))
        for view in self.views:
            _one_of("views", view, ("clam", "trident", "stamp"))
        if self.save_images is not None:
            _one_of("save_images", self.save_images, ("png", "jpeg"))


@named
def patch_options(
    *,
    patch_size: int = 256,
    target_mpp: float | None = None,
    target_mag: float | None = None,
    by: SizeRule = "um",
    step_size: int | None = None,
    overlap: int | None = None,
    edge: Edge = "drop",
    tissue: str = "auto",
    tissue_classes: str | Iterable[str] = (),
    sam2: str | None = None,
    min_tissue: float = 0.15,
    white_thresh: float | None = None,
    black_thresh: float | None = None,
    only: str | Iterable[str] = (),
    min_coverage: float = 0.5,
    slide_mpp: float | None = None,
    mpp_by_name: Mapping[str, float] | None = None,
    masks: Path | None = None,
    mask_frame: str = "proved",
    labels: bool = True,
    classes: Path | None = None,
    images: str | Iterable[str] = (),
    slides: str | Path | Iterable[str | Path] = (),
    recursive: bool = False,
    engine: EngineName = "auto",
    pictures: str | Iterable[str] = (),
    views: str | Iterable[str] = (),
    save_images: str | None = None,
    force: bool = False,
    workers: int = 1,
    device: str = "auto",
) -> PatchOptions:
    """Build :class:`PatchOptions` from plain names, wherever each has its home.

    What they mean is told by :class:`GridOptions`, :class:`ChoiceOptions` and
    :class:`PatchOptions`.

    >>> patch_options(patch_size=256, target_mpp=0.5, min_tissue=0.2).choice.min_tissue
    0.2

    Raises
    ------
    OptionsError
        A value makes no sense; the message names the option.
    """
    given: dict[str, Any] = dict(locals())  # all of the above, by name
    given["mpp_by_name"] = mpp_by_name or {}
    grid, choice = (
        {f.name: given.pop(f.name) for f in fields(part)} for part in (GridOptions, ChoiceOptions)
    )
    return PatchOptions(grid=GridOptions(**grid), choice=ChoiceOptions(**choice), **given)


def _one_of(name: str, value: object, values: tuple[str, ...]) -> None:
    if value not in values:
        raise OptionsError(f"{name} is {value!r}; it is one of {', '.join(values)}.")
