"""Accuracy of a classifier behind IAQ: against ρ, the weights' exponent and the error rate of the channel.

Everything is done on batches of pictures. The header is taken to arrive, as in the paper; the payload goes over a
binary symmetric channel. What header and payload cost over the uncoded link, whose header is protected, is counted
apart (`Cost`). `docs/make_iaq_results.py` makes the figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import binomtest

from semcom_app.allocation.attention_sum_threshold import calibrate_sum_threshold
from semcom_app.allocation.attention_threshold import calibrate_attention_threshold
from semcom_app.allocation.budget import allocatable_bits, compression_ratio, header_bits, target_bits
from semcom_app.classification import fuse, wilson_interval
from semcom_app.classification.fusion import single_views
from semcom_app.codecs.iaq_config import IaqConfig, make_iaq_config
from semcom_app.codecs.iaq_quantizers import CONTAINER_BITS, BudgetError, fit_quantizers, patch_header
from semcom_app.codecs.iaq_samples import CHANNELS, COLOURS, assemble_pictures, block_samples, extract_blocks
from semcom_app.patch_quantization import PatchQuantizer
from semcom_phy.coding.transport import TurboCode
from semcom_phy.errors import ConfigurationError
from semcom_phy.links.framing import SIGNALLING_SYMBOLS, header_symbols
from semcom_phy.links.payload_coding import payload_coded_length

_SAMPLES_AT_ONCE = 1 << 19  # fits into the caches with what is made of them
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
        """For the results' JSON; no two trials of a group have the same."""
        config = self.config
        thresholded = config.threshold is not None
        return {
            "curve": self.curve,
            "allocator": config.allocator,
            "rho": None if thresholded else config.rho,
            **({"threshold": config.threshold} if thresholded else {}),
            "gamma": config.gamma,
            "minimum": config.minimum,
            "mu": config.mu,
            "flip_probability": self.flip_probability,
        }


@dataclass(frozen=True)
class Cost:
    """What a picture costs, mean over the pictures.

    rho_spent: ρ, header counted: the paper's as eq. (12) has it, any other as it is sent, container included. Fixed-M
    needs no M_i per patch, so that its header is free, as in the paper. header_share: of the header among the bits
    that ρ counts. header_bits: of header and container as the link sends them, whatever ρ counts. payload_bits.
    channel_uses: of the uncoded link with BPSK, signalling and the protected header included.
    """

    rho_spent: float
    header_share: float
    header_bits: float
    payload_bits: float
    channel_uses: float


