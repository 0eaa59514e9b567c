// SoapySDR driver `semcomloop`: what one device sends, all devices of the same key receive, in this or other processes.
//
// The device has one channel in each direction. README.md lists the arguments.

#include "air.hpp"
#include "options.hpp"
#include "streams.hpp"

#include <SoapySDR/Device.hpp>
#include <SoapySDR/Errors.hpp>
#include <SoapySDR/Formats.hpp>
#include <SoapySDR/Registry.hpp>

#include <algorithm>
#include <cmath>
#include <memory>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

namespace loopback {
namespace {

constexpr double full_scale = 32767;
const std::string gain_name = "PGA";
const std::string frequency_name = "RF";

// What SoapySDR passes around as an opaque pointer.
struct OpenStream {
    bool integers;  // CS16
    std::vector<Sample> converted;
    std::variant<std::monostate, std::unique_ptr<ReceiveStream>, std::unique_ptr<TransmitStream>> stream;

    ReceiveStream *receive()
    {
        auto *found = std::get_if<std::unique_ptr<ReceiveStream>>(&stream);
        return found == nullptr ? nullptr : found->get();
    }
    TransmitStream *transmit()
    {
        auto *found = std::get_if<std::unique_ptr<TransmitStream>>(&stream);
        return found == nullptr ? nullptr : found->get();
    }
};

OpenStream &opened(SoapySDR::Stream *stream) { return *reinterpret_cast<OpenStream *>(stream); }

double checked(const std::string &what, double value, const SoapySDR::Range &range)
{
    if (!(range.minimum() <= value && value <= range.maximum())) {
        std::ostringstream text;
        text << "semcomloop: " << what << " " << value << " is not within " << range.minimum() << " to "
             << range.maximum();
        throw std::invalid_argument(text.str());
    }
    return value;
}

std::string checked(const std::string &what, const std::string &value, const std::vector<std::string> &known)
{
    if (std::find(known.begin(), known.end(), value) == known.end()) {
        throw std::invalid_argument("semcomloop: there is no " + what + " '" + value + "'");
    }
    return value;
}

class LoopbackDevice : public SoapySDR::Device {
public:
    explicit LoopbackDevice(const SoapySDR::Kwargs &args)
        : _options(parse_options(args)), _air(_options.key, _options.paced), _clock(_options.clocks.front())
    {
        for (Direction &direction : _directions) {
            direction.tuning.rate = std::clamp(1e6, _options.rate.minimum(), _options.rate.maximum());
            direction.tuning.frequency =
                std::clamp(1e8, _options.frequency.minimum(), _options.frequency.maximum());
            direction.tuning.gain_db = std::clamp(30.0, _options.gain.minimum(), _options.gain.maximum());
            direction.bandwidth = std::clamp(1e6, _options.bandwidth.minimum(), _options.bandwidth.maximum());
        }
        _directions[SOAPY_SDR_TX].antenna = _options.tx_antennas.front();
        _directions[SOAPY_SDR_RX].antenna = _options.rx_antennas.front();
    }

    std::string getDriverKey() const override { return "semcomloop"; }
    std::string getHardwareKey() const override { return "loopback"; }
    SoapySDR::Kwargs getHardwareInfo() const override
    {
        return {{"key", _options.key}, {"pace", _options.paced ? "real" : "none"}};
    }

    size_t getNumChannels(const int) const override { return 1; }
    bool getFullDuplex(const int, const size_t) const override { return true; }

    std::vector<std::string> getStreamFormats(const int, const size_t) const override
    {
        return {SOAPY_SDR_CS16, SOAPY_SDR_CF32};
    }
    std::string getNativeStreamFormat(const int, const size_t, double &scale) const override
    {
        scale = full_scale;
        return SOAPY_SDR_CS16;
    }

    SoapySDR::Stream *setupStream(
        const int direction,
        const std::string &format,
        const std::vector<size_t> &channels,
        const SoapySDR::Kwargs &) override
    {
        if (channels.size() > 1 || (channels.size() == 1 && channels[0] != 0)) {
            throw std::invalid_argument("semcomloop: there is channel 0 alone");
        }
        if (format != SOAPY_SDR_CF32 && format != SOAPY_SDR_CS16) {
            throw std::invalid_argument("semcomloop: streams are CF32 or CS16, not " + format);
        }
        auto stream = std::make_unique<OpenStream>();
        stream->integers = format == SOAPY_SDR_CS16;
        if (direction == SOAPY_SDR_RX) {
            stream->stream = std::make_unique<ReceiveStream>(_air, _options);
        } else {
            stream->stream = std::make_unique<TransmitStream>(_air, _options);
        }
        return reinterpret_cast<SoapySDR::Stream *>(stream.release());
    }
    void closeStream(SoapySDR::Stream *stream) override { delete &opened(stream); }
    size_t getStreamMTU(SoapySDR::Stream *) const override { return mtu; }

