"""GNU Radio block: the channel models of `semcom_phy.channels` over the symbols of frames."""

from __future__ import annotations

import threading
from dataclasses import fields
from typing import Any

import numpy as np

from semcom_phy.channels import CHANNELS, make_channel
from semcom_phy.errors import ConfigurationError
from semcom_phy.gr.metadata import ESN0_DB, GAIN, NOISE_VARIANCE, symbols_of
from semcom_phy.gr.pdu_block import PduBlock
from semcom_phy.links.frame_pdus import frame_number
from semcom_phy.zmq import Pdu


class Channel(PduBlock):
    """Symbols in, symbols out, with the channel state that a coherent receiver has in the metadata.

    `model`: a name of `CHANNELS`: "ideal", "awgn", "bsc" or "rayleigh"; it takes those of the other parameters that it
    knows. `seed`: frame k draws from a generator of its own, (seed, k), as in `NumpyLink`. All parameters but the
    model and the seed can be set while the flowgraph runs; a frame meets one set of them.

    Raises ConfigurationError for unknown models and values out of range.
    """

    def __init__(
        self,
        model: str = "awgn",
        snr_db: float = 10.0,
        flip_probability: float = 0.0,
        doppler_hz: float = 10.0,
        symbol_rate_hz: float = 1e5,
        scatterers: int = 16,
        seed: int = 0,
    ) -> None:
        PduBlock.__init__(self, "Channel")
        if not 0 <= seed < 1 << 64:
            raise ConfigurationError(f"seed must be from 0 to 2^64 - 1, not {seed}")
        self._model = model
        self._seed = seed
        self._parameters: dict[str, Any] = {
            "snr_db": snr_db,
            "flip_probability": flip_probability,
            "doppler_hz": doppler_hz,
            "symbol_rate_hz": symbol_rate_hz,
            "scatterers": scatterers,
        }
        self._setting = threading.Lock()
        self._channel = self._made(self._parameters)

    def set_snr_db(self, snr_db: float) -> None:
        """Es/N0 in dB of the frames from now on."""
        self._set(snr_db=snr_db)

    def set_flip_probability(self, flip_probability: float) -> None:
        """Probability, 0 … 0.5, with which the binary symmetric channel flips a symbol from now on."""
        self._set(flip_probability=flip_probability)

    def set_doppler_hz(self, doppler_hz: float) -> None:
        """Maximum Doppler shift in Hz from now on."""
        self._set(doppler_hz=doppler_hz)

    def set_symbol_rate_hz(self, symbol_rate_hz: float) -> None:
        """Symbols per second from now on: what the Doppler shift is compared to."""
        self._set(symbol_rate_hz=symbol_rate_hz)

    def set_scatterers(self, scatterers: int) -> None:
        """Number of scattered waves from now on."""
        self._set(scatterers=scatterers)

    def process(self, pdu: Pdu) -> Pdu:
        """See `PduBlock.process`."""
        rng = np.random.default_rng((self._seed, frame_number(pdu)))
        channel = self._channel
        output = channel.transmit(symbols_of(pdu.vector), rng)
        state: dict[str, Any] = {NOISE_VARIANCE: output.noise_variance}
        if np.ndim(output.gain):
            state[GAIN] = np.asarray(output.gain, np.complex64)
        if hasattr(channel, "snr_db"):
            state[ESN0_DB] = float(channel.snr_db)
        return Pdu({**pdu.metadata, **state}, output.received.astype(np.complex64))

    def _set(self, **changes: Any) -> None:
        with self._setting:
            parameters = self._parameters | changes
            self._channel = self._made(parameters)
            self._parameters = parameters

    def _made(self, parameters: dict[str, Any]) -> Any:
        model: Any = CHANNELS[self._model]
        return make_channel(self._model, **{field.name: parameters[field.name] for field in fields(model)})
