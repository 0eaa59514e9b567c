"""The `semcom` command. Torch and everything heavy is imported when a command needs it, not for `--help`."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, cast

import typer
import typer.main

import semcom_phy
from semcom_phy.errors import ConfigurationError, SemcomError
from semcom_phy.memory import keep_freed_memory

# The receiver's matrices are small: on a busy machine threads of OpenBLAS wait for each other much longer than they
# compute. Must be set before numpy is imported; torch has threads of its own.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Some versions of typer carry their own copy of click: click's UsageError as the one in use knows it.
_UsageError = cast(type[Exception], typer.BadParameter.__bases__[0])

app = typer.Typer(
    name="semcom",
    help="Send pictures over a radio link by semantic communication, and measure what arrives.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for _module in (
    "send",
    "classify",
    "record",
    "replay",
    "tx",
    "rx",
    "air",
    "train",
    "weights",
    "bench",
    "flowgraph",
    "doctor",
):
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
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _complain(text: str) -> None:
    # Nobody may be reading standard error any more; the exit code still tells.
    with contextlib.suppress(OSError):
        typer.echo(f"semcom: {_one_line(text)}", err=True)


def _keep_libraries_quiet() -> None:
    """What libraries warn about is for their callers; a user reads results, or one line of error."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    for variable in ("DIFFUSERS_VERBOSITY", "TRANSFORMERS_VERBOSITY", "HF_HUB_VERBOSITY"):
        os.environ.setdefault(variable, "error")


def _accept_every_character() -> None:
    """Print what the terminal's encoding lacks as escapes instead of failing on it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """Send what is still buffered for standard output nowhere: its reader is gone or its disk is full."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _invoke(arguments: Sequence[str]) -> int:
    # Not app(...): the error handling in there differs from version to version of typer.
    command = typer.main.get_command(app)
    try:
        with command.make_context("semcom", list(arguments)) as context:
            code = command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as leave:
        return leave.exit_code
    return code if isinstance(code, int) else 0


def _answer_wrong_usage(error: Any) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.format_message(), err=True)
        return 2
    command = error.ctx.command_path if error.ctx is not None else "semcom"
    _complain(f"{error.format_message()} (see `{command} --help`)")
    return 2


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 runtime failure, 2 wrong usage."""
    with warnings.catch_warnings():
        _keep_libraries_quiet()
        _accept_every_character()
        try:
            return _invoke(sys.argv[1:] if arguments is None else arguments)
        except ConfigurationError as error:
            _complain(str(error))
            return 2
        except SemcomError as error:
            _complain(str(error))
            return 1
        except _UsageError as error:
            return _answer_wrong_usage(error)
        except (typer.Abort, KeyboardInterrupt):
            _complain("interrupted")
            return 130
        except BrokenPipeError:
            _discard_output()
            return 1
        except Exception as error:
            if os.environ.get("SEMCOM_TRACEBACK"):
                raise
            _complain(_unforeseen(error))
            if isinstance(error, OSError):
                _discard_output()
            return 1


def _unforeseen(error: Exception) -> str:
    # torch raises a RuntimeError of its own when memory ends.
    if isinstance(error, MemoryError) or "allocate memory" in str(error) or "out of memory" in str(error):
        return "out of memory; send a smaller picture, for example with --size 512"
    if isinstance(error, OSError):
        where = f" {error.filename}" if error.filename else ""
        return f"cannot read or write{where}: {error.strerror or error}"
    reason = str(error).strip().splitlines()
    return (
        f"unforeseen {type(error).__name__}{': ' + reason[0] if reason else ''};"
        " set SEMCOM_TRACEBACK=1 to see where, and please report it"
    )


def main() -> None:
    """Entry point of the `semcom` script."""
    keep_freed_memory()
    sys.exit(run())


if __name__ == "__main__":
    main()
