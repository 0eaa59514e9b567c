"""Seeded channel models: symbols in, received symbols with gain and noise variance out.

One module per channel. Every module of this package is imported here, and registers its channel in
:data:`CHANNELS`; adding a channel means adding one file.
"""

from __future__ import annotations

import importlib
import pkgutil

from semcom_phy.channels.base import CHANNELS, Channel, ChannelOutput, make_channel

for _module in pkgutil.iter_modules(__path__, prefix=f"{__name__}."):
    importlib.import_module(_module.name)

__all__ = ["CHANNELS", "Channel", "ChannelOutput", "make_channel"]
