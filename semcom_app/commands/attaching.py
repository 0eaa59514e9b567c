"""`--attach` of `tx` and `rx`: a flowgraph that somebody starts, in place of the radio."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from semcom_app.commands import link_options
from semcom_app.commands.option_groups import parameter_names
from semcom_phy.errors import ConfigurationError

if TYPE_CHECKING:
    from semcom_phy.flowgraph.connection import FlowgraphConnection
    from semcom_phy.links.roles import Role


def _attach_option(example: str) -> Any:
    return typer.Option(
        "--attach",
        help=f"In place of --radio, a flowgraph that you start: the first of four ports, such as {example}.",
        metavar="ADDRESS",
    )


TransmitterAttachOption = Annotated[str | None, _attach_option("tcp://127.0.0.1:29001")]
ReceiverAttachOption = Annotated[str | None, _attach_option("tcp://127.0.0.1:29011")]


def refuse_with_attach(context: typer.Context, radio: Callable[..., Any], *others: str) -> None:
    """Raise ConfigurationError if an option was given that --attach makes no use of.

    `radio`: the group of options that set the radio. `others`: further parameters of the command.
    """
    pointless = parameter_names(radio) | set(others)
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is None or source.name != "COMMANDLINE":
            continue
        if parameter.name == "radio":
            raise ConfigurationError("--attach stands in place of --radio; give one of them")
        if parameter.name in pointless:
            raise ConfigurationError(
                f"{parameter.opts[0]} is for --radio: with --attach that is the flowgraph's; leave the option out"
            )


def wait_for_flowgraph(attach: str, role: Role) -> FlowgraphConnection:
    """Bind the addresses and wait for the flowgraph, which has to have this role.

    Raises ConfigurationError for an address that is none, LinkError if it does not come, or is another one.
    """
    from semcom_phy.flowgraph.connection import FlowgraphConnection, attach_addresses, waiting_notice
    from semcom_phy.links.gnuradio_link import print_notice
    from semcom_phy.links.roles import check_role

    timeout = link_options.ATTACH_TIMEOUT_S
    connection = FlowgraphConnection(
        role.value,
        None,
        addresses=attach_addresses(attach),
        timeout_s=timeout,
        on_waiting=lambda addresses: print_notice(f"{role.value} flowgraph: {waiting_notice(addresses, timeout)}"),
    )
    try:
        check_role(connection.peer.capabilities, role)
    except BaseException:
        connection.close()
        raise
    connection.name = str(connection.peer.capabilities.get("flowgraph", role.value))
    return connection


def describe_flowgraph(connection: FlowgraphConnection) -> dict[str, Any]:
    """The flowgraph in place of the radio, for result.json."""
    from semcom_phy.links.accounting import stated_settings

    return {
        **stated_settings(connection.peer.capabilities),
        "radio": f"flowgraph {connection.name}",
        "flowgraph": connection.name,
    }


def command_line() -> str:
    """The command as it was given, for result.json."""
    return shlex.join(["semcom", *sys.argv[1:]])
