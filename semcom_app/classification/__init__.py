"""Verdicts of a classifier on pictures that were sent: from one view, and from several views of one object."""

from __future__ import annotations

from semcom_app.classification.fusion import FUSIONS, NO_VERDICT, fuse
from semcom_app.classification.statistics import wilson_interval

__all__ = ["FUSIONS", "NO_VERDICT", "fuse", "wilson_interval"]
