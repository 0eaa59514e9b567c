"""Accuracy of classifiers behind IAQ: docs/figures/iaq_*.json and .png.

    python docs/make_iaq_results.py --data FOLDER [--tasks cifar10,photos,multiview] [--pictures 1000] [--quick]

FOLDER holds cifar10-jpeg.tar.xz (train/CLASS/FILE, test/CLASS/FILE), photos (NNNN_name.jpg, number = ImageNet class)
and multiview (OBJECT__ANGLE.jpg). Tasks that are not named keep their results. `--plot` draws what there is.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from semcom_app.allocation import AllocationConfig, allocate
from semcom_app.allocation.budget import allocatable_bits, target_bits
from semcom_app.codecs.iaq_config import make_iaq_config
from semcom_app.experiments.iaq_accuracy import (
    Task,
    Trial,
    channel_trials,
    error_free_trials,
    gamma_trials,
    judge,
    run_trials,
    transmit,
)
from semcom_app.experiments.iaq_tasks import TASKS, make_task
from semcom_app.images import write_bytes
from semcom_app.results import to_json, versions

HERE = Path(__file__).parent
RESULTS = "iaq_accuracy.json"
SEED = 1
RATIOS = (0.15, 0.175, 0.2, 0.225, 0.25, 0.3, 0.375, 0.5)
IMPROVED_RATIOS = (0.03, 0.05, 0.075, 0.0875, 0.1, 0.1125, 0.125, 0.1375)
GAMMAS = (0.25, 0.5, 1.0, 2.0, 4.0)
FLIPS = (0.01, 0.05, 0.1)
CHANNEL_RATIOS = (0.15, 0.2, 0.25, 0.375, 0.5)
_STYLES = {
    "ia": ("C0", "o-"),
    "wf": ("C1", "x--"),
    "mia": ("C2", "s-"),
    "mwf": ("C4", "+--"),
    "topk": ("C3", "v-"),
    "at": ("C5", "^-"),
    "ast": ("C6", "d-"),
    "fixed": ("k", "*:"),
    "ia, improved": ("C8", "o-"),
    "ia, improved, hard": ("C8", "o:"),
}


def measured(name: str, folder: Path, pictures: int | None, quick: bool) -> dict[str, Any]:
    """All results of one task."""
    start = time.monotonic()
    task = make_task(name, folder, pictures, SEED)
    ratios, improved, gammas, flips = RATIOS, IMPROVED_RATIOS, GAMMAS, FLIPS
    channel_ratios: Sequence[float] = CHANNEL_RATIOS
    if quick:
        ratios, improved, gammas, flips, channel_ratios = (0.2, 0.3), (0.1,), (0.5, 2.0), (0.05,), (0.25,)
    groups = {
        "error_free": error_free_trials(task, ratios, improved),
        "gamma": gamma_trials(ratios, gammas),
        "channel": channel_trials(task, channel_ratios, flips),
    }
    found: dict[str, Any] = {
        "pictures": len(task.labels),
        "view_sets": None if task.view_sets is None else len(task.view_sets),
        "uncompressed": judge(task, task.pictures),
    }
    for group, trials in groups.items():
        found[group] = []
        for row in run_trials(task, trials, SEED):
            found[group].append(row)
            print(name, group, row["curve"], f"{row['rho_spent']:.3f}", f"{row[score(found)]:.4f}", flush=True)
    found["bar"] = bar(found)
    found["seconds"] = round(time.monotonic() - start)
    return found


def score(found: dict[str, Any]) -> str:
    """Which accuracy a task is judged by: the majority of the views where there are several, as in the paper."""
    return "majority_accuracy" if found["view_sets"] else "single_accuracy"


def bar(found: dict[str, Any]) -> dict[str, Any]:
    """The best accuracy of the paper's allocations, the least ρ that gives it, and ours at half of that."""
    key = score(found)
    paper = [row for row in found["error_free"] if row["curve"] in ("ia", "wf")]
    best = max(row[key] for row in paper)
    rho = min(row["rho_spent"] for row in paper if row[key] == best)
    ours = [row for row in found["error_free"] if row["curve"] == "ia, improved" and row["rho_spent"] <= rho / 2]
    best_row = max(ours, key=lambda row: row[key], default=None)
    interval = key.removesuffix("accuracy")
    return {
        "paper_accuracy": best,
        "paper_rho": rho,
        "improved_accuracy": None if best_row is None else best_row[key],
        "improved_rho": None if best_row is None else best_row["rho_spent"],
        "improved_interval": None if best_row is None else [best_row[f"{interval}{end}"] for end in ("low", "high")],
        "reached": best_row is not None and best_row[key] >= best,
    }


