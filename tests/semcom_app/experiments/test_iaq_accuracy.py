"""The measurements behind the figures do what the codec and the link do, and count as they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from semcom_app.classification import fuse, wilson_interval
from semcom_app.codecs.iaq import Iaq
from semcom_app.codecs.iaq_config import IAQ_PRESETS, make_iaq_config
from semcom_app.experiments.iaq_accuracy import (
    Task,
    Trial,
    channel_trials,
    error_free_trials,
    fixed_config,
    gamma_trials,
    judge,
    run_trials,
    transmit,
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
    received, rho = transmit(task, Trial("x", config), (0, 0))
    codec = Iaq(config, lambda: contrast)
    figures = []
    for picture, arrived in zip(task.pictures, received, strict=True):
        encoded = codec.encode(picture)
        assert np.array_equal(codec.decode(encoded.header, encoded.bits, np.empty(0, np.float32)).pixels, arrived)
        figures.append(encoded.figures["rho_total"])
    if preset == "improved":  # the paper's header is counted without the container
        assert rho == pytest.approx(np.mean(figures))
    assert rho <= 0.5


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


@pytest.mark.slow
def test_channel_trials(task: Task) -> None:
    rows = list(run_trials(task, channel_trials(task, (0.5,), (0.1,)), 1))
    psnr = {row["curve"]: row["psnr_db"] for row in rows}
    assert {"ia", "wf", "mia", "mwf", "topk", "fixed", "ia, improved", "ia, improved, hard"} == set(psnr)
    assert psnr["ia, improved"] > psnr["ia, improved, hard"] > psnr["ia"]
    assert all(row["flip_probability"] == 0.1 for row in rows)


def test_fixed_bits(task: Task) -> None:
    for bits in range(1, 8):
        _, rho = transmit(task, Trial("fixed", fixed_config(task, bits)), (0, 0))
        assert rho == bits / 8
