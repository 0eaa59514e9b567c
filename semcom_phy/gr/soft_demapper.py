"""GNU Radio block: received symbols → LLRs."""

from __future__ import annotations

from semcom_phy.errors import ConfigurationError
from semcom_phy.gr.metadata import NOISE_VARIANCE, SYMBOLS, gain_of, number, symbols_of
from semcom_phy.gr.pdu_block import PduBlock
from semcom_phy.links.frame_pdus import frame_number
from semcom_phy.modulation import MODULATIONS
from semcom_phy.zmq import Pdu


class SoftDemapper(PduBlock):
    """Received symbols in, LLRs ``ln P(b=1)/P(b=0)`` of their bits out.

    The noise variance N0 of the complex noise and, where the channel fades, the gain of each symbol are taken from the
    metadata. `modulation`: "bpsk", "qpsk" or "16qam". `noise_variance`: used where the metadata tell none; 0 for
    none. Raises ConfigurationError for other modulations and a negative variance.
    """

    def __init__(self, modulation: str = "bpsk", noise_variance: float = 0.0) -> None:
        PduBlock.__init__(self, "Soft Demapper")
        self._modulation = MODULATIONS[modulation]
        self.set_noise_variance(noise_variance)

    def set_noise_variance(self, noise_variance: float) -> None:
        """N0 from now on, where the metadata tell none."""
        if not noise_variance >= 0.0:
            raise ConfigurationError(f"noise_variance must be 0 or positive, not {noise_variance}")
        self._noise_variance = float(noise_variance)

    def process(self, pdu: Pdu) -> Pdu:
        """See `PduBlock.process`."""
        frame_number(pdu)
        received = symbols_of(pdu.vector)
        metadata = pdu.metadata
        if self._noise_variance and NOISE_VARIANCE not in metadata:
            noise_variance = self._noise_variance
        else:
            noise_variance = number(metadata, NOISE_VARIANCE)
        llrs = self._modulation.demap(received, gain_of(pdu), noise_variance)
        return Pdu({**metadata, SYMBOLS: received}, llrs)
