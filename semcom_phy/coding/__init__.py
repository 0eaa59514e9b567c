"""Channel coding of 3GPP TS 36.212 §5.1: CRC, code block segmentation, turbo code, soft decoders.

Bits are ``numpy.uint8`` arrays of 0/1, first bit first; LLRs are ``ln P(b=1)/P(b=0)``, positive for bit 1.
The link uses `semcom_phy.coding.transport` and `semcom_phy.coding.header`; the other modules are their parts.
"""