def save(figure: Figure, path: Path) -> None:
    """Write a figure whole, without metadata that changes from run to run."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    write_bytes(path, buffer.getvalue())
    print("wrote", path, flush=True)


def draw(axis: Axes, rows: Sequence[dict[str, Any]], found: dict[str, Any], title: str) -> None:
    """Accuracy against ρ, a curve for each method, with the 95 % Wilson intervals."""
    key = score(found)
    ends = [key.replace("accuracy", end) for end in ("low", "high")]
    for curve in dict.fromkeys(row["curve"] for row in rows):
        line = sorted((row for row in rows if row["curve"] == curve), key=lambda row: row["rho_spent"])
        x = [row["rho_spent"] for row in line]
        y = np.array([row[key] for row in line])
        errors = [y - [row[ends[0]] for row in line], [row[ends[1]] for row in line] - y]
        colour, style = _STYLES.get(curve, (None, "o-"))
        axis.errorbar(
            x, y, yerr=np.maximum(errors, 0.0), fmt=style, color=colour, ms=4, lw=1.2, elinewidth=0.6, label=curve
        )
    axis.axhline(found["uncompressed"][key], color="grey", lw=0.8, ls="--", label="uncompressed")
    axis.set(xlabel="ρ, header counted", ylabel="accuracy", title=title)
    axis.grid(alpha=0.3)


def plot(results: dict[str, Any], out: Path) -> None:
    """All figures of what has been measured."""
    tasks = {name: found for name, found in results["tasks"].items() if found}
    for group, file in (("error_free", "iaq_accuracy.png"), ("gamma", "iaq_gamma.png")):
        figure = Figure(figsize=(5.2 * len(tasks), 4.2), layout="constrained")
        for axis, (name, found) in zip(figure.subplots(1, len(tasks), squeeze=False)[0], tasks.items(), strict=True):
            draw(axis, found[group], found, f"{name}, {found['pictures']} pictures, no errors")
        axis.legend(fontsize=8, loc="lower right")
        save(figure, out / file)
    flips = sorted({row["flip_probability"] for found in tasks.values() for row in found["channel"]})
    figure = Figure(figsize=(5.0 * len(flips), 4.0 * len(tasks)), layout="constrained")
    axes = figure.subplots(len(tasks), len(flips), squeeze=False)
    for row, (name, found) in enumerate(tasks.items()):
        for column, mu in enumerate(flips):
            chosen = [r for r in found["channel"] if r["flip_probability"] == mu]
            draw(axes[row, column], chosen, found, f"{name}, BSC μ = {mu:g}")
    axes[0, -1].legend(fontsize=8, loc="lower right")
    save(figure, out / "iaq_channel.png")


def plot_maps(task: Task, path: Path, shown: int = 3) -> None:
    """Attention and bits of some pictures: water-filling without errors, modified water-filling at μ = 0.1."""
    rho = 0.25
    figure = Figure(figsize=(15, 3.1 * shown), layout="constrained")
    axes = figure.subplots(shown, 6, squeeze=False)
    trials = [
        Trial("wf", make_iaq_config("wf", "paper", {"rho": rho})),
        Trial("mwf", make_iaq_config("mwf", "paper", {"rho": rho, "mu": 0.1}), 0.1),
    ]
    chosen = np.linspace(0, len(task.labels) - 1, shown).astype(int)
    importance = task.importance[chosen]
    some = Task(task.name, task.pictures[chosen], task.labels[chosen], importance, task.side, task.classifier)
    received = [transmit(some, trial, (SEED, 0))[0] for trial in trials]
    grid = [length // task.side for length in task.pictures.shape[1:3]]
    total = allocatable_bits(target_bits(rho, task.patches, task.samples), task.patches, task.samples)
    for k in range(shown):
        bits = [
            allocate(name, importance[k], total, AllocationConfig(mu=mu, order="paper")).reshape(grid)
            for name, mu in (("wf", 0.0), ("mwf", 0.1))
        ]
        panels: list[tuple[str, Any, dict[str, Any]]] = [
            ("sent", some.pictures[k], {}),
            ("attention", importance[k].reshape(grid), {"cmap": "magma"}),
            ("bits, wf, no errors", bits[0], {"cmap": "viridis", "vmin": 0, "vmax": 8}),
            ("received, no errors", received[0][k], {}),
            ("bits, mwf, μ = 0.1", bits[1], {"cmap": "viridis", "vmin": 0, "vmax": 8}),
            ("received, μ = 0.1", received[1][k], {}),
        ]
        for axis, (title, image, style) in zip(axes[k], panels, strict=True):
            axis.imshow(image, **style)
            axis.set(xticks=[], yticks=[], title=title if k == 0 else "")
    save(figure, path)


def main() -> int:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument("--tasks", default=",".join(TASKS.names()), help="some of " + ",".join(TASKS.names()))
    parser.add_argument("--pictures", type=int, help="test pictures of a task at most (all)")
    parser.add_argument("--quick", action="store_true", help="a few points only")
    parser.add_argument("--plot", action="store_true", help="only draw")
    parser.add_argument("--out", type=Path, default=HERE / "figures", help="where results and figures go")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    results: dict[str, Any] = {"tasks": {}}
    if (chosen.out / RESULTS).exists():
        results = json.loads((chosen.out / RESULTS).read_text())
    if not chosen.plot:
        if chosen.data is None:
            parser.error("--data is needed")
        for name in chosen.tasks.split(","):
            results["tasks"][name] = measured(name, chosen.data, chosen.pictures, chosen.quick)
            results |= {"versions": versions(), "seed": SEED}
            write_bytes(chosen.out / RESULTS, to_json(results).encode())
            plot_maps(make_task(name, chosen.data, 40, SEED), chosen.out / f"iaq_maps_{name}.png")
    plot(results, chosen.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
