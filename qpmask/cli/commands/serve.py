"""``qpmask serve``: look at a project, masks and patches in a browser."""

from __future__ import annotations

from pathlib import Path

import click

from qpmask.cli import exits


@click.command("serve", short_help="Look at slides, masks and patches in a browser.")
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--slides",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Look for slides here that are not where the project says. May be repeated.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="0 takes a free one.  [default: 0]"
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Where to listen. Other than this machine: everybody with the address can look.",
)
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser of this machine.")
@click.option("-v", "--verbose", count=True, help="Show what happens.")
def command(
    inputs: tuple[Path, ...],
    slides: tuple[Path, ...],
    port: int,
    host: str,
    opens: bool,
    verbose: int,
) -> int:
    """Look at slides, masks and patches in a browser.

    \b
    INPUTS: QuPath projects, folders that qpmask export or qpmask patches made,
    masks, patch files. Masks of one image from several folders are compared.

    The page is served until Ctrl-C; nothing is written. On a server: leave --host as it is, and
    reach the page by ssh -L PORT:localhost:PORT. Needs: pip install "qpmask[serve]".
    """  # noqa: D301 - click's mark for lines that stay as they are
    exits.set_up_logging(verbose)
    import threading
    import webbrowser

    from qpmask.cli.console import count_of, error_console
    from qpmask.web.server import is_of_this_machine, serve

    with serve(*inputs, slides=slides, host=host, port=port) as server:
        if not is_of_this_machine(host):
            error_console().print(
                f"warning: it listens on {host}: everybody who has the address can look at these "
                "images, and the way there is not encrypted.",
                style="yellow",
            )
        error_console().print(f"{count_of(len(server.images), 'image')}; Ctrl-C ends it.")
        click.echo(server.url)
        if opens and not webbrowser.open(server.url):
            error_console().print("No browser could be opened here; open the address yourself.")
        threading.Event().wait()
    return exits.OK
