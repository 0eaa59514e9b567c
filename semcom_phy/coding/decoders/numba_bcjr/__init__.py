"""Turbo decoder on SIMD vectors, compiled by numba for the machine at hand; see docs/turbo.md.

`vectors` SIMD values in numba · `arithmetic` number formats and the two operations on metrics · `recursions` the
trellis · `windows` how blocks are laid into lanes · `kernels` windows, iterations, tiles · `host` what is compiled for
· `driver` arrays, threads, stop rules: the entry of the registry.

Importing this package imports numba; `semcom_phy.coding.decoders` does so at the first call only.
"""
