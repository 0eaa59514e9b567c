"""GNU Radio blocks over the modules that the NumPy link uses: one module a block, its description in ``grc/``.

The blocks import GNU Radio and so run in its Python (`semcom_phy.flowgraph.python`); this package itself does not.

The symbol-level blocks take PDUs and give PDUs. What a later block needs to know travels in the metadata, and every
block passes on what it does not know:

===============  ================================================  =================  ============================
block            takes                                             gives              metadata that it adds
===============  ================================================  =================  ============================
Turbo Encoder    payload bits, ``header``                          coded bits         ``fec``, ``payload_bits``,
                                                                                      ``rate_code``,
                                                                                      ``redundancy_version``
Frame TX         payload or coded bits, ``header``                 bits of a frame    none: all is in the frame
Soft Mapper      bits                                              symbols            none
Channel          symbols                                           symbols            ``noise_variance``, ``gain``,
                                                                                      ``esn0_db``
Soft Demapper    symbols, ``noise_variance``, ``gain``             LLRs               ``symbols``
Frame RX         LLRs, ``symbols``, ``gain``                       payload LLRs or    ``header``, ``hard``,
                                                                   coded LLRs         ``esn0_measured_db`` and
                                                                                      ``block_ok``, or what Turbo
                                                                                      Encoder adds
Turbo Decoder    coded LLRs, or what is decoded or lost            payload LLRs       ``block_ok``
===============  ================================================  =================  ============================

Bits are u8vectors of 0/1, LLRs f32vectors, ``ln P(b=1)/P(b=0)``, symbols c32vectors. ``frame`` is the number of the
frame everywhere. A PDU with a number and an empty vector says that the frame is lost: blocks pass it on.
"""
