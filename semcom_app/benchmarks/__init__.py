"""Measurements of the turbo decoders: speed (`turbo`) and error rates (`fer`), beside those of other programs."""
