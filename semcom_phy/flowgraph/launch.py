"""Flowgraphs of the catalogue as processes that connect to an application."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from semcom_phy.errors import ConfigurationError
from semcom_phy.flowgraph.catalogue import Flowgraph
from semcom_phy.flowgraph.compiler import compile_flowgraph
from semcom_phy.flowgraph.connection import Launcher
from semcom_phy.flowgraph.process import FlowgraphProcess
from semcom_phy.flowgraph.python import environment, find_gnuradio
from semcom_phy.registry import nearest
from semcom_phy.zmq import LinkAddresses

ParameterValue = str | int | float | bool


def parameter_options(flowgraph: Flowgraph, values: Mapping[str, ParameterValue]) -> list[str]:
    """Command line options that give the flowgraph's parameters these values.

    Raises ConfigurationError for a parameter that it does not have.
    """
    known = {parameter.id: parameter for parameter in flowgraph.parameters}
    for name in values:
        if name not in known:
            listed = ", ".join(known) or "none"
            raise ConfigurationError(
                f"flowgraph {flowgraph.name} has no parameter {name!r}.{nearest(name, known)} Known: {listed}"
            )
    # With "=", for a value may begin with a minus.
    return [f"{known[name].option}={_text(value)}" for name, value in values.items()]


def _text(value: ParameterValue) -> str:
    return str(int(value)) if isinstance(value, bool) else repr(value) if isinstance(value, float) else str(value)


def launcher(
    flowgraph: Flowgraph,
    values: Mapping[str, ParameterValue],
    *,
    gui: bool = False,
    on_line: Callable[[str], None] | None = None,
) -> Launcher:
    """Compile a flowgraph that talks to an application, and return the function that starts it.

    values: of its parameters; on_line: called with every line of its output.

    Raises ConfigurationError for unknown parameters or a flowgraph that does not talk to an application, LinkError
    without GNU Radio, FormatError for a flowgraph that does not compile.
    """
    if not flowgraph.attaches:
        raise ConfigurationError(
            f"flowgraph {flowgraph.name} has no Application block and runs by itself; see `semcom flowgraph list`"
        )
    options = parameter_options(flowgraph, values)
    form = flowgraph.form(gui)
    gnuradio = find_gnuradio()
    program = compile_flowgraph(form, gnuradio).program

    def launch(addresses: LinkAddresses) -> FlowgraphProcess:
        places = dict(
            zip(
                ("data_to_flowgraph", "data_from_flowgraph", "control_to_flowgraph", "control_from_flowgraph"),
                addresses.as_arguments(),
                strict=True,
            )
        )
        command: list[str | Path] = [gnuradio.python, "-u", program, *options, *parameter_options(flowgraph, places)]
        return FlowgraphProcess(command, name=flowgraph.name, environment=environment(), on_line=on_line)

    return launch
