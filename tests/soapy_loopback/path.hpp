// What happens to samples between the transmitter and the receiver's buffer.
#pragma once

#include "air.hpp"

#include <cstdint>
#include <vector>

namespace loopback {

// Values between samples: sinc with a Kaiser window, 32 taps; flat within 0.01 dB up to 0.8 of half the rate.
class Interpolator {
public:
    static constexpr int half = 16;

    Interpolator();
    // The value at `samples[half - 1 + fraction]`, of 2 * half samples; 0 <= fraction < 1.
    Sample at(const Sample *samples, double fraction) const;

private:
    static constexpr int phases = 1024;
    std::vector<float> _taps;
};

// White Gaussian noise that depends on seed and position alone, so that the same sample has the same noise
// whatever came before it.
class Noise {
public:
    Noise(std::uint64_t seed, double mean_power);
    Sample at(std::uint64_t position) const;

private:
    std::uint64_t _seed;
    double _scale;
};

}  // namespace loopback