def transmit(task: Task, trial: Trial, seed: tuple[int, int]) -> tuple[NDArray[np.uint8], Cost]:
    """Pictures after quantization and channel, uint8 (n, H, W, 3), and what they cost."""
    config, rng = replace(trial.config, patch=task.side), np.random.default_rng(seed)
    count, height, width, _ = task.pictures.shape
    samples = block_samples(task.side, config.colour)
    received = np.empty_like(task.pictures)
    counted, headers, payloads = 0, np.empty(count, np.int64), np.empty(count, np.int64)
    at_once = max(1, _SAMPLES_AT_ONCE // task.pictures[0].size)
    for first in range(0, count, at_once):
        rows = slice(first, first + at_once)
        blocks = extract_blocks(task.pictures[rows], task.side, config.colour)
        mu = 0.0 if config.mu is None else config.mu
        quantizer = fit_quantizers(blocks, task.importance[rows], height, width, config, mu)
        payload = quantizer.to_bits(quantizer.quantize(blocks.reshape(-1, samples)))
        headers[rows] = _header_bytes(quantizer, len(blocks), height, width, config)
        payloads[rows] = samples * quantizer.bits.reshape(len(blocks), -1).sum(axis=1, dtype=np.int64)
        counted += _counted_header_bits(headers[rows], quantizer.bits.size // len(blocks), config)
        values = _received_values(quantizer, payload, samples, len(blocks), config, trial.flip_probability, rng)
        received[rows] = assemble_pictures(values.reshape(blocks.shape), height, width, task.side, config.colour)
    spent = counted + int(payloads.sum())
    uses = [uncoded_channel_uses(int(h), int(b)) for h, b in zip(headers, payloads, strict=True)]
    cost = Cost(
        compression_ratio(spent, count * task.patches, task.samples),
        counted / spent,
        8.0 * float(headers.mean()),
        float(payloads.mean()),
        float(np.mean(uses)),
    )
    return received, cost


def uncoded_channel_uses(header_bytes: int, payload_bits: int) -> int:
    """BPSK symbols of a frame of the NumPy link without a code: signalling, protected header, payload and its CRC."""
    payload = payload_coded_length(payload_bits, "none", TurboCode())
    return SIGNALLING_SYMBOLS + header_symbols(header_bytes) + payload


def _of_each_picture(quantizer: PatchQuantizer, pictures: int) -> Iterator[PatchQuantizer]:
    """The quantizers of the pictures whose blocks `quantizer` has, one after the other."""
    count = quantizer.bits.size // pictures
    for first in range(0, quantizer.bits.size, count):
        own = slice(first, first + count)
        yield PatchQuantizer(quantizer.bits[own], quantizer.low[own], quantizer.high[own], quantizer.fill[own])


def _header_bytes(
    quantizer: PatchQuantizer, pictures: int, height: int, width: int, config: IaqConfig
) -> NDArray[np.int64]:
    """Of each picture, container included, (pictures,)."""
    headers = (patch_header(one, height, width, config) for one in _of_each_picture(quantizer, pictures))
    return np.array([CONTAINER_BITS // 8 + len(header) for header in headers])


def _counted_header_bits(header_bytes: NDArray[np.int64], patches: int, config: IaqConfig) -> int:
    """What counts against ρ, of all pictures together; see `Cost`."""
    if config.allocator == "fixed":
        return 0
    if config.paper_header:
        return header_bytes.size * header_bits(patches, config.maximum)
    return 8 * int(header_bytes.sum())


def _received_values(
    quantizer: PatchQuantizer,
    payload: NDArray[np.uint8],
    samples: int,
    pictures: int,
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
    # A receiver estimates the distribution of the indices from one picture.
    values, first = [], 0
    for one in _of_each_picture(quantizer, pictures):
        last = first + samples * int(one.bits.sum(dtype=np.int64))
        values.append(one.soft_dequantize(llrs[first:last], samples, config.dequantize))
        first = last
    return np.concatenate(values)


def judge(task: Task, pictures: NDArray[np.uint8]) -> dict[str, Any]:
    """Accuracies on pictures as they arrived, with 95 % Wilson intervals; and the PSNR of all together, dB."""
    numbers = task.classifier.log_probabilities(pictures)
    error = np.mean((pictures.astype(np.float32) - task.pictures) ** 2, dtype=np.float64)
    right = {"single": single_views(numbers) == task.labels}
    if task.view_sets is not None:
        truth = task.labels[task.view_sets[:, 0]]
        right |= {rule: fuse(rule, numbers[task.view_sets]) == truth for rule in RULES}
    row: dict[str, Any] = {"psnr_db": float(10.0 * np.log10(255.0**2 / error)) if error else None}
    for name, verdicts in right.items():
        row |= _accuracy(name, verdicts)
    return {**row, "verdicts": pack_verdicts(right["single" if task.view_sets is None else "majority"])}


def pack_verdicts(right: NDArray[np.bool_]) -> str:
    """Right or wrong of each picture or set of views, a bit each, in hexadecimal digits."""
    return np.packbits(right).tobytes().hex()


def unpack_verdicts(digits: str, count: int) -> NDArray[np.bool_]:
    """What `pack_verdicts` was given, (count,)."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(digits), np.uint8), count=count).astype(bool)


def paired_difference(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> dict[str, Any]:
    """Accuracy of `second` less that of `first` on the same n pictures, with its 95 % interval and McNemar's test.

    The interval is Bonett and Price's adjusted Wald interval; the p value that of the exact test, two-sided.
    """
    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    n, discordant = first.size, only_first + only_second
    shares = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
    centre = shares[1] - shares[0]
    reach = float(ndtri(0.975)) * np.sqrt((sum(shares) - centre**2) / (n + 2))
    return {
        "only_first_right": only_first,
        "only_second_right": only_second,
        "difference": (only_second - only_first) / n,
        "difference_low": max(-1.0, centre - reach),
        "difference_high": min(1.0, centre + reach),
        "p_value": float(binomtest(only_first, discordant).pvalue) if discordant else 1.0,
    }


def mean_interval(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean of independent values with its 95 % interval (normal)."""
    mean = float(values.mean())
    reach = float(ndtri(0.975)) * float(values.std(ddof=1)) / np.sqrt(values.size)
    return mean, mean - reach, mean + reach


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


def run_trials(
    task: Task, trials: Sequence[Trial], seed: int, known: Sequence[Mapping[str, Any]] = ()
) -> Iterator[dict[str, Any]]:
    """Results of the trials, one row each, in order; those whose budget is impossible are left out.

    Channels draw from (seed, number of the trial). `known`: rows of before; what they hold is not measured again.
    """
    for number, trial in enumerate(trials):
        described = trial.describe()
        row = next((row for row in known if described.items() <= row.items()), None)
        if row is None:
            try:
                received, cost = transmit(task, trial, (seed, number))
            except BudgetError:
                continue
            row = {"task": task.name, **described, **asdict(cost), **judge(task, received)}
        yield dict(row)


def run_costs(task: Task, trials: Sequence[Trial], pictures: int) -> Iterator[dict[str, Any]]:
    """What the first so many pictures cost with each of the trials, nothing classified."""
    some = replace(task, pictures=task.pictures[:pictures], importance=task.importance[:pictures])
    for trial in trials:
        try:
            _, cost = transmit(some, trial, (0, 0))
        except BudgetError:
            continue
        cbr = cost.channel_uses / some.pictures[0].size
        yield {"task": task.name, **trial.describe(), **asdict(cost), "cbr": cbr, "pictures": len(some.pictures)}


# --- what the figures hold -------------------------------------------------------------------------


def error_free_trials(task: Task, ratios: Sequence[float], improved_ratios: Sequence[float]) -> list[Trial]:
    """All methods without channel errors: the paper's first result figures, and our settings."""
    trials = []
    for rho in ratios:
        trials += [Trial(name, make_iaq_config(name, "paper", {"rho": rho})) for name in ("ia", "wf", "topk")]
        trials += list(_calibrated(task, rho))
    trials += [Trial("fixed", fixed_config(bits)) for bits in range(1, 5)]
    trials += [
        Trial("ia, improved", make_iaq_config("ia", "improved", {"rho": rho})) for rho in (*improved_ratios, *ratios)
    ]
    return trials


def fixed_config(bits: int) -> IaqConfig:
    """Fixed-M: it has no header, so that ρ is M/8."""
    return make_iaq_config("fixed", "paper", {"rho": bits / 8})


def _calibrated(task: Task, rho: float) -> Iterator[Trial]:
    """AT and AST with one threshold for the data set that spends ρ on average, as the paper sets it."""
    config = IaqConfig()
    try:
        total = allocatable_bits(target_bits(rho, task.patches, task.samples), task.patches, task.samples)
    except ConfigurationError:
        return  # less than one bit everywhere
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


def improved_gamma_trials(ratios: Sequence[float], gammas: Sequence[float]) -> list[Trial]:
    """The exponent with our settings."""
    return [
        Trial("ia, improved", make_iaq_config("ia", "improved", {"rho": rho, "gamma": gamma}))
        for rho in ratios
        for gamma in gammas
    ]


def channel_trials(task: Task, ratios: Sequence[float], flip_probabilities: Sequence[float]) -> list[Trial]:
    """Plain and modified allocations over binary symmetric channels, the baselines, and our settings."""
    trials = []
    for mu in flip_probabilities:
        for rho in ratios:
            given = {"rho": rho, "mu": mu}
            trials += [
                *(Trial(name, make_iaq_config(name, "paper", given), mu) for name in _UNDER_ERRORS),
                *(Trial(trial.curve, replace(trial.config, mu=mu), mu) for trial in _calibrated(task, rho)),
                Trial("ia, own ranges", make_iaq_config("ia", "paper", {**given, "ranges": "patch"}), mu),
                Trial("ia, improved", make_iaq_config("ia", "improved", given), mu),
                Trial("ia, improved, hard", make_iaq_config("ia", "improved", {**given, "dequantize": "hard"}), mu),
            ]
        trials += [Trial("fixed", replace(fixed_config(bits), mu=mu), mu) for bits in range(1, 5)]
    return trials


#: From the paper's settings to ours: its own ranges first, one more of ours each, and ours with one of the paper's.
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "paper": ("paper", {}),
    "own ranges": ("paper", {"ranges": "patch"}),
    "own ranges, 5 bits, coded": ("paper", {"ranges": "patch", "value_bits": 5, "header": "coded"}),
    "own ranges, M_min 0, means": ("paper", {"ranges": "patch", "minimum": 0, "fill": "channel-means"}),
    "own ranges, soft": ("paper", {"ranges": "patch", "dequantize": "estimated"}),
    **{f"own ranges, {colour}": ("paper", {"ranges": "patch", "colour": colour}) for colour in COLOURS[1:]},
    "improved": ("improved", {}),
    "improved, 8 bits": ("improved", {"value_bits": 8}),
    "improved, M_min 1": ("improved", {"minimum": 1}),
    "improved, hard": ("improved", {"dequantize": "hard"}),
    **{f"improved, {colour}": ("improved", {"colour": colour}) for colour in COLOURS if colour != "ycbcr420"},
}


def settings_trials(rho: float, flip_probabilities: Sequence[float]) -> list[Trial]:
    """What each of our settings does for IA, alone and among the others."""
    return [
        Trial(name, make_iaq_config("ia", preset, {"rho": rho, "mu": mu, **settings}), mu)
        for mu in flip_probabilities
        for name, (preset, settings) in SETTINGS.items()
        if mu > 0.0 or "dequantize" not in settings
    ]


def cost_trials(ratios: Sequence[float]) -> list[Trial]:
    """What has a header or a payload of its own size: IA of the paper, with its own ranges, Fixed-M, our settings."""
    kinds: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("ia", "paper", {}),
        ("ia, own ranges", "paper", {"ranges": "patch"}),
        ("ia, improved", "improved", {}),
    )
    return [
        *(
            Trial(curve, make_iaq_config("ia", preset, {"rho": rho, **settings}))
            for curve, preset, settings in kinds
            for rho in ratios
        ),
        *(Trial("fixed", fixed_config(bits)) for bits in range(1, 5)),
    ]
