"""Exit codes, and errors as people see them."""

from __future__ import annotations

import logging
import os
import sys

import click

from qpmask.errors import (
    ClassMapError,
    EngineUnavailableError,
    Interrupted,
    MissingExtraError,
    OptionsError,
    OutputError,
    ProjectError,
    QpmaskError,
)

OK = 0
FAILED = 1  # some image failed, or some mask is invalid
USAGE = 2  # usage or configuration
NO_QUPATH = 3
INTERRUPTED = 130

_CONFIGURATION = (OptionsError, ClassMapError, ProjectError, OutputError, MissingExtraError)


def code_for(error: BaseException) -> int:
    """Exit code of an error that ends a command."""
    if isinstance(error, Interrupted | KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, EngineUnavailableError):
        return NO_QUPATH
    if isinstance(error, _CONFIGURATION):
        return USAGE
    return FAILED


def run(app: click.Command, args: list[str]) -> int:
    """Run a command and return its exit code; errors become messages on stderr."""
    for stream in (sys.stdout, sys.stderr):
        # A letter that the terminal or pipe cannot take must not end a command.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        result = app.main(args=args, prog_name="qpmask", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        _show_usage(error)
        return USAGE
    except (QpmaskError, KeyboardInterrupt, click.Abort) as error:
        if isinstance(error, click.Abort):
            # With what it was to say. click takes any EOFError, as of a data file that ends too
            # early, for a keyboard that was closed.
            cause = error.__cause__
            told = isinstance(cause, KeyboardInterrupt | QpmaskError)
            error = cause if told else KeyboardInterrupt()  # type: ignore[assignment]
        show_error(error)
        return code_for(error)
    except BrokenPipeError:
        # The reader of our output has gone (as in "| head"); nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    return result if isinstance(result, int) else OK


def _show_usage(error: click.ClickException) -> None:
    """Print what click does not understand, with the word that was perhaps meant."""
    from rich.text import Text

    from qpmask.cli.console import error_console

    if type(error).__name__ == "NoArgsIsHelpError":  # no error: 'qpmask' alone shows its help
        error.show()
        return
    console = error_console()
    console.print(Text("error: ", "bold red") + Text(error.format_message(), "not bold default"))
    context = getattr(error, "ctx", None)
    param = getattr(error, "param", None)
    if isinstance(error, click.BadParameter) and param and isinstance(param.type, click.Choice):
        import difflib

        said = error.message.partition("' is not one of")[0].lstrip("'")
        near = difflib.get_close_matches(said, [str(c) for c in param.type.choices], n=1)
        if near:
            console.print(f"       Did you mean '{near[0]}'?")
    if context is not None:
        console.print(f"       See '{context.command_path} --help'.")


def show_error(error: BaseException) -> None:
    """Print an error: what, then what to do; the stack trace only with ``-v``."""
    if logging.getLogger("qpmask").isEnabledFor(logging.DEBUG):
        logging.getLogger("qpmask").debug("the error in full", exc_info=error)
    from rich.text import Text

    from qpmask.cli.console import error_console

    console = error_console()
    if isinstance(error, KeyboardInterrupt):
        console.print(str(error) or "Interrupted.")
        return
    message, hint = (
        (error.message, error.hint) if isinstance(error, QpmaskError) else (str(error), None)
    )
    console.print(Text("error: ", "bold red") + Text(message, "not bold default"))
    if hint:
        console.print(Text("       " + hint))


def set_up_logging(verbose: int) -> None:
    """Messages of the library on stderr: warnings, with ``-v`` all, with ``-vv`` Java's as well."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("qpmask")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.ERROR)
    # What QuPath logs as an error reaches the report with its image.
    quiet = logging.CRITICAL if not verbose else logging.WARNING if verbose == 1 else logging.DEBUG
    logging.getLogger("qpmask.qupath").setLevel(quiet)
