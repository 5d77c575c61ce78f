"""``qpmask doctor``: which QuPath, JVM, paquo and JPype are found, and whether they work."""

from __future__ import annotations

import os

import click

from qpmask.cli import exits


@click.command("doctor", short_help="Tell which engines are there and work.")
@click.option("--jvm-memory", metavar="SIZE", help="Java heap to try, such as 4g.")
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
@click.option("-v", "--verbose", count=True, help="Show what happens.")
def command(jvm_memory: str | None, as_json: bool, verbose: int) -> int:
    """Find QuPath, start its JVM, and say what to do if that does not work.

    Where there is no QuPath, the native engine makes the same masks, and all is well; QPMASK_ENGINE
    is heeded. Exit code 3 if a QuPath that is there, or that is named, cannot be used.
    """
    exits.set_up_logging(verbose)
    from dataclasses import asdict

    from rich.text import Text

    from qpmask.cli.console import out_console, print_json
    from qpmask.options import parse_memory
    from qpmask.setup.doctor import diagnose

    if jvm_memory is not None:
        parse_memory(jvm_memory)
    findings = diagnose(jvm_memory, os.environ.get("QPMASK_ENGINE"))
    ok = all(f.ok is not False for f in findings)
    if as_json:
        print_json({"ok": ok, "parts": [asdict(f) for f in findings]})
        return exits.OK if ok else exits.NO_QUPATH
    console = out_console()
    marks = {
        True: Text("ok    ", "green"),
        False: Text("WRONG ", "bold red"),
        None: Text("-     ", "dim"),
    }
    for finding in findings:
        console.print(
            marks[finding.ok] + Text(f"{finding.part}: ") + Text(finding.text), soft_wrap=True
        )
        if finding.hint:
            console.print(Text("      " + finding.hint, "yellow"), soft_wrap=True)
    by_part = {f.part: f for f in findings}
    without = " '--engine native' makes masks without it." if by_part["Native engine"].ok else ""
    if not ok:
        console.print(f"QuPath cannot be used.{without}")
    elif "QuPath" in by_part and by_part["QuPath"].ok:
        console.print("QuPath is ready, and so is the native engine.")
    else:
        console.print("The native engine is ready; it makes the masks that QuPath would make.")
    return exits.OK if ok else exits.NO_QUPATH
