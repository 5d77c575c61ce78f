"""The command line: ``qpmask COMMAND``. One module a command; each is loaded when it is called.

A command parses, builds options, calls the library, and shows. Results go to stdout, progress and
errors to stderr. Exit codes are in :mod:`qpmask.cli.exits`.
"""

from __future__ import annotations

import importlib

import click

from qpmask._version import __version__

#: Command name -> module in the folder commands, in the order of the help text.
COMMANDS = {
    "export": "export",
    "classes": "classes",
    "info": "info",
    "check": "check",
    "compare": "compare",
    "view": "view",
    "serve": "serve",
    "annotations": "annotations",
    "polygons": "polygons",
    "pack": "pack",
    "unpack": "unpack",
    "patches": "patches",
    "features": "features",
    "finalize": "finalize",
    "work": "work",
    "collect": "collect",
    "status": "status",
    "submit": "submit",
    "import": "import_objects",
    "restore": "restore",
    "groovy": "groovy",
    "doctor": "doctor",
    "get-qupath": "get_qupath",
}

_HELP = """Class masks from QuPath projects.

\b
  qpmask export PROJECT -o masks     one OME-TIFF label mask for every image
  qpmask check masks                 read the masks back

Exit codes: 0 all done, 1 some failed or invalid, 2 usage or configuration,
3 no usable QuPath or JVM, 130 interrupted.
"""


class _LazyGroup(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            import difflib

            near = difflib.get_close_matches(cmd_name, COMMANDS, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            ctx.fail(f"No such command '{cmd_name}'.{hint}")
        module = importlib.import_module(f"qpmask.cli.commands.{COMMANDS[cmd_name]}")
        command = module.command
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_LazyGroup, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="qpmask")
def app() -> None:
    """Group of all commands; the help text is above."""
