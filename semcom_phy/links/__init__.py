"""Links: the protocol that the application knows, and its implementations."""

from semcom_phy.links.air_frames import FrameFormat
from semcom_phy.links.air_link import AirLink, AirLinkConfig
from semcom_phy.links.base import LINKS, Frame, Link, LinkStats, ReceivedFrame, Reception
from semcom_phy.links.numpy_link import NumpyLink, NumpyLinkConfig

__all__ = [
    "LINKS",
    "AirLink",
    "AirLinkConfig",
    "Frame",
    "FrameFormat",
    "Link",
    "LinkStats",
    "NumpyLink",
    "NumpyLinkConfig",
    "ReceivedFrame",
    "Reception",
]
