"""One constituent decoding in plain torch operations.

The trellis is the row of four butterflies described in `numpy_log_map`; forward and backward recursion run
in one loop as they do there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import numpy.typing as npt

from semcom_phy.coding.decoders.torch_bcjr.arithmetic import Arithmetic
from semcom_phy.coding.decoders.torch_bcjr.layout import APPROACH, Windows
from semcom_phy.coding.turbo import INPUT_BIT, NEXT_STATE, PARITY_BIT, STATES

if TYPE_CHECKING:
    from torch import Tensor

#: Steps whose branch weights are laid out at once.
_STRIDE: Final = 8

REVERSED: Final = [(s & 1) << 2 | s & 2 | s >> 2 for s in range(STATES)]


class Workspace:
    """State metrics of one constituent decoding, and the views and indices to work on them.

    `metrics` (W + 1, 8, 2, lanes): [t, s, 0] = α_t(s), [t, rev(s), 1] = β_(W−t)(s), rev = three bits reversed.
    """

    def __init__(self, arithmetic: Arithmetic, steps: int, lanes: int, like: Tensor) -> None:
        import torch

        self.arithmetic = arithmetic
        self.steps, self.lanes = steps, lanes
        self.metrics = like.new_empty(steps + 1, STATES, 2, lanes)
        # Axes: time, upper or lower outputs (0…3 and 4…7), butterfly, direction, lane.
        self._outputs = self.metrics.view(steps + 1, 2, 4, 2, lanes).unbind(0)
        inputs = self.metrics.view(steps + 1, 1, 4, 2, 2, lanes)
        self._first, self._second = (inputs[:, :, :, which].unbind(0) for which in (0, 1))
        self._spare = like.new_empty(2, 2, 4, 2, lanes)
        # The weights 1, e^Lu, e^Lp, e^(Lu + Lp) of each step …
        self._weights = like.new_full((steps, 4, lanes), arithmetic.one)
        # … and where on the way to the upper, lower, upper outputs each of them is needed.
        self._laid_out = like.new_empty(_STRIDE * 24, lanes)
        laid_out = self._laid_out.view(_STRIDE, 3, 4, 2, lanes)
        self._weight, self._opposite = laid_out[:, :2].unbind(0), laid_out[:, 1:].unbind(0)

        def index(values: npt.NDArray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values.reshape(-1))).to(like.device)

        upward = np.array([[0, 1, 2, 3], [0, 2, 1, 3]]).T  # weight by butterfly and direction
        by_row = np.stack([upward, upward[::-1], upward])
        time = np.stack([np.arange(steps), np.arange(steps - 1, -1, -1)], axis=1)
        self._weight_rows = index(4 * time[:, None, None] + by_row)
        self._metric_rows = self.metrics.view(-1, lanes)

        beta_time = np.arange(steps - 1, -1, -1)[:, None]  # row of β_(k+1), k = 0 … W − 1
        pairs = np.array([[j, j + 4] for j in range(4)]).ravel()
        reverse = np.array(REVERSED)
        self._pair_rows = index(2 * (STATES * beta_time + reverse[pairs]) + 1)
        state = np.arange(STATES)
        self._after_rows, self.states_with_parity = [], []
        for bit in (0, 1):
            entering = np.argmax(np.equal(INPUT_BIT, bit), axis=1)
            self._after_rows.append(index(2 * (STATES * beta_time + reverse[NEXT_STATE[state, entering]]) + 1))
            self.states_with_parity.append(np.flatnonzero(PARITY_BIT[state, entering]).tolist())

    def load(self, known: Tensor, parity: Tensor) -> None:
        """Take the weights of the input bits, channel and a-priori, and of the parity bits, both (W, lanes)."""
        self._weights[:, 1], self._weights[:, 2] = known, parity
        self._weights[:, 3] = self.arithmetic.times(known, parity)

    def run(self, start: Tensor, begin: int = 0) -> Tensor:
        """Fill the metrics from t = `begin`, where they are `start` (8, 2, lanes), to W; return those of t = W."""
        import torch

        arithmetic = self.arithmetic
        rows = self._weights.view(-1, self.lanes)
        self.metrics[begin] = start
        for first_step in range(begin, self.steps, _STRIDE):
            count = min(_STRIDE, self.steps - first_step)
            wanted = self._weight_rows[24 * first_step : 24 * (first_step + count)]
            torch.index_select(rows, 0, wanted, out=self._laid_out[: 24 * count])
            for offset in range(count):
                t = first_step + offset
                arithmetic.step(
                    self._first[t],
                    self._second[t],
                    self._weight[offset],
                    self._opposite[offset],
                    self._outputs[t + 1],
                    self._spare,
                )
                if (t + 1) % arithmetic.period == 0:
                    arithmetic.renormalise(self.metrics[t + 1])
        if self.steps % arithmetic.period:
            arithmetic.renormalise(self.metrics[self.steps])
        return self.metrics[self.steps]

    def alpha(self) -> Tensor:
        """α_k(s), k = 0 … W − 1: (W, 8, lanes)."""
        return self.metrics[: self.steps, :, 0]

    def alpha_pairs(self) -> Tensor:
        """α_k(2j + i) as (W, 4, 2, lanes): [k, j, i]."""
        return self.alpha().unflatten(1, (4, 2))

    def beta_pairs(self) -> Tensor:
        """β_(k+1)(j + 4i) as (W, 4, 2, lanes): [k, j, i]."""
        return self._metric_rows.index_select(0, self._pair_rows).view(self.steps, 4, 2, self.lanes)

    def beta_after(self, bit: int) -> Tensor:
        """β_(k+1) of the state that follows s with the input `bit`: (W, 8, lanes), a copy."""
        return self._metric_rows.index_select(0, self._after_rows[bit]).view(self.steps, STATES, self.lanes)


class Constituents(Protocol):
    """The two constituent decoders for a set of blocks; they remember their boundary metrics."""

    def decode(self, which: int, known: Tensor, systematic: Tensor, total: bool) -> tuple[Tensor, Tensor | None]:
        """Decode the first (0) or second (1) constituent code once. All tensors are weights (W·P, B), natural order.

        `known`: channel and a-priori; `systematic`: channel alone. Returns what the other constituent has
        to know, systematic · extrinsic, and, if `total`, the a-posteriori weights known · extrinsic.
        """
        ...

    def keep(self, blocks: Tensor) -> None:
        """Go on with these blocks only."""
        ...


class TorchConstituents:
    """`Constituents` in plain torch operations.

    `parities`, two of (W·P, B): weights in each constituent's own order; `tails`, two of (8, B): metrics of the
    states at time K.
    """

    def __init__(
        self, arithmetic: Arithmetic, windows: Windows, parities: Sequence[Tensor], tails: Sequence[Tensor]
    ) -> None:
        import torch

        self.arithmetic, self.windows = arithmetic, windows
        self.parities, self.starts = list(parities), [self._start(tail) for tail in tails]
        # Metrics of every window `APPROACH` steps before it ends, (8, direction, lanes), of the last iteration.
        self.inner = [torch.full_like(start, arithmetic.one).flatten(2) for start in self.starts]
        self.order = torch.from_numpy(windows.interleaved_rows()).to(parities[0].device)
        self.inverse = self.order.argsort()
        self._work: Workspace | None = None

    def _start(self, tail: Tensor) -> Tensor:
        """Metrics with which the windows start: (8, direction, P, B), backward states with reversed bits."""
        start = tail.new_full((STATES, 2, self.windows.count, tail.shape[1]), self.arithmetic.impossible)
        start[0, 0, 0] = self.arithmetic.one
        start[REVERSED, 1, -1] = tail
        return start

    def _hand_on(self, which: int, ends: Tensor) -> None:
        """Where windows end (8, 2, lanes), their neighbours start."""
        start = self.starts[which]
        ends = ends.view(start.shape)
        start[:, 0, 1:] = ends[:, 0, :-1]
        start[:, 1, :-1] = ends[:, 1, 1:]

    def decode(self, which: int, known: Tensor, systematic: Tensor, total: bool) -> tuple[Tensor, Tensor | None]:
        steps = self.windows.length
        lanes = self.windows.count * known.shape[1]
        if self._work is None:
            self._work = Workspace(self.arithmetic, steps, lanes, known)
        own = known.index_select(0, self.order) if which else known
        parity = self.parities[which].view(steps, lanes)
        self._work.load(own.view(steps, lanes), parity)
        if self.windows.count > 1:
            self._hand_on(which, self._work.run(self.inner[which], steps - APPROACH))
        self._work.run(self.starts[which].view(STATES, 2, lanes))
        if self.windows.count > 1:
            self.inner[which] = self._work.metrics[steps - APPROACH].clone()
        extrinsic = self.arithmetic.extrinsic(self._work, parity).view(known.shape)
        if which:
            extrinsic = extrinsic.index_select(0, self.inverse)
        following = self.arithmetic.times(systematic, extrinsic)
        return following, self.arithmetic.times(known, extrinsic) if total else None

    def keep(self, blocks: Tensor) -> None:
        self.parities = [parity.index_select(1, blocks) for parity in self.parities]
        shape = (STATES, 2, self.windows.count, -1)
        self.inner = [inner.view(shape).index_select(3, blocks).flatten(2) for inner in self.inner]
        self.starts = [start.index_select(3, blocks) for start in self.starts]
        self._work = None
