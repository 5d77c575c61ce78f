"""``qpmask features``: patches become vectors, in the same files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qpmask.cli import exits
from qpmask.cli.paramtypes import on_many_machines
from qpmask.cli.signals import stop_signals
from qpmask.errors import OptionsError

if TYPE_CHECKING:
    from qpmask.features.options import FeatureOptions
    from qpmask.features.report import FeatureReport

_FILE = click.Path(path_type=Path)


@click.command("features", short_help="Make features of patches, by any of many models.")
@click.argument("patches", nargs=-1, type=_FILE, metavar="PATCHES...")
@click.option(
    "--extractor", "extractors", multiple=True, metavar="NAME[,NAME]|FILE.onnx|MODULE:FACTORY",
    help="What makes the features; repeatable.",
)  # fmt: skip
@click.option("--list", "show_list", is_flag=True, help="Show the extractors that have a name.")
@click.option(
    "--device", default="auto", show_default=True, metavar="auto|cpu|cuda[:N]|mps",
    help="Where it runs.",
)  # fmt: skip
@click.option("--batch-size", type=int, default=32, show_default=True, help="Patches at a time.")
@click.option(
    "--precision", type=click.Choice(("float32", "float16", "bfloat16")), default="float32",
    show_default=True, help="Of the computation.",
)  # fmt: skip
@click.option(
    "--num-workers", type=int, default=4, show_default=True, help="Processes that read patches."
)
@click.option(
    "--store", type=click.Choice(("float32", "float16")), default="float32", show_default=True,
    help="Of what is stored.",
)  # fmt: skip
@click.option(
    "--weights", "weights", multiple=True, metavar="NAME=FOLDER",
    help="Weights of an extractor from a folder; repeatable.",
)  # fmt: skip
@click.option(
    "--normalize", type=click.Choice(("imagenet", "clip", "half", "none")), default="imagenet",
    show_default=True, help="How colours are scaled for a model of your own.",
)  # fmt: skip
@click.option("--slides", multiple=True, type=_FILE, help="Where the slides moved to; repeatable.")
@click.option(
    "--for", "views", type=click.Choice(("clam", "trident", "stamp")), multiple=True,
    help="Files as these programs want them, beside ours; repeatable.",
)  # fmt: skip
@on_many_machines
@click.option("--force", is_flag=True, help="Make features anew that are there.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
@click.option("-v", "--verbose", count=True, help="Show what happens.")
def command(
    patches: tuple[Path, ...], extractors: tuple[str, ...], show_list: bool, as_json: bool,
    quiet: bool, verbose: int, weights: tuple[str, ...], plan: Path | None, dask: str | None,
    **values: Any,
) -> int:  # fmt: skip
    """Make a vector of every patch, by a model of your choice.

    PATCHES is patch files that 'qpmask patches' made, or their folder. Each file gets
    features/NAME, in the order of its patches. A second run skips features that still hold; one
    that was stopped, by whatever, goes on where it was.
    """
    exits.set_up_logging(verbose)
    from qpmask.cli.featuretables import show_feature_report, show_models
    from qpmask.features.options import feature_options

    if show_list:
        show_models(as_json=as_json)
        return exits.OK
    if not patches:
        raise OptionsError(
            "Name patch files, or their folder.",
            hint="As in: qpmask features DIR --extractor resnet50 ('qpmask features --list').",
        )
    options = feature_options(
        [name for part in extractors for name in part.split(",")],
        weights=dict(_named_folder(text) for text in weights), **values,
    )  # fmt: skip
    if plan is not None or dask is not None:
        from qpmask.cli.plantables import planned
        from qpmask.features.planned import plan_features_run

        return planned(
            lambda: plan_features_run(patches, options), plan, dask, as_json=as_json, quiet=quiet
        )
    report = make_features(patches, options, quiet=quiet or as_json)
    show_feature_report(report, as_json=as_json, quiet=quiet)
    return exit_code(report)


def make_features(
    patches: Sequence[Path], options: FeatureOptions, *, quiet: bool
) -> FeatureReport:
    """Make features and show how it goes."""
    from qpmask.cli.batchprogress import BatchDisplay
    from qpmask.features.run import extract_features

    with stop_signals() as (stop, begun), BatchDisplay(quiet=quiet) as display:

        def listen(event: Any) -> None:
            begun.set()
            display(event)

        return extract_features(patches, options, listen, stop)


def exit_code(report: FeatureReport) -> int:
    """What a run ends with."""
    if report.interrupted:
        return exits.INTERRUPTED
    return exits.OK if report.ok else exits.FAILED


def _named_folder(text: str) -> tuple[str, str]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise OptionsError(f"--weights is {text!r}.", hint="Write NAME=FOLDER.")
    return name, folder
