"""Verdicts on the pictures of a transmission, before and after the link, as entries of result.json."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from semcom_app.classification.fusion import NO_VERDICT, fuse, single_views
from semcom_app.classification.sources import Source
from semcom_app.classification.statistics import wilson_interval
from semcom_app.results import ImageResult
from semcom_phy.errors import ConfigurationError, FormatError

RULES = ("majority", "sum")
_ENDS = ("sent", "received")
MAX_CLASSES_BYTES = 1 << 22


class Classifier(Protocol):
    """The server's model (`semcom_app.models.classifiers.ImageClassifier`)."""

    @property
    def name(self) -> str: ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    def log_probabilities(self, pictures: NDArray[Any]) -> NDArray[np.float64]: ...


@dataclass
class _View:
    """One picture: where it is from, and its numbers at either end, (C,) each, NaN when it did not arrive."""

    row: dict[str, Any]
    source: Source
    log_probabilities: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def true(self) -> int:
        return self.source.label


class Verdicts:
    """Collects verdicts as pictures arrive; a `Witness` of `semcom send`.

    classifier: the server's. fit: pixels (H, W, 3) → the classifier's input. sources: all pictures that will be
    taken. views: pictures of one object that are judged together; 1 judges each alone. names: of the classes, in the
    order of the classifier's output.
    """

    def __init__(
        self,
        classifier: Classifier,
        fit: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
        sources: Iterable[Source],
        views: int = 1,
        names: Sequence[str] | None = None,
    ) -> None:
        if views < 1:
            raise ConfigurationError(f"views must be 1 or more, not {views}")
        self._classifier, self._fit, self._views = classifier, fit, views
        self._names = class_names(classifier, names)
        self._sources = {source.path: source for source in sources}
        self._taken: list[_View] = []

    def take(self, result: ImageResult, path: Path) -> None:
        """Judge one picture at both ends and note the verdicts in its row."""
        row = result.row
        view = _View(row, self._sources[path])
        pictures = [result.sent] + ([result.received] if row["delivered"] else [])
        judged = self._classifier.log_probabilities(np.stack([self._fit(picture) for picture in pictures]))
        missing = np.full(len(self._names), np.nan)
        view.log_probabilities = {
            "sent": judged[0],
            "received": judged[1] if row["delivered"] else missing,
        }
        row["class_true"] = self._name(view.true)
        for end in _ENDS:
            numbers = view.log_probabilities[end]
            verdict = int(single_views(numbers[None])[0])
            row[f"class_{end}"] = self._name(verdict)
            row[f"confidence_{end}"] = None if verdict == NO_VERDICT else float(np.exp(numbers[verdict]))
        self._taken.append(view)

    def finish(self, summary: dict[str, Any]) -> None:
        """Add "classification" to the content of result.json: objects, accuracies, agreement of the two ends."""
        summary["classification"] = {
            "model": self._classifier.name,
            "classes": len(self._names),
            "views": self._views,
            "pictures": self._shares(
                [view.true for view in self._taken],
                {end: single_views(self._stacked(self._taken, end)).tolist() for end in _ENDS},
            ),
        }
        if self._views > 1:
            summary["classification"] |= self._objects()

    def _objects(self) -> dict[str, Any]:
        sets = self._view_sets()
        found: dict[str, dict[str, list[int]]] = {rule: {end: [] for end in _ENDS} for rule in RULES}
        entries = []
        for views in sets:
            entry: dict[str, Any] = {
                "pictures": [view.row["image"] for view in views],
                "views_lost": sum(not view.row["delivered"] for view in views),
                "class_true": self._name(_common(view.true for view in views)),
            }
            for rule in RULES:
                for end in _ENDS:
                    verdict = int(fuse(rule, self._stacked(views, end)[None])[0])
                    found[rule][end].append(verdict)
                    entry[f"{rule}_{end}"] = self._name(verdict)
            entries.append(entry)
        true = [_common(view.true for view in views) for views in sets]
        shares = {rule: self._shares(true, found[rule]) for rule in RULES}
        return {
            "objects": entries,
            "objects_incomplete": sum(len(views) < self._views for views in sets),
            "objects_assumed": sum(len(views) > 1 and views[0].source.assumed for views in sets),
            **shares,
        }

    def _view_sets(self) -> list[list[_View]]:
        """Pictures of each object in order, so many at a time as there are views."""
        of_object: dict[Hashable, list[_View]] = {}
        for view in self._taken:
            of_object.setdefault(view.source.object, []).append(view)
        return [
            views[start : start + self._views]
            for views in of_object.values()
            for start in range(0, len(views), self._views)
        ]

    @staticmethod
    def _stacked(views: Sequence[_View], end: str) -> NDArray[np.float64]:
        return np.stack([view.log_probabilities[end] for view in views])

    @staticmethod
    def _shares(true: Sequence[int], verdicts: dict[str, list[int]]) -> dict[str, Any]:
        """How many verdicts agree between the ends, and with the truth as far as it is known."""
        agree = [a == b for a, b in zip(verdicts["sent"], verdicts["received"], strict=True)]
        shares: dict[str, Any] = {"count": len(agree), "same_verdict": float(np.mean(agree)) if agree else None}
        known = [i for i, label in enumerate(true) if label != NO_VERDICT]
        shares["labelled"] = len(known)
        for end in _ENDS:
            right = sum(verdicts[end][i] == true[i] for i in known)
            shares[f"accuracy_{end}"] = right / len(known) if known else None
            shares[f"interval_{end}"] = list(wilson_interval(right, len(known))) if known else None
        return shares

    def _name(self, number: int) -> str | None:
        return None if number == NO_VERDICT else self._names[number]

    def print(self, summary: dict[str, Any]) -> None:
        """Print the verdicts as tables."""
        from semcom_app.classification.tables import print_verdicts

        print_verdicts(summary)


def class_names(classifier: Classifier, names: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the classifier's classes: its own, or these. Raises ConfigurationError when they are too many or few."""
    if names is None:
        return tuple(classifier.classes)
    if len(names) != len(classifier.classes):
        raise ConfigurationError(
            f"{len(names)} class names for the {len(classifier.classes)} classes of {classifier.name}"
        )
    return tuple(names)


def _common(labels: Any) -> int:
    """The label that all share, or none."""
    known = set(labels)
    return int(known.pop()) if len(known) == 1 else NO_VERDICT


def read_class_names(path: Path) -> tuple[str, ...]:
    """Names of the classes from a text file, one a line, in the order of the model's output.

    Raises FormatError when it cannot be read, or a name is missing or there twice.
    """
    try:
        if path.stat().st_size > MAX_CLASSES_BYTES:
            raise FormatError(f"{path} is no list of class names: more than {MAX_CLASSES_BYTES >> 20} MiB")
        names = tuple(line.strip() for line in path.read_text(encoding="utf-8").rstrip("\n").split("\n"))
    except OSError as error:
        raise FormatError(f"class names {path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise FormatError(f"class names {path} are no text in UTF-8") from None
    if "" in names:
        raise FormatError(f"class names {path}: line {names.index('') + 1} is empty")
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise FormatError(f"class names {path}: {twice!r} is there twice")
    return names
