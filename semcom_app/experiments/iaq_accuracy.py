"""Accuracy of a classifier behind IAQ: against ρ, the weights' exponent and the error rate of the channel.

Everything is done on batches of pictures. The header is taken to arrive, as in the paper; the payload goes over a
binary symmetric channel. `docs/make_iaq_results.py` makes the figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from semcom_app.allocation.attention_sum_threshold import calibrate_sum_threshold
from semcom_app.allocation.attention_threshold import calibrate_attention_threshold
from semcom_app.allocation.budget import allocatable_bits, compression_ratio, header_bits, target_bits
from semcom_app.classification import fuse, wilson_interval
from semcom_app.classification.fusion import single_views
from semcom_app.codecs.iaq_config import IaqConfig, make_iaq_config
from semcom_app.codecs.iaq_quantizers import CONTAINER_BITS, BudgetError, fit_quantizers, patch_header
from semcom_app.codecs.iaq_samples import CHANNELS, assemble_pictures, block_samples, extract_blocks
from semcom_app.patch_quantization import PatchQuantizer
from semcom_phy.errors import ConfigurationError

_PICTURES_AT_ONCE = 64
RULES = ("majority", "sum")
_UNDER_ERRORS = ("ia", "wf", "mia", "mwf", "topk")


class Classifier(Protocol):
    """The server's model."""

    def log_probabilities(self, pictures: NDArray[Any]) -> NDArray[np.float64]: ...


@dataclass(frozen=True)
class Task:
    """What is classified.

    pictures: uint8 (n, H, W, 3), tiled by patches of `side`. labels: int64 (n,). importance: (n, N), as the device
    measures it on the pictures before the link. view_sets: pictures of one object each, int64 (S, V); None: single
    views only.
    """

    name: str
    pictures: NDArray[np.uint8]
    labels: NDArray[np.int64]
    importance: NDArray[np.float64]
    side: int
    classifier: Classifier
    view_sets: NDArray[np.int64] | None = None

    @property
    def patches(self) -> int:
        """N."""
        return int(self.importance.shape[1])

    @property
    def samples(self) -> int:
        """K."""
        return CHANNELS * self.side**2


@dataclass(frozen=True)
class Trial:
    """One point of a figure: a name for its curve, settings, and the error rate of the channel."""

    curve: str
    config: IaqConfig
    flip_probability: float = 0.0

    def describe(self) -> dict[str, Any]:
        """For the results' JSON."""
        config = self.config
        return {
            "curve": self.curve,
            "allocator": config.allocator,
            "rho": None if config.threshold is not None else config.rho,
            "gamma": config.gamma,
            "minimum": config.minimum,
            "mu": config.mu,
            "flip_probability": self.flip_probability,
        }


def transmit(task: Task, trial: Trial, seed: tuple[int, int]) -> tuple[NDArray[np.uint8], float]:
    """Pictures after quantization and channel, uint8 (n, H, W, 3), and the mean ρ, header counted.

    The paper's header counts as eq. (12) has it; any other as it is sent, container included. Fixed-M needs no M_i
    per patch, so that its header is free, as in the paper.
    """
    config, rng = replace(trial.config, patch=task.side), np.random.default_rng(seed)
    count, height, width, _ = task.pictures.shape
    received = np.empty_like(task.pictures)
    spent = 0
    for first in range(0, count, _PICTURES_AT_ONCE):
        rows = slice(first, first + _PICTURES_AT_ONCE)
        blocks = extract_blocks(task.pictures[rows], task.side, config.colour)
        samples = block_samples(task.side, config.colour)
        mu = 0.0 if config.mu is None else config.mu
        quantizer = fit_quantizers(blocks, task.importance[rows], height, width, config, mu)
        payload = quantizer.to_bits(quantizer.quantize(blocks.reshape(-1, samples)))
        spent += payload.size + _header_bits(quantizer, len(blocks), height, width, config)
        values = _received_values(quantizer, payload, samples, config, trial.flip_probability, rng)
        received[rows] = assemble_pictures(values.reshape(blocks.shape), height, width, task.side, config.colour)
    return received, compression_ratio(spent, count * task.patches, task.samples)


def _header_bits(quantizer: PatchQuantizer, pictures: int, height: int, width: int, config: IaqConfig) -> int:
    """Of all pictures together."""
    if config.allocator == "fixed":
        return 0
    count = quantizer.bits.size // pictures
    if config.paper_header:
        return pictures * header_bits(count, config.maximum)
    total = 0
    for i in range(pictures):
        own = slice(i * count, (i + 1) * count)
        one = PatchQuantizer(quantizer.bits[own], quantizer.low[own], quantizer.high[own], quantizer.fill[own])
        total += CONTAINER_BITS + 8 * len(patch_header(one, height, width, config))
    return total


