// What the device arguments of the loopback driver say.
#pragma once

#include <SoapySDR/Types.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace loopback {

// How a transmitter that was not fed in time is told of it.
enum class Report {
    returned,  // writeStream returns SOAPY_SDR_UNDERFLOW
    status,    // readStreamStatus returns it
    logged,    // readStreamStatus returns it, and the letter U goes to the log; overflows add the letter O
};

struct Options {
    std::string key = "default";  // devices of one key share the air
    bool paced = true;            // by the clock; otherwise transmitter and receiver wait for each other
    std::uint64_t seed = 0;

    std::optional<double> noise_dbfs;  // mean power at the receiver; none without
    std::optional<double> dc_dbfs;     // constant that the receiver adds
    double cfo_hz = 0;                 // added to the difference of the two tuned frequencies
    double ppm = 0;                    // how much faster the receiver's clock runs
    double loss_db = 60;               // of the path: level = sent + both gains - loss

    std::uint64_t overflow_every = 0;  // samples read between two injected overflows; 0 for none
    std::uint64_t overflow_count = 0;  // how many at most; 0 for no limit
    std::uint64_t overflow_lost = 1000;
    std::uint64_t underrun_every = 0;  // samples written between two injected underruns; 0 for none
    std::uint64_t underrun_count = 0;
    Report report = Report::returned;

    std::uint64_t buffer = 1U << 17U;  // samples that the device holds in each direction
    SoapySDR::Range frequency{1e6, 6e9};
    SoapySDR::Range rate{1e4, 2e7};
    SoapySDR::Range gain{0, 60};
    SoapySDR::Range bandwidth{2e5, 2e7};
    std::vector<std::string> tx_antennas{"TX/RX"};
    std::vector<std::string> rx_antennas{"TX/RX", "RX2"};
    std::vector<std::string> clocks{"internal", "external"};
};

// Throws std::invalid_argument that names what is wrong.
Options parse_options(const SoapySDR::Kwargs &args);

}  // namespace loopback
