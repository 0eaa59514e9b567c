"""The paper's measure: mean attention of the class token to each patch in the last layer, (3) and (4)."""

from __future__ import annotations

from dataclasses import dataclass

from semcom_app.importance.attention import EncoderImportance
from semcom_app.importance.base import IMPORTANCES


@IMPORTANCES.register("attention")
@dataclass(frozen=True)
class MeanAttention(EncoderImportance):
    """Mean attention over the heads of the last layer of any vision transformer with a class token."""