def _received_values(
    quantizer: PatchQuantizer,
    payload: NDArray[np.uint8],
    samples: int,
    config: IaqConfig,
    flip_probability: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    if flip_probability == 0.0:
        return quantizer.dequantize(quantizer.from_bits(payload, samples))
    received = payload ^ (rng.random(payload.size) < flip_probability).astype(np.uint8)
    if config.dequantize == "hard":
        return quantizer.dequantize(quantizer.from_bits(received, samples))
    llrs = (2.0 * received - 1.0) * np.log((1.0 - flip_probability) / flip_probability)
    return quantizer.soft_dequantize(llrs, samples, config.dequantize)


def judge(task: Task, pictures: NDArray[np.uint8]) -> dict[str, Any]:
    """Accuracies on pictures as they arrived, with 95 % Wilson intervals; and the PSNR of all together, dB."""
    numbers = task.classifier.log_probabilities(pictures)
    error = np.mean((pictures.astype(np.float32) - task.pictures) ** 2, dtype=np.float64)
    row: dict[str, Any] = {
        "psnr_db": float(10.0 * np.log10(255.0**2 / error)) if error else None,
        **_accuracy("single", single_views(numbers) == task.labels),
    }
    if task.view_sets is not None:
        truth = task.labels[task.view_sets[:, 0]]
        for rule in RULES:
            row |= _accuracy(rule, fuse(rule, numbers[task.view_sets]) == truth)
    return row


def _accuracy(name: str, right: NDArray[np.bool_]) -> dict[str, Any]:
    successes, trials = int(np.count_nonzero(right)), right.size
    low, high = wilson_interval(successes, trials)
    return {
        f"{name}_right": successes,
        f"{name}_count": trials,
        f"{name}_accuracy": successes / trials,
        f"{name}_low": low,
        f"{name}_high": high,
    }


def run_trials(task: Task, trials: Sequence[Trial], seed: int) -> Iterator[dict[str, Any]]:
    """Results of the trials, one row each, in order; those whose budget is impossible are left out.

    Channels draw from (seed, number of the trial).
    """
    for number, trial in enumerate(trials):
        try:
            received, rho = transmit(task, trial, (seed, number))
        except BudgetError:
            continue
        yield {"task": task.name, **trial.describe(), "rho_spent": rho, **judge(task, received)}


# --- what the figures hold -------------------------------------------------------------------------


def error_free_trials(task: Task, ratios: Sequence[float], improved_ratios: Sequence[float]) -> list[Trial]:
    """All methods without channel errors: the paper's first result figures, and our settings."""
    trials = []
    for rho in ratios:
        trials += [Trial(name, make_iaq_config(name, "paper", {"rho": rho})) for name in ("ia", "wf", "topk")]
        trials += list(_calibrated(task, rho))
    trials += [Trial("fixed", fixed_config(task, bits)) for bits in range(1, 5)]
    trials += [
        Trial("ia, improved", make_iaq_config("ia", "improved", {"rho": rho})) for rho in (*improved_ratios, *ratios)
    ]
    return trials


def fixed_config(task: Task, bits: int) -> IaqConfig:
    """Fixed-M: as `fit_quantizers` counts a header that Fixed-M does not send, ρ is M/8 and that header."""
    added = header_bits(task.patches) / (8 * task.samples * task.patches)
    return make_iaq_config("fixed", "paper", {"rho": bits / 8 + added})


def _calibrated(task: Task, rho: float) -> Iterator[Trial]:
    """AT and AST with one threshold for the data set that spends ρ on average, as the paper sets it."""
    config = IaqConfig()
    try:
        total = allocatable_bits(target_bits(rho, task.patches, task.samples), task.patches, task.samples)
    except ConfigurationError:
        return
    marked = (total - task.patches * config.minimum) / (config.maximum - config.minimum)
    thresholds = {
        "at": calibrate_attention_threshold(task.importance, marked),
        "ast": calibrate_sum_threshold(task.importance, marked),
    }
    for name, threshold in thresholds.items():
        yield Trial(name, make_iaq_config(name, "paper", {"rho": rho, "threshold": threshold}))


def gamma_trials(ratios: Sequence[float], gammas: Sequence[float]) -> list[Trial]:
    """The exponent of the weight function, (31)."""
    return [
        Trial(f"γ = {gamma:g}", make_iaq_config("ia", "paper", {"rho": rho, "gamma": gamma}))
        for gamma in gammas
        for rho in ratios
    ]


def channel_trials(task: Task, ratios: Sequence[float], flip_probabilities: Sequence[float]) -> list[Trial]:
    """Plain and modified allocations over binary symmetric channels, the baselines, and our settings."""
    trials = []
    for mu in flip_probabilities:
        for rho in ratios:
            given = {"rho": rho, "mu": mu}
            trials += [
                *(Trial(name, make_iaq_config(name, "paper", given), mu) for name in _UNDER_ERRORS),
                Trial("ia, improved", make_iaq_config("ia", "improved", given), mu),
                Trial("ia, improved, hard", make_iaq_config("ia", "improved", {**given, "dequantize": "hard"}), mu),
            ]
        trials += [Trial("fixed", replace(fixed_config(task, bits), mu=mu), mu) for bits in range(1, 5)]
    return trials
