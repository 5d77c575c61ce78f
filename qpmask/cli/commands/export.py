"""``qpmask export``: one mask for every image of a project."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qpmask.cli import exits
from qpmask.cli.config import load_config, say_what_the_file_gives
from qpmask.cli.paramtypes import UNCLASSIFIED, on_many_machines
from qpmask.cli.signals import stop_signals
from qpmask.errors import OptionsError
from qpmask.options import (
    COMPRESSIONS,
    ENGINES,
    FORMATS,
    HIDDEN_POLICIES,
    OBJECTS,
    ORDERS,
    PROGRAMS_WITH_MASKS,
    UNKNOWN_POLICIES,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from qpmask.events import Event, Listener
    from qpmask.report import Report


class _Export(click.Command):
    """A command whose defaults may come from ``qpmask.toml``."""

    def make_context(
        self, info_name: str | None, args: list[str], *rest: Any, **kwargs: Any
    ) -> click.Context:
        if not {"-h", "--help"} & set(args):
            kwargs.setdefault("default_map", load_config(self))
        return super().make_context(info_name, args, *rest, **kwargs)


#: Options that exclude each other: one on the command line overrules the others in the file.
_OPPOSITES = (
    ("downsample", "mpp"),
    ("classes", "preset"),
    ("instances", "multichannel"),
    ("boundary", "multichannel"),
)


def _overrule(ctx: click.Context, values: dict[str, Any]) -> None:
    """Drop options of the file whose opposite is on the command line."""
    from_file = click.core.ParameterSource.DEFAULT_MAP
    sources = {name: ctx.get_parameter_source(name) for name in values}
    explicit = (click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.ENVIRONMENT)
    for group in _OPPOSITES:
        if any(sources[name] in explicit for name in group):
            for name in group:
                if sources[name] is from_file:
                    values[name] = False if isinstance(values[name], bool) else None


@click.command("export", cls=_Export, short_help="Export the masks of a project.")
@click.argument("project", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Output folder.")
@click.option(
    "--classes", type=click.Path(path_type=Path), help="Class map: a YAML, JSON or CSV file."
)
@click.option("--preset", help="A class map that comes with qpmask, such as 'prostate'.")
@click.option(
    "--unknown",
    type=click.Choice(UNKNOWN_POLICIES),
    default="error",
    show_default=True,
    help="What to do with classes in use that the class map lacks.",
)
@click.option(
    "--unclassified",
    type=UNCLASSIFIED,
    help="Objects without a class: 'ignore', 'error' or a label. [default: ignore, and warn]",
)
@click.option(
    "--order", type=click.Choice(ORDERS),
    help="What covers what: a later class of the map an earlier one, or a smaller object a larger "
    "one, as in QuPath's viewer. [default: as the class map says, else classes]",
)  # fmt: skip
@click.option(
    "--hidden", type=click.Choice(HIDDEN_POLICIES), default="warn", show_default=True,
    help="Objects that leave no pixel: say which, or let their image fail.",
)  # fmt: skip
@click.option(
    "--objects", type=click.Choice(OBJECTS), default="annotations", show_default=True,
    help="What to draw.",
)  # fmt: skip
@click.option(
    "--line-thickness", type=float, default=1.0, show_default=True, help="In mask pixels."
)
@click.option("--boundary", type=int, metavar="LABEL", help="Draw outlines with this label.")
@click.option("--instances", is_flag=True, help="A label of its own for each object.")
@click.option("--multichannel", is_flag=True, help="One plane for each class.")
@click.option("--downsample", type=float, help="Image pixels per mask pixel. [default: 1]")
@click.option("--mpp", type=float, metavar="UM", help="Micrometres per mask pixel instead.")
@click.option("--tile-size", type=int, default=512, show_default=True, help="In pixels.")
@click.option(
    "--compression", type=click.Choice(COMPRESSIONS), default="lzw", show_default=True,
    help="Of the tiles; all are lossless.",
)  # fmt: skip
@click.option(
    "--format", type=click.Choice(FORMATS), default="ome-tiff", show_default=True,
    help="Of the masks: TIFFs, or collections of masks by name (OME-Zarr: one file, a folder).",
)  # fmt: skip
@click.option(
    "--for", "made_for", type=click.Choice(PROGRAMS_WITH_MASKS),
    help="Masks in strips, for SimpleITK, ITK and ImageJ. [default: tiles, for all others]",
)  # fmt: skip
@click.option("--pyramid/--no-pyramid", default=True, show_default=True, help="Smaller levels.")
@click.option("--images", multiple=True, metavar="NAME|ID|PATTERN", help="Only these; repeatable.")
@click.option(
    "--slides", multiple=True, type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder in which to look for slides that moved; repeatable.",
)  # fmt: skip
@click.option("--jvm-memory", metavar="SIZE", help="Java heap, such as 4g.")
@click.option(
    "--workers", type=int, default=1, show_default=True, help="Processes (of QuPath: JVMs)."
)
@click.option(
    "--engine", type=click.Choice(ENGINES), default="auto", show_default=True,
    envvar="QPMASK_ENGINE", show_envvar=True,
    help="What draws: QuPath, or qpmask itself without Java (the same pixels).",
)  # fmt: skip
@click.option(
    "--use-backup", is_flag=True,
    help="Read QuPath's backup where a data file is damaged or gone.",
)  # fmt: skip
@click.option(
    "--previews", is_flag=True,
    help="Also a picture of each mask, upon its slide, and all on one sheet.",
)  # fmt: skip
@on_many_machines
@click.option("--dry-run", is_flag=True, help="Show the plan and write nothing.")
@click.option("--force", is_flag=True, help="Make masks anew that are there and still hold.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
@click.option("-v", "--verbose", count=True, help="Show what happens; -vv also in Java.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    project: Path,
    out: Path | None,
    as_json: bool,
    quiet: bool,
    verbose: int,
    dry_run: bool,
    plan: Path | None,
    dask: str | None,
    **values: Any,
) -> int:
    """Export one label mask for every image of a QuPath project.

    PROJECT is a .qpproj file or its folder. Masks are pyramidal OME-TIFFs, one label a pixel, each
    with a JSON sidecar; the folder also gets report.json, report.csv, areas.csv and classes.yaml. A
    second run skips masks that still hold. The options may also stand in a qpmask.toml in the
    working folder.
    """
    exits.set_up_logging(verbose)
    from qpmask.classes import load_preset
    from qpmask.export.run import export_masks, plan_export
    from qpmask.options import export_options

    _overrule(ctx, values)
    if not quiet:
        say_what_the_file_gives(ctx, values)
    classes, preset = values.pop("classes"), values.pop("preset")
    if classes is not None and preset is not None:
        raise OptionsError("--classes and --preset exclude each other.")
    if out is None and not dry_run:
        raise OptionsError("Name the output folder.", hint="qpmask export PROJECT -o masks")
    chosen = load_preset(preset) if preset is not None else classes
    values["tile_px"] = values.pop("tile_size")
    values["boundary_label"] = values.pop("boundary")
    options = export_options(**values)
    if dry_run:
        from qpmask.cli.exporttables import show_plan

        found = plan_export(project, out, chosen, options)
        show_plan(found, as_json=as_json)
        return exits.FAILED if any(p.error for p in found.images) else exits.OK
    assert out is not None
    if plan is not None or dask is not None:
        from qpmask.cli.plantables import planned
        from qpmask.export.planned import plan_export_run

        return planned(
            lambda: plan_export_run(project, out, chosen, options), plan, dask,
            as_json=as_json, quiet=quiet,
        )  # fmt: skip
    report, said = _run(
        partial(export_masks, project, out, chosen, options), shown=not (quiet or as_json)
    )
    if as_json or not (quiet and report.ok):
        from qpmask.cli.exporttables import show_report

        show_report(report, as_json=as_json, quiet=quiet, said=said)
    if report.interrupted:
        return exits.INTERRUPTED
    return exits.OK if report.ok else exits.FAILED


def _run(
    export: Callable[[Listener, threading.Event], Report], *, shown: bool
) -> tuple[Report, tuple[str, ...]]:
    """Export, and show how it goes on; the report, and the warnings that were shown."""
    with ExitStack() as stack:
        display = None
        if shown:
            from qpmask.cli.progress import Display

            display = stack.enter_context(Display())
        stop, begun = stack.enter_context(stop_signals())

        def listen(event: Event) -> None:
            begun.set()
            if display is not None:
                display(event)

        report = export(listen, stop)
    return report, () if display is None else display.said
