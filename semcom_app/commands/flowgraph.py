"""`semcom flowgraph`: list, run, open and compile the GNU Radio flowgraphs."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from semcom_app.commands.codec_options import JsonOption
from semcom_phy.errors import ConfigurationError, LinkError

if TYPE_CHECKING:
    from semcom_phy.flowgraph.catalogue import Flowgraph

_COMPANION = "gnuradio-companion"
_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
_HELP = ("-h", "--help")

_Name = Annotated[str, typer.Argument(help="Name of the flowgraph: see `semcom flowgraph list`.", show_default=False)]
_Gui = Annotated[bool, typer.Option("--gui", help="The form with a GUI.")]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="List, run, open and compile the GNU Radio flowgraphs.", no_args_is_help=True)
    group.command("list")(list_)
    group.command("run")(run)
    group.command("open")(open_)
    group.command("compile")(compile_)
    group.command("headless")(headless)
    app.add_typer(group, name="flowgraph")


def list_(
    name: Annotated[
        str | None, typer.Argument(help="Show the options of this one.", show_default="all, without options")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """List the flowgraphs, or the options of one."""
    import json

    from semcom_phy.flowgraph.catalogue import find, flowgraphs

    found = flowgraphs() if name is None else [find(name)]
    if as_json:
        typer.echo(json.dumps([flowgraph.describe() for flowgraph in found], indent=2))
        return 0
    width = max(len(flowgraph.name) for flowgraph in found)
    for flowgraph in found:
        typer.echo(f"{flowgraph.name:{width}}  {flowgraph.title}")
    if name is not None:
        for parameter in found[0].parameters:
            typer.echo(f"  {parameter.option:28} {parameter.label} [{parameter.default}]")
    return 0


def run(
    name: _Name,
    options: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- OPTIONS]", help="Options of the flowgraph, after `--`.", show_default=False),
    ] = None,
    gui: _Gui = False,
) -> int:
    """Run a flowgraph until Ctrl-C: compiles it if that has not been done, and becomes its program."""
    from semcom_phy.flowgraph import catalogue, grc_file
    from semcom_phy.flowgraph.compiler import compile_flowgraph
    from semcom_phy.flowgraph.python import environment, find_gnuradio

    flowgraph = catalogue.find(name)
    path = flowgraph.form(gui)
    arguments = options or []
    _check_options(arguments, flowgraph, [p.option for p in catalogue.parameters(grc_file.read(path))])
    if gui:
        _check_display()
    gnuradio = find_gnuradio()
    program = compile_flowgraph(path, gnuradio).program
    _become([str(gnuradio.python), "-u", str(program), *arguments], environment())


def open_(
    name: Annotated[
        str | None, typer.Argument(help="Name of the flowgraph; without it an empty canvas.", show_default=False)
    ] = None,
    form: Annotated[
        bool, typer.Option("--gui/--headless", help="Which form; the headless one is derived and not to be edited.")
    ] = True,
) -> int:
    """Open a flowgraph in GNU Radio Companion, with the project's blocks in its list.

    Companion runs in the Python that the blocks need, and so does every flowgraph that is started from it.
    """
    from semcom_phy.flowgraph import catalogue
    from semcom_phy.flowgraph.python import environment, find_gnuradio

    files = [] if name is None else [str(catalogue.find(name).form(form))]
    gnuradio = find_gnuradio()
    companion = shutil.which(_COMPANION)
    if companion is None:
        raise LinkError(f"there is no {_COMPANION} here; install it with 'make gnuradio'")
    _check_display()
    _become([str(gnuradio.python), companion, *files], environment())


def compile_(
    name: _Name,
    gui: _Gui = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for a copy of the program.", show_default="the cache")
    ] = None,
) -> int:
    """Compile a flowgraph and print where its program is; warnings of Companion go to standard error."""
    from semcom_phy.flowgraph import catalogue
    from semcom_phy.flowgraph.compiler import compile_flowgraph

    path = catalogue.find(name).form(gui)
    compiled = compile_flowgraph(path)
    for warning in compiled.warnings:
        typer.echo(f"semcom: {path.name}: {warning}", err=True)
    program = compiled.program
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        program = Path(shutil.copy(program, out))
    typer.echo(str(program))
    return 0


def headless(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Which flowgraphs.", show_default="all")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit code 1 if a file would change.")] = False,
) -> int:
    """Derive NAME.grc from NAME_gui.grc, after the form with a GUI was edited."""
    from semcom_phy.flowgraph import catalogue, grc_file
    from semcom_phy.flowgraph.headless import derive

    stale = 0
    for flowgraph in map(catalogue.find, names or catalogue.names()):
        if flowgraph.gui is None:
            if names:
                raise ConfigurationError(f"flowgraph {flowgraph.name} has no form with a GUI to derive from")
            continue
        target = flowgraph.gui.with_name(f"{flowgraph.name}.grc")
        text = grc_file.dump(derive(grc_file.read(flowgraph.gui)))
        if target.exists() and target.read_text() == text:
            continue
        stale += 1
        if check:
            typer.echo(f"semcom: {target.name} is stale: run `semcom flowgraph headless {flowgraph.name}`", err=True)
        else:
            target.write_text(text)
            typer.echo(str(target))
    return int(check and stale > 0)


def _check_options(arguments: list[str], flowgraph: Flowgraph, known: list[str]) -> None:
    """Refuse what the program does not know, before it is compiled and started."""
    from semcom_phy.registry import nearest

    for argument in arguments:
        option = argument.partition("=")[0]
        if option.startswith("--") and option not in known and option not in _HELP:
            listed = ", ".join(known) or "none"
            raise ConfigurationError(
                f"flowgraph {flowgraph.name} has no option {option}.{nearest(option, known)} It takes: {listed}"
            )


def _check_display() -> None:
    if not os.environ.get("QT_QPA_PLATFORM") and not any(map(os.environ.get, _DISPLAYS)):
        raise LinkError("there is no display for a GUI here; leave out --gui, or run it under xvfb-run")


def _become(command: list[str], environment: dict[str, str]) -> NoReturn:
    """Replace this process: signals then reach the program itself, and it cannot be left behind."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(command[0], command, environment)
    except OSError as error:
        raise LinkError(f"cannot start {command[0]}: {error.strerror}; run 'make gnuradio'") from None
