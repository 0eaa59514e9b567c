"""Turbo decoder on PyTorch tensors, on a processor or a CUDA device; torch is imported when something is decoded.

`layout` windows and their place in memory · `arithmetic` probabilities and LLRs · `recursions` one constituent
decoding · `decoder` iterations, stop rules, the entry of the registry · `triton_kernels` the recursions for CUDA.
"""

from semcom_phy.coding.decoders.torch_bcjr.decoder import TorchDecoderOutput, decode_tensor

__all__ = ["TorchDecoderOutput", "decode_tensor"]
