"""``qpmask classes``: which classes a project uses, and a class map to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qpmask.cli import exits
from qpmask.errors import OutputError, QpmaskError
from qpmask.options import OBJECTS


@click.command("classes", short_help="Show which classes a project uses; write a class map.")
@click.argument("project", type=click.Path(path_type=Path))
@click.option(
    "--objects", type=click.Choice(OBJECTS), default="annotations", show_default=True,
    help="Which objects to count.",
)  # fmt: skip
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="Write a class map (YAML) to start from."
)
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
@click.option("-v", "--verbose", count=True, help="Show what happens.")
def command(
    project: Path, objects: str, out: Path | None, force: bool, as_json: bool, verbose: int
) -> int:
    """Show the classes of a QuPath project: in how many objects of how many images.

    Reads the data files itself and starts no Java. With -o, writes a class map to edit: labels in
    the order of the project's class list, then classes in use that are not on it.
    """
    exits.set_up_logging(verbose)
    from rich.text import Text

    from qpmask.classes import class_map_from_classes
    from qpmask.cli.console import class_text, error_console, out_console, print_json
    from qpmask.cli.grouping import grouped
    from qpmask.cli.tables import Cell, columns_of, print_table
    from qpmask.plan import count_classes
    from qpmask.project import ProjectClass, open_project
    from qpmask.project.inventory import read_inventory

    opened = open_project(project)
    inventories, failed = [], []
    for entry in opened:
        try:
            inventories.append(read_inventory(entry))
        except QpmaskError as error:
            failed.append((entry, error))
    counts = count_classes(i.counts(objects) for i in inventories)
    colors: dict[str, Any] = {c.name: c.color for c in opened.classes}
    for inventory in inventories:
        for name in inventory.counts(objects):
            if name is not None:
                colors.setdefault(name, inventory.colors.get(name))
    class_map = class_map_from_classes(
        opened.classes, [ProjectClass(n, c) for n, c in colors.items()]
    )
    listed = {c.name for c in opened.classes}
    names: list[str | None] = [e.name for e in class_map.entries]
    names += sorted({n for n in counts if n is not None} - set(names))
    names += [None] if None in counts else []
    rows = []
    for each in names:
        found = None if each is None else class_map.find(each)
        rows.append(
            {
                "class": each,
                "label": None if found is None else found.label,
                "objects": counts.get(each, (0, 0))[0],
                "images": counts.get(each, (0, 0))[1],
                "on_project_list": each in listed,
            }
        )
    if as_json:
        problems = [{"entry_id": e.id, "image": e.name, "error": str(x)} for e, x in failed]
        print_json(
            {"project": str(opened.path), "objects": objects, "classes": rows, "failed": problems}
        )
    else:
        table: list[list[Cell]] = []
        for row in rows:
            shown = row["class"]
            text = (
                Text("  (unclassified)", "dim")
                if shown is None
                else class_text(str(shown), colors.get(str(shown)))
            )
            label = "" if row["label"] is None else str(row["label"])
            table.append([label, text, f"{row['objects']:,}", f"{row['images']:,}", _note(row)])
        columns = columns_of(">label", "class", ">objects", ">images", "note")
        title = f"Classes of {opened.path} ({objects})"
        print_table(out_console(), columns, table, title=title, heading=2)
    for finding in opened.findings:
        error_console().print(Text("warning: ", "yellow") + Text(finding), soft_wrap=True)
    wrong = [(entry.id, str(failure)) for entry, failure in failed]
    for line in grouped(wrong, [(e.id, e.name) for e in opened], opened.path):
        exits.show_error(QpmaskError(line))
    if out is not None:
        if out.suffix.lower() not in (".yaml", ".yml"):
            raise OutputError(f"{out} is not a .yaml file.", hint="Class maps are written as YAML.")
        if out.exists() and not force:
            raise OutputError(f"{out} is there already.", hint="Use --force to replace it.")
        from qpmask.outputs import writing

        with writing(out, "The class map"):
            part = out.with_name(f".{out.name}.part")
            part.write_text(class_map.to_yaml(), encoding="utf-8")
            part.replace(out)
        click.echo(f"Wrote {out}; edit it and give it to 'qpmask export --classes'.", err=True)
    return exits.FAILED if failed else exits.OK


def _note(row: dict[str, Any]) -> str:
    if row["class"] is None:
        return "left out unless --unclassified says otherwise"
    if row["label"] is None:
        return "ignored: its name ends in *"
    if not row["on_project_list"]:
        return "in use, not on the project's list"
    return "" if row["objects"] else "not in use"
