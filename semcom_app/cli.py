"""The `semcom` command. Torch and everything heavy is imported when a command needs it, not for `--help`."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import click
import typer

import semcom_phy
from semcom_phy.errors import ConfigurationError, SemcomError

app = typer.Typer(
    name="semcom",
    help="Send pictures over a radio link by semantic communication, and measure what arrives.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for _module in ("send", "train", "weights", "doctor"):
    importlib.import_module(f"semcom_app.commands.{_module}").register(app)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"semcom {semcom_phy.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version and leave."
    ),
) -> None:
    pass


def _one_line(text: str) -> str:
    return " ".join(text.split())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 runtime failure, 2 wrong usage."""
    try:
        code = app(args=list(sys.argv[1:] if arguments is None else arguments), standalone_mode=False)
    except ConfigurationError as error:
        typer.echo(f"semcom: {_one_line(str(error))}", err=True)
        return 2
    except SemcomError as error:
        typer.echo(f"semcom: {_one_line(str(error))}", err=True)
        return 1
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx is not None else "semcom"
        typer.echo(f"semcom: {_one_line(error.format_message())} (see `{command} --help`)", err=True)
        return 2
    except click.ClickException as error:
        typer.echo(f"semcom: {_one_line(error.format_message())}", err=True)
        return 2
    except (click.Abort, KeyboardInterrupt):
        typer.echo("semcom: interrupted", err=True)
        return 130
    except BrokenPipeError:
        # The reader of our output went away; what is left to print goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError:
        typer.echo("semcom: out of memory; send a smaller picture, for example with --size 512", err=True)
        return 1
    return code if isinstance(code, int) else 0


def main() -> None:
    """Entry point of the `semcom` script."""
    sys.exit(run())


if __name__ == "__main__":
    main()
