#include "streams.hpp"

#include <SoapySDR/Errors.hpp>
#include <SoapySDR/Logger.hpp>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace loopback {
namespace {

constexpr double pi = 3.14159265358979323846;
// Noise while nobody transmits has positions of its own: that of a transmission does not depend on how long it took
// to begin.
constexpr std::uint64_t idle_positions = std::uint64_t{1} << 62U;

double amplitude(double level_db) { return std::pow(10.0, level_db / 20); }

float clipped(float value) { return std::clamp(value, -1.0F, 1.0F); }

}  // namespace

ReceiveStream::ReceiveStream(Air &air, const Options &options) : _air(air), _options(options)
{
    if (!options.paced && !_air.claim_receiver()) {
        throw std::runtime_error("semcomloop: without the clock there is one receiver, and another one is active");
    }
    if (options.noise_dbfs) {
        _noise.emplace(options.seed, std::pow(10.0, *options.noise_dbfs / 10));
    }
    if (options.dc_dbfs) {
        _dc = amplitude(*options.dc_dbfs);
    }
}

ReceiveStream::~ReceiveStream()
{
    if (!_options.paced) {
        _air.release_receiver();
    }
}

void ReceiveStream::activate(const Tuning &tuning)
{
    _active = true;
    _start_ns = now_ns();
    _position = 0;
    _phase = 0;
    _transmission = 1;  // odd: none
    if (!_options.paced) {
        _offset = static_cast<std::int64_t>(_air.header().read);
    }
    follow_transmission(tuning);
}

int ReceiveStream::read(
    const Tuning &tuning, Sample *samples, std::size_t count, long timeout_us, long long &time_ns)
{
    const std::int64_t until_ns = now_ns() + std::int64_t{timeout_us} * 1000;
    if (!_active) {
        while (now_ns() < until_ns) {
            _air.wait(_air.header().changes, until_ns);
        }
        return SOAPY_SDR_TIMEOUT;
    }
    if (const auto left = until_injection()) {
        if (*left == 0) {
            return overflow(_options.overflow_lost);
        }
        count = std::min<std::uint64_t>(count, *left);
    }
    // A device hands over before its buffer is full.
    count = std::min<std::uint64_t>({count, mtu, _options.buffer / 2});
    const int result = _options.paced ? read_paced(tuning, samples, count, until_ns)
                                      : read_queue(tuning, samples, count, until_ns);
    if (result > 0) {
        _since_overflow += static_cast<std::uint64_t>(result);
        const auto first = _position + _idle - static_cast<std::uint64_t>(result);
        time_ns = std::llround(static_cast<double>(first) / tuning.rate * 1e9);
    }
    return result;
}

std::optional<std::uint64_t> ReceiveStream::until_injection() const
{
    if (_options.overflow_every == 0 ||
        (_options.overflow_count != 0 && _overflows >= _options.overflow_count)) {
        return std::nullopt;
    }
    return _options.overflow_every - std::min(_options.overflow_every, _since_overflow);
}

int ReceiveStream::overflow(std::uint64_t lost)
{
    _position += lost;
    _since_overflow = 0;
    ++_overflows;
    if (_options.report == Report::logged) {
        SoapySDR::log(SOAPY_SDR_SSI, "O");
    }
    return SOAPY_SDR_OVERFLOW;
}

// How many samples the receiver's clock has counted.
std::uint64_t ReceiveStream::due(const Tuning &tuning) const
{
    const double seconds = static_cast<double>(now_ns() - _start_ns) * 1e-9;
    return static_cast<std::uint64_t>(seconds * tuning.rate * (1 + _options.ppm * 1e-6));
}

std::int64_t ReceiveStream::when_due(const Tuning &tuning, std::uint64_t position) const
{
    const double seconds = static_cast<double>(position) / (tuning.rate * (1 + _options.ppm * 1e-6));
    return _start_ns + static_cast<std::int64_t>(std::ceil(seconds * 1e9));
}

// Where among the sent samples this one lies.
double ReceiveStream::place(std::uint64_t position) const
{
    return static_cast<double>(_offset) + static_cast<double>(position) / (1 + _options.ppm * 1e-6);
}

void ReceiveStream::follow_transmission(const Tuning &tuning)
{
    const Transmission now = _air.transmission();
    if (now.number == _transmission) {
        return;
    }
    _transmission = now.number;
    _audible = now.rate == tuning.rate;
    if (!_audible && now.rate != 0) {
        SoapySDR::logf(
            SOAPY_SDR_WARNING,
            "semcomloop: the transmitter has %g samples per second and the receiver %g: it hears nothing",
            now.rate,
            tuning.rate);
    }
    if (_options.paced && now.rate != 0) {
        _offset = std::llround(static_cast<double>(_start_ns - now.epoch_ns) * 1e-9 * now.rate);
    }
}

