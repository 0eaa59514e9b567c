#include "streams.hpp"

#include <SoapySDR/Errors.hpp>
#include <SoapySDR/Logger.hpp>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace loopback {

TransmitStream::TransmitStream(Air &air, const Options &options) : _air(air), _options(options)
{
    if (!_air.claim_transmitter()) {
        throw std::runtime_error("semcomloop: another transmitter is active under this key");
    }
}

TransmitStream::~TransmitStream()
{
    deactivate();
    _air.release_transmitter();
}

void TransmitStream::deactivate()
{
    _active = false;
    if (!_started) {
        return;
    }
    _started = false;
    _within_burst = false;
    if (_options.paced) {  // what the device still holds is not sent
        AirHeader &header = _air.header();
        const Transmission now = _air.transmission();
        const double played = static_cast<double>(now_ns() - now.epoch_ns) * 1e-9 * now.rate;
        const auto end = std::max(now.begin, static_cast<std::uint64_t>(std::max(played, 0.0)));
        header.written = std::min<std::uint64_t>(header.written, end);
    }
    _air.end_transmission();
}

void TransmitStream::start(const Tuning &tuning)
{
    AirHeader &header = _air.header();
    header.frequency = tuning.frequency;
    header.gain_db = tuning.gain_db;
    if (!_started || _rate != tuning.rate) {
        _air.begin_transmission(tuning.rate);
        _started = true;
        _rate = tuning.rate;
    }
}

// The number of the sample that is on the air now.
std::uint64_t TransmitStream::playing(const Tuning &tuning)
{
    const double played = static_cast<double>(now_ns() - _air.transmission().epoch_ns) * 1e-9 * tuning.rate;
    return static_cast<std::uint64_t>(std::max(played, 0.0));
}

std::uint64_t TransmitStream::room(const Tuning &tuning)
{
    AirHeader &header = _air.header();
    const std::uint64_t written = header.written;
    const std::uint64_t gone = _options.paced ? playing(tuning) : header.read.load();
    const std::uint64_t held = written - std::min(written, gone);
    return _options.buffer - std::min(_options.buffer, held);
}

int TransmitStream::underrun()
{
    if (_options.report == Report::returned) {
        return SOAPY_SDR_UNDERFLOW;
    }
    if (_options.report == Report::logged) {
        SoapySDR::log(SOAPY_SDR_SSI, "U");
    }
    const std::lock_guard<std::mutex> guard(_told_mutex);
    ++_told;
    _air.notify();
    return 0;
}

int TransmitStream::write(
    const Tuning &tuning, const Sample *samples, std::size_t count, bool end_of_burst, long timeout_us)
{
    if (!_active) {
        return SOAPY_SDR_STREAM_ERROR;
    }
    const std::int64_t until_ns = now_ns() + std::int64_t{timeout_us} * 1000;
    start(tuning);
    AirHeader &header = _air.header();
    if (_options.paced) {
        const std::uint64_t now = playing(tuning);
        if (header.written < now) {
            _air.append(nullptr, now - header.written);
            if (_within_burst && underrun() != 0) {
                _within_burst = false;  // told once
                return SOAPY_SDR_UNDERFLOW;
            }
        }
    }
    count = std::min(count, mtu);
    const bool injecting = _options.underrun_every != 0 &&
                           (_options.underrun_count == 0 || _injected < _options.underrun_count);
    if (injecting) {
        if (_since_underrun >= _options.underrun_every) {
            _since_underrun = 0;
            ++_injected;
            if (underrun() != 0) {
                return SOAPY_SDR_UNDERFLOW;
            }
        }
        count = std::min<std::uint64_t>(count, _options.underrun_every - _since_underrun);
    }
    for (;;) {
        const std::uint32_t changes = header.changes;
        const std::uint64_t free = room(tuning);
        const std::int64_t now = now_ns();
        if (free >= count) {
            break;
        }
        if (now >= until_ns) {
            if (free == 0) {
                return SOAPY_SDR_TIMEOUT;
            }
            count = free;
            break;
        }
        const double missing = _options.paced ? static_cast<double>(count - free) / tuning.rate * 1e9 : 1e9;
        _air.wait(changes, std::min(until_ns, now + static_cast<std::int64_t>(std::ceil(missing))));
    }
    _converted.resize(count);
    std::transform(samples, samples + count, _converted.begin(), [](Sample value) {
        return Sample{std::clamp(value.real(), -1.0F, 1.0F), std::clamp(value.imag(), -1.0F, 1.0F)};
    });
    _air.append(_converted.data(), count);
    _since_underrun += count;
    _within_burst = !end_of_burst;
    return static_cast<int>(count);
}

int TransmitStream::status(long timeout_us)
{
    const std::int64_t until_ns = now_ns() + std::int64_t{timeout_us} * 1000;
    for (;;) {
        const std::uint32_t changes = _air.header().changes;
        {
            const std::lock_guard<std::mutex> guard(_told_mutex);
            if (_told > 0) {
                --_told;
                return SOAPY_SDR_UNDERFLOW;
            }
        }
        if (now_ns() >= until_ns) {
            return SOAPY_SDR_TIMEOUT;
        }
        _air.wait(changes, until_ns);
    }
}

}  // namespace loopback
