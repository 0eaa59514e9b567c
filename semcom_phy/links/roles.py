"""Which parts of a radio link are in a flowgraph: a transmitter, a receiver, or both."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from semcom_phy.errors import LinkError

#: Values of the setting ``channel`` that stand for a channel outside the flowgraph: its other end is elsewhere.
OUTSIDE: Final = ("radio", "virtual air", "recording")


class Role(Enum):
    """What a flowgraph does with frames; the value is what its Application block may state as ``role``."""

    TRANSMITTER = "transmitter"
    RECEIVER = "receiver"
    LOOP = "loop"

    @property
    def does(self) -> str:
        """In words."""
        return _WORDS[self][0]

    @property
    def command(self) -> str:
        """The command that attaches to such a flowgraph."""
        return _WORDS[self][1]


_WORDS: Final = {
    Role.TRANSMITTER: ("transmits and does not receive", "semcom tx --attach"),
    Role.RECEIVER: ("receives and does not transmit", "semcom rx --attach"),
    Role.LOOP: ("gives back what it is sent", "semcom send --link gnuradio --attach"),
}


def role_of(settings: Mapping[str, Any]) -> Role:
    """The role of a flowgraph by what its Application block says of it.

    ``role`` states it. Without it: where bursts go through a channel outside (`OUTSIDE`), a transmitter says its
    ``modulation``, and a receiver does not, because each burst tells it. All others are loops.
    """
    stated = settings.get("role")
    if stated in [role.value for role in Role]:
        return Role(stated)
    if "samples_per_symbol" not in settings or settings.get("channel") not in OUTSIDE:
        return Role.LOOP
    return Role.TRANSMITTER if "modulation" in settings else Role.RECEIVER


def check_role(settings: Mapping[str, Any], wanted: Role) -> None:
    """Raise LinkError, which names the command to use, for a flowgraph of another role than the one wanted.

    `settings`: the capabilities in its welcome.
    """
    found = role_of(settings)
    if found is not wanted:
        name = settings.get("flowgraph", "that is attached")
        raise LinkError(f"flowgraph {name} {found.does}: pictures go through it with `{found.command}`")
