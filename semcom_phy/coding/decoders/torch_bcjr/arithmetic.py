"""The numbers that the recursions run on: likelihood ratios, or LLRs.

**Probabilities instead of logarithms.** Exact log-MAP needs ln(e^a + e^b) at every branch. Here the channel
LLRs L become likelihood ratios e^L once, and BCJR runs over products and sums: a branch has the weight
1, e^Lu, e^Lp or e^(Lu + Lp), a state metric is a sum of two products, the extrinsic ratio P(1)/P(0) is a
quotient of two sums, and ratios multiply where LLRs would add. Only the a-posteriori ratios are turned back
into LLRs. `Range` keeps the numbers inside their format. "max-log", "linear-log-map" and "table-log-map" are
defined on LLRs (`interface.ALGORITHMS`) and run on LLRs; `Probabilities` and `Logarithms` are the two
arithmetics, the rest of the module does not care.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from semcom_phy.coding.decoders.interface import (
    LINEAR_OFFSET,
    LLR_LIMIT,
    MAX_LOG_SCALE,
    TABLE_STEP,
    table_thresholds,
)

if TYPE_CHECKING:
    from torch import Tensor

    from semcom_phy.coding.decoders.torch_bcjr.recursions import Workspace

_LOG_IMPOSSIBLE: Final = -1e30
#: Extrinsic LLRs of the logarithmic arithmetic end here, far beyond what is ever reached, so that a thousand
#: iterations on contradictory input cannot overflow.
_LOG_LIMIT: Final = 1e6


@dataclass(frozen=True)
class Range:
    """Bounds that keep the recursion over probabilities inside a number format.

    Channel LLRs are clipped to ± `channel`, extrinsic ones to ± `extrinsic`, in nats. Every second step the state
    metrics are divided by the largest and those below `floor` are raised to it. A step multiplies the metrics by at
    most 2·e^(2·channel + extrinsic) and the largest by at least e^−channel; with the values of `RANGES` two
    such steps neither overflow nor leave all metrics zero, and numerator and denominator of an extrinsic ratio are
    positive: at least floor·e^(−2·channel).
    """

    channel: float
    extrinsic: float
    floor: float


RANGES: Final = {"float32": Range(12.0, 19.0, 1e-15), "float64": Range(110.0, 130.0, 1e-130)}


class Arithmetic(Protocol):
    """What the recursions calculate with: "times" along a path, "plus" over paths.

    Weights are what LLRs become; `one` is the weight of LLR 0, `impossible` the metric of a state that cannot be.
    Channel LLRs are clipped to ± `limit`. Metrics are renormalised every `period` steps.
    """

    limit: float
    one: float
    impossible: float
    period: int

    def weights(self, llrs: Tensor) -> Tensor:
        """Clipped channel LLRs, in place, as weights."""
        ...

    def metrics(self, logarithms: Tensor) -> Tensor:
        """Log-probabilities of states, largest 0, as metrics."""
        ...

    def llrs(self, weights: Tensor) -> Tensor: ...

    def times(self, a: Tensor, b: Tensor) -> Tensor: ...

    def step(
        self, first: Tensor, second: Tensor, weight: Tensor, opposite: Tensor, result: Tensor, spare: Tensor
    ) -> None:
        """Metrics after one step: first · weight + second · opposite; `spare` is (2, size of result)."""
        ...

    def renormalise(self, metrics: Tensor) -> None:
        """Take out, in place, the common factor of the eight metrics along axis 0."""
        ...

    def extrinsic(self, work: Workspace, parity: Tensor) -> Tensor:
        """What the code alone says about each input bit, as weights (W, lanes)."""
        ...


class Probabilities:
    """Exact log-MAP: weights are likelihood ratios."""

    one = 1.0
    impossible = 0.0
    period = 2

    def __init__(self, limits: Range) -> None:
        self.limits = limits
        self.limit = limits.channel

    def weights(self, llrs: Tensor) -> Tensor:
        return llrs.exp_()

    def metrics(self, logarithms: Tensor) -> Tensor:
        return logarithms.exp().clamp_(min=self.limits.floor)

    def llrs(self, weights: Tensor) -> Tensor:
        return weights.log()

    def times(self, a: Tensor, b: Tensor) -> Tensor:
        return a * b

    def step(
        self, first: Tensor, second: Tensor, weight: Tensor, opposite: Tensor, result: Tensor, spare: Tensor
    ) -> None:
        import torch

        torch.mul(first, weight, out=spare[0])
        torch.addcmul(spare[0], second, opposite, out=result)

    def renormalise(self, metrics: Tensor) -> None:
        metrics.mul_(metrics.amax(0).reciprocal_()).clamp_(min=self.limits.floor)

    def extrinsic(self, work: Workspace, parity: Tensor) -> Tensor:
        # Butterfly j joins the states (2j, 2j+1) with (j, j+4). Its branches 2j → j and 2j+1 → j+4 have one
        # pair (u, p), its other two the opposite pair, and butterfly 3−j has the same pairs the other way round.
        before, after = work.alpha_pairs(), work.beta_pairs()
        first, second = before[:, :, 0], before[:, :, 1]
        upper, lower = after[:, :, 0], after[:, :, 1]
        sums = first * upper
        sums.addcmul_(second, lower)
        for j in range(4):
            sums[:, 3 - j].addcmul_(first[:, j], lower[:, j]).addcmul_(second[:, j], upper[:, j])
        # Now (u, p) is (0, 0), (1, 0), (0, 1), (1, 1) for j = 0 … 3, still without the weight of p.
        zero = sums[:, 0].addcmul(parity, sums[:, 2])
        one = sums[:, 1].addcmul(parity, sums[:, 3])
        bound = math.exp(self.limits.extrinsic)
        return one.div_(zero).clamp_(1.0 / bound, bound)


class Logarithms:
    """The approximations of log-MAP: weights are LLRs."""

    limit = LLR_LIMIT
    one = 0.0
    impossible = _LOG_IMPOSSIBLE
    period = 16

    def __init__(self, algorithm: str) -> None:
        self.algorithm = algorithm
        self.scale = MAX_LOG_SCALE if algorithm == "max-log" else 1.0
        self.thresholds = table_thresholds()

    def weights(self, llrs: Tensor) -> Tensor:
        return llrs

    def metrics(self, logarithms: Tensor) -> Tensor:
        return logarithms

    def llrs(self, weights: Tensor) -> Tensor:
        return weights

    def times(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b

    def _correct(self, larger: Tensor, difference: Tensor) -> None:
        """Add to `larger` = max(a, b) what is missing to max*(a, b); `difference` = a − b is overwritten."""
        distance = difference.abs_()
        if self.algorithm == "linear-log-map":
            larger.add_(distance.mul_(-0.25).add_(LINEAR_OFFSET).clamp_(min=0.0))
        else:
            for threshold in self.thresholds:
                larger.add_(distance < threshold, alpha=TABLE_STEP)

    def step(
        self, first: Tensor, second: Tensor, weight: Tensor, opposite: Tensor, result: Tensor, spare: Tensor
    ) -> None:
        import torch

        via_first, via_second = spare[0], spare[1]
        torch.add(first, weight, out=via_first)
        torch.add(second, opposite, out=via_second)
        torch.maximum(via_first, via_second, out=result)
        if self.algorithm != "max-log":
            self._correct(result, via_first.sub_(via_second))

    def renormalise(self, metrics: Tensor) -> None:
        metrics.sub_(metrics[0].clone())

    def extrinsic(self, work: Workspace, parity: Tensor) -> Tensor:
        alpha = work.alpha()
        totals = []
        for bit in (0, 1):
            terms = work.beta_after(bit)
            terms += alpha
            for state in work.states_with_parity[bit]:
                terms[:, state] += parity
            if self.algorithm == "max-log":
                totals.append(terms.amax(1))
                continue
            # These approximations are not associative: pairwise, neighbours first, as the reference does.
            while terms.shape[1] > 1:
                left, right = terms[:, 0::2], terms[:, 1::2]
                terms = left.maximum(right)
                self._correct(terms, left - right)
            totals.append(terms[:, 0])
        return totals[1].sub_(totals[0]).mul_(self.scale).clamp_(-_LOG_LIMIT, _LOG_LIMIT)
