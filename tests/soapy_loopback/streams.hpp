// The two streams of a loopback device. Return values are SoapySDR's: a number of samples, or an error code.
#pragma once

#include "air.hpp"
#include "options.hpp"
#include "path.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

namespace loopback {

constexpr std::size_t mtu = 4096;

// What the radio is set to.
struct Tuning {
    double rate = 1e6;
    double frequency = 1e8;
    double gain_db = 30;
};

class ReceiveStream {
public:
    // Throws std::runtime_error if, without the clock, somebody else receives already.
    ReceiveStream(Air &air, const Options &options);
    ~ReceiveStream();
    ReceiveStream(const ReceiveStream &) = delete;
    ReceiveStream &operator=(const ReceiveStream &) = delete;

    void activate(const Tuning &tuning);
    void deactivate() { _active = false; }
    // `time_ns`: when the first sample came, by the receiver's own clock.
    int read(const Tuning &tuning, Sample *samples, std::size_t count, long timeout_us, long long &time_ns);

private:
    int read_paced(const Tuning &tuning, Sample *samples, std::size_t count, std::int64_t until_ns);
    int read_queue(const Tuning &tuning, Sample *samples, std::size_t count, std::int64_t until_ns);
    int deliver(const Tuning &tuning, Sample *samples, std::size_t count);
    int deliver_nothing(const Tuning &tuning, Sample *samples, std::size_t count, std::int64_t until_ns);
    int overflow(std::uint64_t lost);
    std::optional<std::uint64_t> until_injection() const;
    std::uint64_t due(const Tuning &tuning) const;
    std::int64_t when_due(const Tuning &tuning, std::uint64_t position) const;
    double place(std::uint64_t position) const;
    void follow_transmission(const Tuning &tuning);
    void finish(Sample *samples, std::size_t count, std::uint64_t noise_position) const;

    Air &_air;
    const Options &_options;
    Interpolator _interpolator;
    std::optional<Noise> _noise;
    double _dc = 0;
    std::vector<Sample> _sent;  // what was sent around the samples that are being read

    bool _active = false;
    std::int64_t _start_ns = 0;
    std::uint64_t _position = 0;  // of the next sample, since the stream became active
    std::int64_t _offset = 0;     // the number of the sent sample at position 0
    std::uint32_t _transmission = 1;
    bool _audible = false;  // the transmitter has the same rate
    double _phase = 0;      // of the carrier, in turns
    std::uint64_t _idle = 0;
    std::int64_t _idle_until_ns = 0;
    std::uint64_t _since_overflow = 0;
    std::uint64_t _overflows = 0;
};

class TransmitStream {
public:
    // Throws std::runtime_error if somebody else transmits already.
    TransmitStream(Air &air, const Options &options);
    ~TransmitStream();
    TransmitStream(const TransmitStream &) = delete;
    TransmitStream &operator=(const TransmitStream &) = delete;

    void activate() { _active = true; }
    void deactivate();
    int write(const Tuning &tuning, const Sample *samples, std::size_t count, bool end_of_burst, long timeout_us);
    // 0 with an underrun told, or an error code.
    int status(long timeout_us);

private:
    std::uint64_t playing(const Tuning &tuning);
    std::uint64_t room(const Tuning &tuning);
    void start(const Tuning &tuning);
    int underrun();

    Air &_air;
    const Options &_options;
    std::vector<Sample> _converted;

    bool _active = false;
    bool _started = false;
    bool _within_burst = false;
    double _rate = 0;
    std::uint64_t _since_underrun = 0;
    std::uint64_t _injected = 0;
    std::mutex _told_mutex;
    std::uint64_t _told = 0;  // underruns that readStreamStatus has not told yet
};

}  // namespace loopback