    int activateStream(SoapySDR::Stream *stream, const int flags, const long long, const size_t count) override
    {
        if (flags != 0 || count != 0) {
            return SOAPY_SDR_NOT_SUPPORTED;
        }
        if (auto *receive = opened(stream).receive()) {
            receive->activate(tuning(SOAPY_SDR_RX));
        } else {
            opened(stream).transmit()->activate();
        }
        return 0;
    }
    int deactivateStream(SoapySDR::Stream *stream, const int flags, const long long) override
    {
        if (flags != 0) {
            return SOAPY_SDR_NOT_SUPPORTED;
        }
        if (auto *receive = opened(stream).receive()) {
            receive->deactivate();
        } else {
            opened(stream).transmit()->deactivate();
        }
        return 0;
    }

    int readStream(
        SoapySDR::Stream *handle,
        void *const *buffers,
        const size_t count,
        int &flags,
        long long &time_ns,
        const long timeout_us) override
    {
        OpenStream &stream = opened(handle);
        auto *receive = stream.receive();
        if (receive == nullptr) {
            return SOAPY_SDR_NOT_SUPPORTED;
        }
        flags = 0;
        auto *samples = static_cast<Sample *>(buffers[0]);
        if (stream.integers) {
            stream.converted.resize(std::min(count, mtu));
            samples = stream.converted.data();
        }
        Tuning tuned = tuning(SOAPY_SDR_RX);
        tuned.frequency *= 1 - getFrequencyCorrection(SOAPY_SDR_RX, 0) * 1e-6;
        const int result = receive->read(tuned, samples, count, timeout_us, time_ns);
        if (result > 0) {
            flags = SOAPY_SDR_HAS_TIME;
        }
        if (stream.integers) {
            auto *integers = static_cast<std::int16_t *>(buffers[0]);
            for (int n = 0; n < result; ++n) {
                integers[2 * n] = static_cast<std::int16_t>(std::lround(full_scale * samples[n].real()));
                integers[2 * n + 1] = static_cast<std::int16_t>(std::lround(full_scale * samples[n].imag()));
            }
        }
        return result;
    }

    int writeStream(
        SoapySDR::Stream *handle,
        const void *const *buffers,
        const size_t count,
        int &flags,
        const long long,
        const long timeout_us) override
    {
        OpenStream &stream = opened(handle);
        auto *transmit = stream.transmit();
        if (transmit == nullptr || (flags & ~SOAPY_SDR_END_BURST) != 0) {
            return SOAPY_SDR_NOT_SUPPORTED;
        }
        const auto *samples = static_cast<const Sample *>(buffers[0]);
        if (stream.integers) {
            const auto *integers = static_cast<const std::int16_t *>(buffers[0]);
            stream.converted.resize(std::min(count, mtu));
            for (std::size_t n = 0; n < stream.converted.size(); ++n) {
                stream.converted[n] = Sample(integers[2 * n], integers[2 * n + 1]) / static_cast<float>(full_scale);
            }
            samples = stream.converted.data();
        }
        const bool ends = (flags & SOAPY_SDR_END_BURST) != 0 && count <= mtu;
        return transmit->write(tuning(SOAPY_SDR_TX), samples, count, ends, timeout_us);
    }

    int readStreamStatus(
        SoapySDR::Stream *handle, size_t &channels, int &flags, long long &, const long timeout_us) override
    {
        auto *transmit = opened(handle).transmit();
        if (transmit == nullptr) {
            return SOAPY_SDR_NOT_SUPPORTED;
        }
        channels = 1;
        flags = 0;
        return transmit->status(timeout_us);
    }

    std::vector<std::string> listAntennas(const int direction, const size_t) const override
    {
        return direction == SOAPY_SDR_TX ? _options.tx_antennas : _options.rx_antennas;
    }
    void setAntenna(const int direction, const size_t channel, const std::string &name) override
    {
        const std::lock_guard<std::mutex> guard(_mutex);
        at(direction).antenna = checked("antenna", name, listAntennas(direction, channel));
    }
    std::string getAntenna(const int direction, const size_t) const override
    {
        const std::lock_guard<std::mutex> guard(_mutex);
        return at(direction).antenna;
    }

