"""Links: the protocol that the application knows, and its implementations."""

from semcom_phy.links.accounting import BurstChain, SymbolChain
from semcom_phy.links.air_frames import FrameFormat
from semcom_phy.links.air_link import AirLink, AirLinkConfig
from semcom_phy.links.base import (
    LINKS,
    Frame,
    Link,
    LinkStats,
    ReceivedFrame,
    Reception,
    link_counts,
    open_link,
    opened,
)
from semcom_phy.links.gnuradio_link import GnuRadioLink, GnuRadioLinkConfig
from semcom_phy.links.numpy_link import NumpyLink, NumpyLinkConfig

__all__ = [
    "LINKS",
    "AirLink",
    "AirLinkConfig",
    "BurstChain",
    "Frame",
    "FrameFormat",
    "GnuRadioLink",
    "GnuRadioLinkConfig",
    "Link",
    "LinkStats",
    "NumpyLink",
    "NumpyLinkConfig",
    "ReceivedFrame",
    "Reception",
    "SymbolChain",
    "link_counts",
    "open_link",
    "opened",
]
