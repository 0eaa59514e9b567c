"""The loops over samples, compiled. Same functions, arguments and results as `numpy_kernels`, which explains them.

Imported by `kernels` alone, and only when the first sample is to be processed: importing numba takes half a second.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from semcom_phy.accel import compiled

Complex64 = npt.NDArray[np.complex64]
Float32 = npt.NDArray[np.float32]

# Sums may be regrouped for vector instructions. Results do not depend on how a stream is cut into chunks all the same:
# the detector always works on whole blocks, the synchroniser on whole bursts.
_FAST = {"reassoc", "contract", "nsz"}


@compiled(fastmath=_FAST)
def half_symbol_filter(samples: Complex64, taps: Float32, count: int) -> Float32:
    phases, length, sps = taps.shape
    rows = count + length - 1
    split = np.empty((2, sps, rows), np.float32)
    for row in range(rows):
        for phase in range(sps):
            value = samples[row * sps + phase]
            split[0, phase, row] = value.real
            split[1, phase, row] = value.imag
    out = np.zeros((phases, 2, count), np.float32)
    for q in range(phases):
        for part in range(2):
            target = out[q, part]
            for phase in range(sps):
                source = split[part, phase]
                whole = length - length % 4
                for j in range(0, whole, 4):
                    a, b, c, d = taps[q, j, phase], taps[q, j + 1, phase], taps[q, j + 2, phase], taps[q, j + 3, phase]
                    for i in range(count):
                        target[i] += (
                            a * source[i + j] + b * source[i + j + 1] + c * source[i + j + 2] + d * source[i + j + 3]
                        )
                for j in range(whole, length):
                    a = taps[q, j, phase]
                    for i in range(count):
                        target[i] += a * source[i + j]
    return out


@compiled(fastmath=_FAST)
def differential_statistic(re: Float32, im: Float32, signs: Float32, count: int) -> tuple[Float32, Float32]:
    segments = signs.size // 8
    sum_re = np.zeros(count, np.float32)
    sum_im = np.zeros(count, np.float32)
    last_re = np.empty(count, np.float32)
    last_im = np.empty(count, np.float32)
    for k in range(segments):
        o = 8 * k
        s0, s1, s2, s3 = signs[o], signs[o + 1], signs[o + 2], signs[o + 3]
        s4, s5, s6, s7 = signs[o + 4], signs[o + 5], signs[o + 6], signs[o + 7]
        r = re[o:]
        m = im[o:]
        if k == 0:
            for i in range(count):
                last_re[i] = (s0 * r[i] + s1 * r[i + 1] + s2 * r[i + 2] + s3 * r[i + 3]) + (
                    s4 * r[i + 4] + s5 * r[i + 5] + s6 * r[i + 6] + s7 * r[i + 7]
                )
                last_im[i] = (s0 * m[i] + s1 * m[i + 1] + s2 * m[i + 2] + s3 * m[i + 3]) + (
                    s4 * m[i + 4] + s5 * m[i + 5] + s6 * m[i + 6] + s7 * m[i + 7]
                )
        else:
            for i in range(count):
                a = (s0 * r[i] + s1 * r[i + 1] + s2 * r[i + 2] + s3 * r[i + 3]) + (
                    s4 * r[i + 4] + s5 * r[i + 5] + s6 * r[i + 6] + s7 * r[i + 7]
                )
                b = (s0 * m[i] + s1 * m[i + 1] + s2 * m[i + 2] + s3 * m[i + 3]) + (
                    s4 * m[i + 4] + s5 * m[i + 5] + s6 * m[i + 6] + s7 * m[i + 7]
                )
                sum_re[i] += last_re[i] * a + last_im[i] * b
                sum_im[i] += last_re[i] * b - last_im[i] * a
                last_re[i] = a
                last_im[i] = b
    energy = re * re + im * im
    mean_re = re.copy()
    mean_im = im.copy()
    width = 1
    while width < signs.size:
        for i in range(energy.size - width):
            energy[i] = energy[i] + energy[i + width]
            mean_re[i] = mean_re[i] + mean_re[i + width]
            mean_im[i] = mean_im[i] + mean_im[i + width]
        width *= 2
    for i in range(count):
        energy[i] -= (mean_re[i] * mean_re[i] + mean_im[i] * mean_im[i]) / np.float32(signs.size)
    for i in range(count):
        sum_re[i] = np.sqrt(sum_re[i] * sum_re[i] + sum_im[i] * sum_im[i])
    return sum_re, energy[:count].copy()


@compiled(fastmath=_FAST)
def sample_at(re: Float32, im: Float32, times: npt.NDArray[np.float64], bank: Float32) -> Complex64:
    phases = bank.shape[0] - 1
    width = bank.shape[1]
    half = width // 2
    out = np.zeros(times.size, np.complex64)
    for i in range(times.size):
        whole = int(np.floor(times[i]))
        taps = bank[int(np.rint((times[i] - whole) * phases))]
        first = whole - half
        if first >= 0 and first + width <= re.size:
            a = re[first : first + width]
            b = im[first : first + width]
            sum_re = np.float32(0.0)
            sum_im = np.float32(0.0)
            for k in range(width):
                sum_re += taps[k] * a[k]
                sum_im += taps[k] * b[k]
            out[i] = complex(sum_re, sum_im)
    return out
