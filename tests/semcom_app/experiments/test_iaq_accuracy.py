"""The measurements behind the figures do what the codec and the link do, and count as they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from semcom_app.classification import fuse, wilson_interval
from semcom_app.codecs.iaq import Iaq
from semcom_app.codecs.iaq_config import IAQ_PRESETS, make_iaq_config
from semcom_app.codecs.iaq_samples import COLOURS
from semcom_app.experiments.iaq_accuracy import (
    Task,
    Trial,
    channel_trials,
    cost_trials,
    error_free_trials,
    fixed_config,
    gamma_trials,
    improved_gamma_trials,
    judge,
    pack_verdicts,
    paired_difference,
    run_costs,
    run_trials,
    settings_trials,
    transmit,
    unpack_verdicts,
)
from semcom_app.patches import extract_patches
from semcom_phy.channels import make_channel
from semcom_phy.links import Frame, NumpyLink, NumpyLinkConfig

SIDE, CLASSES = 4, 3


class BrightnessClassifier:
    """Tells pictures by their brightest colour: no model, and damage matters."""

    def log_probabilities(self, pictures: np.ndarray) -> np.ndarray:
        scores = pictures.reshape(len(pictures), -1, 3).mean(axis=1) / 4
        return scores - np.log(np.exp(scores - scores.max()).sum(axis=1, keepdims=True)) - scores.max()


def contrast(pictures: np.ndarray, side: int) -> np.ndarray:
    return extract_patches(pictures, side).astype(float).std(axis=2)


@pytest.fixture(scope="module")
def task() -> Task:
    """48 pictures of 16×16, of which one colour is a little brighter in one corner."""
    rng = np.random.default_rng(0)
    labels = np.arange(48) % CLASSES
    pictures = rng.integers(60, 120, (48, 16, 16, 3))
    for picture, label in zip(pictures, labels, strict=True):
        picture[:4, :4, label] += 60
    shown = pictures.astype(np.uint8)
    sets = np.concatenate([np.flatnonzero(labels == c).reshape(4, 4) for c in range(CLASSES)])
    return Task("corners", shown, labels, contrast(shown, SIDE), SIDE, BrightnessClassifier(), sets)


@pytest.mark.slow
@pytest.mark.parametrize("preset", list(IAQ_PRESETS))
@pytest.mark.parametrize("name", ["ia", "mwf", "topk"])
def test_pictures_are_those_of_the_codec(name: str, preset: str, task: Task) -> None:
    config = make_iaq_config(name, preset, {"rho": 0.5, "mu": 0.05, "patch": SIDE})
    received, cost = transmit(task, Trial("x", config), (0, 0))
    codec = Iaq(config, lambda: contrast)
    figures, headers, payloads, uses = [], [], [], []
    link = NumpyLink(NumpyLinkConfig(make_channel("ideal"), "none"))
    for picture, arrived in zip(task.pictures, received, strict=True):
        encoded = codec.encode(picture)
        assert np.array_equal(codec.decode(encoded.header, encoded.bits, np.empty(0, np.float32)).pixels, arrived)
        figures.append(encoded.figures["rho_total"])
        headers.append(8 * len(encoded.header))
        payloads.append(encoded.bits.size)
        uses.append(link.send([Frame(encoded.header, encoded.bits)]).frames[0].stats.channel_uses)
    assert cost.header_bits == np.mean(headers)
    assert cost.payload_bits == np.mean(payloads)
    assert cost.channel_uses == np.mean(uses)
    if preset == "improved":  # the paper's header is counted without the container
        assert cost.rho_spent == pytest.approx(np.mean(figures))
        assert cost.header_share == pytest.approx(np.sum(headers) / (np.sum(headers) + np.sum(payloads)))
    assert cost.rho_spent <= 0.5


@pytest.mark.slow
def test_errors_are_those_of_a_binary_symmetric_channel(task: Task) -> None:
    """The same mean squared error as over the link, within what chance allows."""
    config = make_iaq_config("ia", "improved", {"rho": 0.5, "patch": SIDE})
    received, _ = transmit(task, Trial("x", config, 0.05), (3, 1))
    codec = Iaq(config, lambda: contrast)
    link = NumpyLink(NumpyLinkConfig(make_channel("bsc", flip_probability=0.05), "none", seed=2))
    over_link = []
    for picture in task.pictures:
        encoded = codec.encode(picture)
        frame = link.send([Frame(encoded.header, encoded.bits)]).frames[0]
        assert frame.header is not None
        over_link.append(codec.decode(frame.header, frame.payload_bits, frame.payload_llrs).pixels)
    errors = [np.mean((pictures.astype(float) - task.pictures) ** 2) for pictures in (received, np.stack(over_link))]
    assert errors[0] == pytest.approx(errors[1], rel=0.05)


@pytest.mark.parametrize("dequantize", ["hard", "uniform", "estimated"])
def test_a_picture_does_not_depend_on_those_beside_it(dequantize: str, task: Task) -> None:
    """The receiver knows one picture when it estimates how often each index occurs."""
    config = make_iaq_config("ia", "improved", {"rho": 0.5, "dequantize": dequantize})
    alone = replace(task, pictures=task.pictures[:1], importance=task.importance[:1])
    first, _ = transmit(alone, Trial("x", config, 0.05), (3, 1))
    among, _ = transmit(task, Trial("x", config, 0.05), (3, 1))
    assert np.array_equal(first[0], among[0])


def test_accuracies_are_counted(task: Task) -> None:
    row = judge(task, task.pictures)
    numbers = BrightnessClassifier().log_probabilities(task.pictures)
    right = int(np.sum(numbers.argmax(axis=1) == task.labels))
    assert (row["single_right"], row["single_count"], row["single_accuracy"]) == (right, 48, right / 48)
    assert (row["single_low"], row["single_high"]) == wilson_interval(right, 48)
    assert row["psnr_db"] is None
    assert task.view_sets is not None
    truth = task.labels[task.view_sets[:, 0]]
    votes = fuse("majority", numbers[task.view_sets])
    assert row["majority_right"] == int(np.sum(votes == truth))
    assert row["majority_count"] == len(task.view_sets) == 12
    assert "majority_right" not in judge(replace(task, view_sets=None), task.pictures)


@pytest.mark.slow
def test_the_trials_of_the_figures(task: Task) -> None:
    ratios = (0.2, 0.5)
    rows = list(run_trials(task, error_free_trials(task, ratios, (0.4,)), 1))
    assert {row["curve"] for row in rows} == {"ia", "wf", "topk", "at", "ast", "fixed", "ia, improved"}
    assert rows == list(run_trials(task, error_free_trials(task, ratios, (0.4,)), 1))
    for row in rows:
        if row["rho"] is not None and row["curve"] != "fixed":
            assert row["rho_spent"] <= row["rho"]
    fixed = [row for row in rows if row["curve"] == "fixed"]
    assert [row["rho_spent"] for row in fixed] == [0.125, 0.25, 0.375, 0.5]
    # One threshold for all pictures: what AT and AST cost is right on average.
    for name in ("at", "ast"):
        assert max(row["rho_spent"] for row in rows if row["curve"] == name) == pytest.approx(0.5, abs=0.03)


def test_impossible_budgets_are_left_out(task: Task) -> None:
    trials = gamma_trials((0.01, 0.3), (1.0,))
    assert [row["rho"] for row in run_trials(task, trials, 1)] == [0.3]


def test_settings_one_at_a_time() -> None:
    """With errors each set once, from all of the paper's to all of ours; without, none of the receiver's."""
    trials = settings_trials(0.25, (0.0, 0.1))
    noisy = {trial.curve: trial.config for trial in trials if trial.flip_probability}
    assert noisy["paper"] == make_iaq_config("ia", "paper", {"mu": 0.1})
    assert noisy["improved"] == make_iaq_config("ia", "improved", {"mu": 0.1})
    assert noisy["improved, rgb"] == replace(noisy["improved"], colour="rgb")
    for colour in COLOURS[1:]:
        assert noisy[f"own ranges, {colour}"] == replace(noisy["own ranges"], colour=colour)
    without = {trial.curve for trial in trials if not trial.flip_probability}
    assert set(noisy) - without == {"own ranges, soft", "improved, hard"}


@pytest.mark.slow
def test_channel_trials(task: Task) -> None:
    rows = list(run_trials(task, channel_trials(task, (0.5,), (0.1,)), 1))
    psnr = {row["curve"]: row["psnr_db"] for row in rows}
    ours = {"ia, own ranges", "ia, improved", "ia, improved, hard"}
    assert {"ia", "wf", "mia", "mwf", "topk", "at", "ast", "fixed", *ours} == set(psnr)
    assert psnr["ia, improved"] > psnr["ia, improved, hard"] > psnr["ia"]
    assert psnr["ia, own ranges"] > psnr["ia"]
    assert all(row["flip_probability"] == 0.1 for row in rows)


def test_improved_over_the_exponent(task: Task) -> None:
    trials = improved_gamma_trials((0.6,), (0.5, 2.0))
    assert [trial.config.gamma for trial in trials] == [0.5, 2.0]
    assert all(trial.config.own_ranges for trial in trials)


def test_fixed_bits(task: Task) -> None:
    for bits in range(1, 8):
        _, cost = transmit(task, Trial("fixed", fixed_config(bits)), (0, 0))
        assert cost.rho_spent == bits / 8
        assert cost.header_share == 0.0
        assert cost.header_bits > 0


def test_the_papers_header_share(task: Task) -> None:
    """B_add of eq. (12), 16 patches of 48 samples: 16·4 + 16 bits."""
    _, cost = transmit(task, Trial("ia", make_iaq_config("ia", "paper", {"rho": 0.5})), (0, 0))
    assert cost.header_share == pytest.approx(80 / (80 + cost.payload_bits))


def test_verdicts_are_packed_and_unpacked(task: Task) -> None:
    right = np.random.default_rng(5).random(221) < 0.7
    assert np.array_equal(unpack_verdicts(pack_verdicts(right), 221), right)
    row = judge(task, task.pictures)
    assert unpack_verdicts(row["verdicts"], 12).sum() == row["majority_right"]
    single = judge(replace(task, view_sets=None), task.pictures)
    assert unpack_verdicts(single["verdicts"], 48).sum() == single["single_right"]


def test_paired_difference() -> None:
    """By hand: 100 pictures, 6 that only the first has right, 14 that only the second has."""
    first = np.repeat([True, False, True, False], [6, 14, 60, 20])
    second = np.repeat([False, True, True, False], [6, 14, 60, 20])
    paired = paired_difference(first, second)
    assert (paired["only_first_right"], paired["only_second_right"], paired["difference"]) == (6, 14, 0.08)
    centre, reach = 8 / 102, 1.959964 * np.sqrt((22 / 102 - (8 / 102) ** 2) / 102)
    assert paired["difference_low"] == pytest.approx(centre - reach, abs=1e-6)
    assert paired["difference_high"] == pytest.approx(centre + reach, abs=1e-6)
    # Two-sided binomial: twice the sum of C(20, k) for k up to 6, over 2^20.
    assert paired["p_value"] == pytest.approx(2 * 60460 / 2**20)
    same = paired_difference(first, first)
    assert (same["difference"], same["p_value"]) == (0.0, 1.0)
    assert same["difference_low"] < 0.0 < same["difference_high"]


def test_known_rows_are_not_measured_again(task: Task) -> None:
    """What is measured beside them draws the noise that it draws without them."""
    trials = [Trial("ia", make_iaq_config("ia", "paper", {"rho": rho}), 0.1) for rho in (0.3, 0.4, 0.5)]
    rows = list(run_trials(task, trials, 1))
    marked = {**rows[1], "single_accuracy": -1.0}
    assert list(run_trials(task, trials, 1, [marked])) == [rows[0], marked, rows[2]]


def test_costs_are_those_of_some_pictures(task: Task) -> None:
    rows = list(run_costs(task, cost_trials((0.3, 0.75)), 8))
    assert {row["curve"] for row in rows} == {"ia", "ia, own ranges", "ia, improved", "fixed"}
    for row in rows:
        assert row["pictures"] == 8
        assert row["cbr"] == row["channel_uses"] / (16 * 16 * 3)
        assert row["channel_uses"] > row["header_bits"] + row["payload_bits"]
