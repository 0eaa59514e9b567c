"""Roles of flowgraphs: by what they say, and those that are shipped."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from semcom_phy.errors import LinkError
from semcom_phy.flowgraph import catalogue, grc_file
from semcom_phy.links.roles import Role, check_role, role_of

BURSTS = {"samples_per_symbol": 4, "fec": "turbo"}
ONE_WAY = {
    **dict.fromkeys(("soapy_tx", "uhd_tx", "air_tx"), Role.TRANSMITTER),
    **dict.fromkeys(("soapy_rx", "uhd_rx", "air_rx", "sigmf_replay"), Role.RECEIVER),
}


@pytest.mark.parametrize(
    ("settings", "role"),
    [
        ({}, Role.LOOP),
        ({"flowgraph": "double"}, Role.LOOP),
        ({"channel": "awgn", "fec": "none"}, Role.LOOP),
        ({**BURSTS, "channel": "channel_model", "modulation": "qpsk"}, Role.LOOP),
        ({**BURSTS, "channel": "radio", "modulation": "qpsk"}, Role.TRANSMITTER),
        ({**BURSTS, "channel": "virtual air", "modulation": "qpsk"}, Role.TRANSMITTER),
        ({**BURSTS, "channel": "radio"}, Role.RECEIVER),
        ({**BURSTS, "channel": "recording"}, Role.RECEIVER),
        # What is stated holds, if it is something.
        ({**BURSTS, "channel": "radio", "modulation": "qpsk", "role": "loop"}, Role.LOOP),
        ({**BURSTS, "channel": "my cable", "role": "receiver"}, Role.RECEIVER),
        ({**BURSTS, "channel": "radio", "role": "both"}, Role.RECEIVER),
        ({**BURSTS, "channel": "radio", "role": 3}, Role.RECEIVER),
        ({**BURSTS, "channel": ["radio"], "role": ["loop"]}, Role.LOOP),
    ],
)
def test_role(settings: dict[str, Any], role: Role) -> None:
    assert role_of(settings) is role
    check_role(settings, role)
    other = next(one for one in Role if one is not role)
    with pytest.raises(LinkError, match=f"`{role.command}`"):
        check_role(settings, other)


def settings_of(flowgraph: catalogue.Flowgraph) -> dict[str, Any]:
    """What its Application block says, as far as that does not depend on its parameters."""
    blocks = grc_file.read(flowgraph.form(gui=False))["blocks"]
    (application,) = [block for block in blocks if block["id"] == "semcom_application"]
    expression = ast.parse(application["parameters"]["settings"], mode="eval").body
    assert isinstance(expression, ast.Dict)
    return {
        ast.literal_eval(key): value.value if isinstance(value, ast.Constant) else ...
        for key, value in zip(expression.keys, expression.values, strict=True)
        if key is not None
    }


@pytest.mark.parametrize("flowgraph", [one for one in catalogue.flowgraphs() if one.attaches], ids=lambda one: one.name)
def test_roles_of_the_flowgraphs_that_are_shipped(flowgraph: catalogue.Flowgraph) -> None:
    assert role_of(settings_of(flowgraph)) is ONE_WAY.get(flowgraph.name, Role.LOOP)


def test_one_line_that_says_what_to_do() -> None:
    settings = {**BURSTS, "flowgraph": "soapy_tx", "channel": "radio", "modulation": "qpsk"}
    with pytest.raises(LinkError) as caught:
        check_role(settings, Role.RECEIVER)
    assert str(caught.value) == (
        "flowgraph soapy_tx transmits and does not receive: pictures go through it with `semcom tx --attach`"
    )
