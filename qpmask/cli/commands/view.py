"""``qpmask view``: look at a mask, in a window or as a picture in a file."""

from __future__ import annotations

from pathlib import Path

import click

from qpmask.cli import exits


@click.command("view", short_help="Look at a mask, with its legend and its slide.")
@click.argument("mask", type=click.Path(path_type=Path))
@click.option(
    "--region",
    type=int,
    nargs=4,
    metavar="X Y W H",
    help="Show this part, in pixels of the mask at full resolution.",
)
@click.option(
    "--downsample",
    type=float,
    metavar="D",
    help="Pixels of the mask in a pixel of the picture; below 1 magnifies. "
    "By default all of the region fits.",
)
@click.option(
    "--slide",
    type=click.Path(path_type=Path),
    help="Show the mask upon this slide, of which it must cover all.",
)
@click.option(
    "--opacity",
    type=click.FloatRange(0, 1),
    metavar="0..1",
    help="Of the mask upon the slide.  [default: 0.5]",
)
@click.option(
    "--plane",
    metavar="N|NAME",
    help="Plane of a mask that has several: a number from 0, or a channel's name.",
)
@click.option(
    "--save",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png",
    help="Save a picture instead of opening a window; needs no screen.",
)
@click.option("-v", "--verbose", count=True, help="Show what happens.")  # fmt: skip
def command(
    mask: Path,
    region: tuple[int, int, int, int] | None,
    downsample: float | None,
    slide: Path | None,
    opacity: float | None,
    plane: str | None,
    save: Path | None,
    verbose: int,
) -> int:
    """Look at a mask: ours, QuPath's, or any TIFF of labels.

    \b
    In the window: drag to move, wheel or + and - to zoom, arrows to move,
    Home for everything, space hides the mask, [ and ] its opacity, q closes.

    The legend lists the classes in what is shown, with their share of its pixels. Labels without
    a colour get one that colour-blind people can tell apart. Needs: pip install "qpmask[view]".
    """  # noqa: D301 - click's mark for lines that stay as they are
    exits.set_up_logging(verbose)
    from qpmask.cli.console import error_console
    from qpmask.cli.paths import mask_file
    from qpmask.viewer.opening import open_scene
    from qpmask.viewer.picture import check_target
    from qpmask.viewer.png import save_scene
    from qpmask.viewer.viewport import clip_region, picture_viewport

    mask_file(mask)
    check_target(save, mask, slide)
    with open_scene(mask, plane=plane, slide_path=slide, opacity=opacity) as scene:
        for note in scene.notes:
            error_console().print(f"note: {note}")
        if save is None:
            from qpmask.viewer.window import FirstView, show

            show(scene, FirstView(clip_region(scene.size, region), downsample))
            return exits.OK
        saved = save_scene(scene, picture_viewport(scene.size, region, downsample), save)
    click.echo(f"{save}: {saved} pixels")
    return exits.OK
