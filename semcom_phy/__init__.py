"""The link of the testbed: bits in, log-likelihood ratios out.

Pure numpy and scipy; importing this package never imports torch or GNU Radio, so that it also runs
inside GNU Radio's own Python.

Conventions (everywhere): bit 1 maps to BPSK symbol +1 and to a positive LLR, ``llr = ln P(b=1)/P(b=0)``;
SNR is Es/N0 per transmitted symbol; complex noise has variance N0.
"""

__version__ = "0.1.0"
