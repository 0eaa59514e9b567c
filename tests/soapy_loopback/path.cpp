#include "path.hpp"

#include <cmath>

namespace loopback {
namespace {

constexpr double pi = 3.14159265358979323846;
constexpr double kaiser_beta = 10.0;

double bessel_i0(double x)
{
    double sum = 1;
    double term = 1;
    for (int k = 1; term > 1e-16 * sum; ++k) {
        term *= (x / (2 * k)) * (x / (2 * k));
        sum += term;
    }
    return sum;
}

// SplitMix64's output function: every bit of the result depends on every bit of x.
std::uint64_t mix(std::uint64_t x)
{
    x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
    x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
    return x ^ (x >> 31U);
}

}  // namespace

Interpolator::Interpolator() : _taps(static_cast<std::size_t>(2 * half * (phases + 1)))
{
    for (int phase = 0; phase <= phases; ++phase) {
        const double fraction = static_cast<double>(phase) / phases;
        float *taps = &_taps[static_cast<std::size_t>(2 * half * phase)];
        double sum = 0;
        for (int k = 0; k < 2 * half; ++k) {
            const double x = fraction - (k - (half - 1));  // distance from tap k, in samples
            const double inside = 1 - (x / half) * (x / half);
            const double window = inside > 0 ? bessel_i0(kaiser_beta * std::sqrt(inside)) : 0;
            const double value = window * (x == 0 ? 1 : std::sin(pi * x) / (pi * x));
            taps[k] = static_cast<float>(value);
            sum += value;
        }
        for (int k = 0; k < 2 * half; ++k) {
            taps[k] = static_cast<float>(taps[k] / sum);
        }
    }
}

Sample Interpolator::at(const Sample *samples, double fraction) const
{
    const double position = fraction * phases;
    const int phase = static_cast<int>(position);
    const auto weight = static_cast<float>(position - phase);
    const float *low = &_taps[static_cast<std::size_t>(2 * half * phase)];
    const float *high = low + 2 * half;
    Sample sum{};
    for (int k = 0; k < 2 * half; ++k) {
        sum += samples[k] * (low[k] + weight * (high[k] - low[k]));
    }
    return sum;
}

Noise::Noise(std::uint64_t seed, double mean_power) : _seed(mix(seed + 1)), _scale(std::sqrt(mean_power)) {}

Sample Noise::at(std::uint64_t position) const
{
    const std::uint64_t first = mix(_seed + position * 0x9E3779B97F4A7C15U);
    const std::uint64_t second = mix(first ^ 0xD1B54A32D192ED03U);
    // Box-Muller; the first uniform number is above 0.
    const double radius = _scale * std::sqrt(-std::log((static_cast<double>(first >> 11U) + 1) * 0x1p-53));
    const double angle = 2 * pi * static_cast<double>(second >> 11U) * 0x1p-53;
    return {static_cast<float>(radius * std::cos(angle)), static_cast<float>(radius * std::sin(angle))};
}

}  // namespace loopback
