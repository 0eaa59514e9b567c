"""Semantic and classical image codecs behind one interface.

One module per codec. Every module of this package is imported here and registers its codec in
:data:`CODECS`; adding a codec means adding one file.
"""

from __future__ import annotations

import importlib
import pkgutil

from semcom_app.codecs.base import CODECS, Codec, CodecOptions, Decoded, Encoded, codec_names, make_codec

for _module in pkgutil.iter_modules(__path__, prefix=f"{__name__}."):
    importlib.import_module(_module.name)

__all__ = ["CODECS", "Codec", "CodecOptions", "Decoded", "Encoded", "codec_names", "make_codec"]