    std::vector<std::string> listGains(const int, const size_t) const override { return {gain_name}; }
    void setGain(const int direction, const size_t, const double value) override
    {
        const std::lock_guard<std::mutex> guard(_mutex);
        at(direction).tuning.gain_db = checked("gain", value, _options.gain);
    }
    void setGain(const int direction, const size_t channel, const std::string &name, const double value) override
    {
        checked("gain", name, listGains(direction, channel));
        setGain(direction, channel, value);
    }
    double getGain(const int direction, const size_t) const override { return tuning(direction).gain_db; }
    double getGain(const int direction, const size_t, const std::string &) const override
    {
        return tuning(direction).gain_db;
    }
    SoapySDR::Range getGainRange(const int, const size_t) const override { return _options.gain; }
    SoapySDR::Range getGainRange(const int, const size_t, const std::string &) const override
    {
        return _options.gain;
    }

    std::vector<std::string> listFrequencies(const int, const size_t) const override { return {frequency_name}; }
    void setFrequency(
        const int direction, const size_t, const double value, const SoapySDR::Kwargs &) override
    {
        const std::lock_guard<std::mutex> guard(_mutex);
        at(direction).tuning.frequency = checked("frequency", value, _options.frequency);
    }
    void setFrequency(
        const int direction,
        const size_t channel,
        const std::string &name,
        const double value,
        const SoapySDR::Kwargs &args) override
    {
        checked("frequency", name, listFrequencies(direction, channel));
        setFrequency(direction, channel, value, args);
    }
    double getFrequency(const int direction, const size_t) const override { return tuning(direction).frequency; }
    double getFrequency(const int direction, const size_t, const std::string &) const override
    {
        return tuning(direction).frequency;
    }
    SoapySDR::RangeList getFrequencyRange(const int, const size_t) const override { return {_options.frequency}; }
    SoapySDR::RangeList getFrequencyRange(const int, const size_t, const std::string &) const override
    {
        return {_options.frequency};
    }

    // Of the receiver's reference oscillator: how many ppm it is known to be too fast.
    bool hasFrequencyCorrection(const int direction, const size_t) const override
    {
        return direction == SOAPY_SDR_RX;
    }
    void setFrequencyCorrection(const int, const size_t, const double ppm) override
    {
        const std::lock_guard<std::mutex> guard(_mutex);
        _correction_ppm = ppm;
    }
    double getFrequencyCorrection(const int, const size_t) const override
    {
        const std::lock_guard<std::mutex> guard(_mutex);
        return _correction_ppm;
    }

    void setSampleRate(const int direction, const size_t, const double value) override
    {
        const std::lock_guard<std::mutex> guard(_mutex);
        at(direction).tuning.rate = checked("sample rate", value, _options.rate);
    }
    double getSampleRate(const int direction, const size_t) const override { return tuning(direction).rate; }
    SoapySDR::RangeList getSampleRateRange(const int, const size_t) const override { return {_options.rate}; }

    void setBandwidth(const int direction, const size_t, const double value) override
    {
        const std::lock_guard<std::mutex> guard(_mutex);
        at(direction).bandwidth = checked("bandwidth", value, _options.bandwidth);
    }
    double getBandwidth(const int direction, const size_t) const override
    {
        const std::lock_guard<std::mutex> guard(_mutex);
        return at(direction).bandwidth;
    }
    SoapySDR::RangeList getBandwidthRange(const int, const size_t) const override { return {_options.bandwidth}; }

    std::vector<std::string> listClockSources() const override { return _options.clocks; }
    void setClockSource(const std::string &source) override
    {
        const std::lock_guard<std::mutex> guard(_mutex);
        _clock = checked("clock source", source, _options.clocks);
    }
    std::string getClockSource() const override
    {
        const std::lock_guard<std::mutex> guard(_mutex);
        return _clock;
    }

private:
    struct Direction {
        Tuning tuning;
        double bandwidth = 1e6;
        std::string antenna;
    };

    Direction &at(int direction) { return _directions[direction == SOAPY_SDR_RX ? SOAPY_SDR_RX : SOAPY_SDR_TX]; }
    const Direction &at(int direction) const
    {
        return _directions[direction == SOAPY_SDR_RX ? SOAPY_SDR_RX : SOAPY_SDR_TX];
    }
    Tuning tuning(int direction) const
    {
        const std::lock_guard<std::mutex> guard(_mutex);
        return at(direction).tuning;
    }

    const Options _options;
    Air _air;
    mutable std::mutex _mutex;  // settings come from other threads than samples
    Direction _directions[2];
    std::string _clock;
    double _correction_ppm = 0;
};

SoapySDR::KwargsList find(const SoapySDR::Kwargs &args)
{
    SoapySDR::Kwargs found = args;
    found["label"] = "loopback over shared memory";
    return {found};
}

SoapySDR::Device *make(const SoapySDR::Kwargs &args) { return new LoopbackDevice(args); }

const SoapySDR::Registry registration("semcomloop", &find, &make, SOAPY_SDR_ABI_VERSION);

}  // namespace
}  // namespace loopback
