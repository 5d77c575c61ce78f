"""``qpmask patches``: slides cut into patches, with tissue and labels, one HDF5 a slide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qpmask.cli import exits
from qpmask.cli.paramtypes import on_many_machines
from qpmask.cli.signals import stop_signals
from qpmask.errors import OptionsError
from qpmask.options import ENGINES

_SOURCE = click.Path(path_type=Path)


@click.command("patches", short_help="Cut slides into patches for training.")
@click.argument("inputs", nargs=-1, required=True, type=_SOURCE, metavar="INPUT...")
@click.option("-o", "--out", type=_SOURCE, help="Output folder.")
@click.option(
    "--patch-size", type=int, default=256, show_default=True, help="In pixels of the patch."
)
@click.option("--mpp", type=float, metavar="UM", help="Micrometres per pixel of a patch.")
@click.option("--target-mag", type=float, metavar="X", help="The same as magnification: 20 is 0.5.")
@click.option(
    "--by", type=click.Choice(("um", "magnification")), default="um", show_default=True,
    help="Size by the slide's micrometres, or by its nominal magnification.",
)  # fmt: skip
@click.option("--step-size", type=int, help="From patch to patch. [default: the patch size]")
@click.option("--overlap", type=int, help="Of neighbours, instead.")
@click.option(
    "--edge", type=click.Choice(("drop", "pad")), default="drop", show_default=True,
    help="Patches that reach beyond the slide: left out, or filled with white.",
)  # fmt: skip
@click.option(
    "--tissue", default="auto", show_default=True, metavar="auto|annotations|none|sam2|FILE",
    help="Where patches are: FILE is a mask or GeoJSON, or a folder with one for each slide.",
)  # fmt: skip
@click.option("--tissue-class", multiple=True, metavar="NAME", help="Of the mask; repeatable.")
@click.option("--sam2", metavar="FOLDER|FILE|HUBNAME", help="The checkpoint of --tissue sam2.")
@click.option(
    "--min-tissue", type=float, default=0.15, show_default=True, help="Least share of a patch."
)
@click.option("--white-thresh", type=float, help="Most share of white pixels; reads every patch.")
@click.option("--black-thresh", type=float, help="Most share of black pixels; reads every patch.")
@click.option("--masks", type=_SOURCE, help="Folder of masks that 'qpmask export' made.")
@click.option(
    "--mask-frame", type=click.Choice(("proved", "slide")), default="proved", show_default=True,
    help="What masks that do not say where they lie are taken for: 'slide' covers level 0.",
)  # fmt: skip
@click.option("--labels/--no-labels", default=True, show_default=True, help="Count classes.")
@click.option("--classes", type=_SOURCE, help="Class map for the masks of a project.")
@click.option("--only", multiple=True, metavar="CLASS", help="Patches of this class; repeatable.")
@click.option(
    "--min-coverage", type=float, default=0.5, show_default=True,
    help="Least share of a patch that its majority class covers.",
)  # fmt: skip
@click.option("--slide-mpp", type=float, metavar="UM", help="Of slides that do not say.")
@click.option("--mpp-csv", type=_SOURCE, help="The same by slide: columns wsi and mpp.")
@click.option("--recursive", is_flag=True, help="Look into folders of folders.")
@click.option("--images", multiple=True, metavar="NAME|ID|PATTERN", help="Of a project.")
@click.option("--slides", multiple=True, type=_SOURCE, help="Where slides of a project moved to.")
@click.option(
    "--engine", type=click.Choice(ENGINES), default="auto", show_default=True,
    envvar="QPMASK_ENGINE", help="What draws the masks of a project.",
)  # fmt: skip
@click.option("--visualize", metavar="KINDS", help="A picture a slide: grid,mask,contours,labels.")
@click.option("--save-images", type=click.Choice(("png", "jpeg")), help="The patches as images.")
@click.option(
    "--for", "programs", type=click.Choice(("clam", "trident", "stamp")), multiple=True,
    help="Files as these programs want them, beside ours; repeatable.",
)  # fmt: skip
@click.option(
    "--features", "extractors", multiple=True, metavar="NAME[,NAME]",
    help="Then make features of them: see 'qpmask features'; repeatable.",
)  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="Where models run.")
@click.option("--workers", type=int, default=1, show_default=True, help="Processes.")
@on_many_machines
@click.option("--dry-run", is_flag=True, help="Show the plan and write nothing.")
@click.option("--skip-existing", is_flag=True, default=True, hidden=True)
@click.option("--force", is_flag=True, help="Make files anew that are there and still hold.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
@click.option("-v", "--verbose", count=True, help="Show what happens.")
def command(
    inputs: tuple[Path, ...], out: Path | None, dry_run: bool, as_json: bool, quiet: bool,
    verbose: int, skip_existing: bool, plan: Path | None, dask: str | None, **values: Any,
) -> int:  # fmt: skip
    """Cut slides into patches for training: coordinates, tissue, and the share of every class.

    INPUT is slides, folders, a CSV or text list, or a QuPath project, whose masks are made first.
    Each slide gets DIR/patches/NAME.h5, which AtlasPatch, CLAM and TRIDENT read too; DIR also gets
    report.json and report.csv. A second run skips files that still hold.
    """
    exits.set_up_logging(verbose)
    from qpmask.cli.batchprogress import BatchDisplay
    from qpmask.cli.patchtables import show_patch_plan, show_patch_report
    from qpmask.cli.progress import Display
    from qpmask.patches.options import patch_options
    from qpmask.patches.run import dry_run as plan_of
    from qpmask.patches.run import make_patches, plan_patches
    from qpmask.patches.sources import check_inputs, read_mpp_table

    if out is None and not dry_run:
        raise OptionsError("Name the output folder.", hint="qpmask patches INPUT -o patches")
    check_inputs(inputs)
    table, pictures = values.pop("mpp_csv"), values.pop("visualize")
    views = values.pop("programs")
    features = _feature_options(values.pop("extractors"), values["device"], views)
    options = patch_options(
        **{k: v for k, v in values.items() if k not in ("mpp", "tissue_class")},
        target_mpp=values["mpp"],
        pictures=tuple(pictures.replace(" ", "").split(",")) if pictures else (),
        views=views,
        tissue_classes=values["tissue_class"],
        mpp_by_name={} if table is None else read_mpp_table(table),
    )
    if dry_run:
        records = plan_of(plan_patches(inputs, options), out)
        show_patch_plan(records, as_json=as_json)
        return exits.OK if all(r.ok for r in records) else exits.FAILED
    assert out is not None
    if plan is not None or dask is not None:
        from qpmask.cli.plantables import planned
        from qpmask.patches.planned import plan_patches_run

        if features is not None:
            raise OptionsError(
                "--features is for one run.",
                hint=f"Plan them apart, when the patches are there: qpmask features {out} --plan",
            )
        return planned(
            lambda: plan_patches_run(inputs, out, options), plan, dask,
            as_json=as_json, quiet=quiet,
        )  # fmt: skip
    with (
        stop_signals() as (stop, begun),
        Display(quiet=quiet or as_json) as masks,
        BatchDisplay(quiet=quiet or as_json) as display,
    ):

        def on_masks(event: Any) -> None:
            begun.set()
            masks(event)

        def listen(event: Any) -> None:
            begun.set()
            masks.__exit__()
            display(event)

        report = make_patches(inputs, out, options, listen, stop, export_progress=on_masks)
    show_patch_report(report, as_json=as_json, quiet=quiet)
    if report.interrupted:
        return exits.INTERRUPTED
    if features is None:
        return exits.OK if report.ok else exits.FAILED
    files = [out / r.file for r in report if r.ok and r.file is not None]
    found = _make_features(files, features, as_json=as_json, quiet=quiet) if files else exits.OK
    return found if report.ok else max(found, exits.FAILED)


def _feature_options(extractors: tuple[str, ...], device: str, views: tuple[str, ...]) -> Any:
    """What to make features by, checked before a patch is cut; None if nothing."""
    if not extractors:
        return None
    from qpmask.features.options import feature_options

    names = [name for part in extractors for name in part.split(",")]
    return feature_options(names, device=device, views=views)


def _make_features(files: list[Path], options: Any, *, as_json: bool, quiet: bool) -> int:
    from qpmask.cli.commands.features import exit_code, make_features
    from qpmask.cli.featuretables import show_feature_report

    report = make_features(files, options, quiet=quiet or as_json)
    show_feature_report(report, quiet=quiet or as_json)  # with --json, what went wrong alone
    return exit_code(report)