int ReceiveStream::read_paced(const Tuning &tuning, Sample *samples, std::size_t count, std::int64_t until_ns)
{
    const std::int64_t enough_ns = std::min(until_ns, when_due(tuning, _position + count));
    while (now_ns() < enough_ns) {
        _air.wait(_air.header().changes, enough_ns);
    }
    const std::uint64_t counted = due(tuning);
    if (counted <= _position) {
        return SOAPY_SDR_TIMEOUT;
    }
    const std::uint64_t waiting = counted - _position;
    if (waiting > _options.buffer) {
        return overflow(waiting - _options.buffer / 2);
    }
    follow_transmission(tuning);
    return deliver(tuning, samples, std::min<std::uint64_t>(count, waiting));
}

int ReceiveStream::read_queue(const Tuning &tuning, Sample *samples, std::size_t count, std::int64_t until_ns)
{
    AirHeader &header = _air.header();
    const double stretch = 1 + _options.ppm * 1e-6;
    for (;;) {
        const std::uint32_t changes = header.changes;
        const bool transmitting = _air.transmitting();
        follow_transmission(tuning);
        // The interpolator looks ahead; behind the end of a transmission there is silence to look at.
        const int ahead = transmitting && _options.ppm != 0 ? Interpolator::half : 0;
        const double written = static_cast<double>(static_cast<std::int64_t>(header.written) - ahead - _offset);
        const double ready = std::ceil(written * stretch) - static_cast<double>(_position);
        if (ready >= 1) {
            const int result = deliver(tuning, samples, static_cast<std::size_t>(std::min(ready, double(count))));
            const double needed = std::floor(place(_position)) - (_options.ppm != 0 ? Interpolator::half : 0);
            header.read = static_cast<std::uint64_t>(std::max(needed, 0.0));
            _air.notify();
            return result;
        }
        if (!transmitting) {
            return deliver_nothing(tuning, samples, count, until_ns);
        }
        if (now_ns() >= until_ns) {
            return SOAPY_SDR_TIMEOUT;
        }
        _air.wait(changes, until_ns);
    }
}

// Without a transmitter there is nobody to wait for: the clock sets the pace.
int ReceiveStream::deliver_nothing(
    const Tuning &tuning, Sample *samples, std::size_t count, std::int64_t until_ns)
{
    const std::int64_t now = now_ns();
    const std::int64_t start = std::max(_idle_until_ns, now);
    const double fitting = std::floor(static_cast<double>(until_ns - start) * 1e-9 * tuning.rate);
    if (fitting < 1) {
        return SOAPY_SDR_TIMEOUT;
    }
    count = static_cast<std::size_t>(std::min(fitting, double(count)));
    _idle_until_ns = start + std::llround(static_cast<double>(count) / tuning.rate * 1e9);
    while (now_ns() < _idle_until_ns) {
        _air.wait(_air.header().changes, _idle_until_ns);
    }
    std::fill_n(samples, count, Sample{});
    finish(samples, count, idle_positions + _idle);
    _idle += count;
    return static_cast<int>(count);
}

int ReceiveStream::deliver(const Tuning &tuning, Sample *samples, std::size_t count)
{
    AirHeader &header = _air.header();
    bool intact = true;
    if (_options.ppm == 0) {
        intact = _air.fetch(_offset + static_cast<std::int64_t>(_position), count, samples);
    } else {
        const auto first = static_cast<std::int64_t>(std::floor(place(_position))) - (Interpolator::half - 1);
        const auto last = static_cast<std::int64_t>(std::floor(place(_position + count - 1))) + Interpolator::half;
        _sent.resize(static_cast<std::size_t>(last - first + 1));
        intact = _air.fetch(first, _sent.size(), _sent.data());
        for (std::size_t n = 0; n < count; ++n) {
            const double at = place(_position + n);
            const double whole = std::floor(at);
            const auto index = static_cast<std::int64_t>(whole) - (Interpolator::half - 1) - first;
            samples[n] = _interpolator.at(&_sent[static_cast<std::size_t>(index)], at - whole);
        }
    }
    if (!intact) {
        return overflow(count);
    }
    const double offset_hz = header.frequency - tuning.frequency + _options.cfo_hz;
    const bool audible = _audible && std::abs(offset_hz) <= tuning.rate / 2;
    if (audible) {
        const double gain = amplitude(header.gain_db + tuning.gain_db - _options.loss_db);
        const double turns = offset_hz / tuning.rate;
        for (std::size_t n = 0; n < count && (turns != 0 || _phase != 0); ++n) {
            const double angle = 2 * pi * (_phase + turns * static_cast<double>(n));
            samples[n] *= Sample{static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))};
        }
        std::transform(samples, samples + count, samples, [gain](Sample x) { return x * static_cast<float>(gain); });
        _phase = std::remainder(_phase + turns * static_cast<double>(count), 1.0);
    } else {
        std::fill_n(samples, count, Sample{});
    }
    finish(samples, count, _position);
    _position += count;
    return static_cast<int>(count);
}

// What the receiver itself adds: noise, a constant, and the limits of its converter.
void ReceiveStream::finish(Sample *samples, std::size_t count, std::uint64_t noise_position) const
{
    for (std::size_t n = 0; n < count; ++n) {
        Sample value = samples[n] + static_cast<float>(_dc);
        if (_noise) {
            value += _noise->at(noise_position + n);
        }
        samples[n] = {clipped(value.real()), clipped(value.imag())};
    }
}

}  // namespace loopback
