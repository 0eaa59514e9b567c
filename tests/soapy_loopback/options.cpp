#include "options.hpp"

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <sstream>
#include <stdexcept>

namespace loopback {
namespace {

[[noreturn]] void refuse(const std::string &key, const std::string &text, const std::string &wanted)
{
    throw std::invalid_argument("semcomloop: " + key + " must be " + wanted + ", got '" + text + "'");
}

double number(const std::string &key, const std::string &text, double low, double high)
{
    std::size_t used = 0;
    double value = std::numeric_limits<double>::quiet_NaN();
    try {
        value = std::stod(text, &used);
    } catch (const std::logic_error &) {
        used = 0;
    }
    // NaN fails this comparison, too.
    if (used != text.size() || used == 0 || !(low <= value && value <= high)) {
        std::ostringstream wanted;
        wanted << "a number from " << low << " to " << high;
        refuse(key, text, wanted.str());
    }
    return value;
}

std::uint64_t integer(const std::string &key, const std::string &text, double low, double high)
{
    return static_cast<std::uint64_t>(std::llround(number(key, text, low, high)));
}

SoapySDR::Range range(const std::string &key, const std::string &text, double low, double high)
{
    const auto colon = text.find(':');
    if (colon == std::string::npos) {
        refuse(key, text, "LOWEST:HIGHEST");
    }
    const double from = number(key, text.substr(0, colon), low, high);
    return {from, number(key, text.substr(colon + 1), from, high)};
}

std::vector<std::string> names(const std::string &key, const std::string &text)
{
    std::vector<std::string> found;
    std::istringstream parts(text);
    for (std::string part; std::getline(parts, part, ':');) {
        if (part.empty()) {
            refuse(key, text, "names with ':' between them");
        }
        found.push_back(part);
    }
    if (found.empty()) {
        refuse(key, text, "names with ':' between them");
    }
    return found;
}

std::string identifier(const std::string &key, const std::string &text)
{
    const auto allowed = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-";
    if (text.empty() || text.size() > 64 || text.find_first_not_of(allowed) != std::string::npos) {
        refuse(key, text, "1 to 64 letters, digits, '-' and '_'");
    }
    return text;
}

template <typename Value>
Value choice(const std::string &key, const std::string &text, const std::map<std::string, Value> &values)
{
    const auto found = values.find(text);
    if (found == values.end()) {
        std::string wanted;
        for (const auto &value : values) {
            wanted += (wanted.empty() ? "" : " or ") + value.first;
        }
        refuse(key, text, wanted);
    }
    return found->second;
}

}  // namespace

Options parse_options(const SoapySDR::Kwargs &args)
{
    Options options;
    constexpr double many = 1e15;
    using Setter = std::function<void(const std::string &, const std::string &)>;
    const auto set_number = [](double &target, double low, double high) {
        return Setter([&target, low, high](auto &key, auto &text) { target = number(key, text, low, high); });
    };
    const auto set_level = [](std::optional<double> &target) {
        return Setter([&target](auto &key, auto &text) { target = number(key, text, -200, 20); });
    };
    const auto set_integer = [](std::uint64_t &target, double low, double high) {
        return Setter([&target, low, high](auto &key, auto &text) { target = integer(key, text, low, high); });
    };
    const auto set_range = [](SoapySDR::Range &target, double low, double high) {
        return Setter([&target, low, high](auto &key, auto &text) { target = range(key, text, low, high); });
    };
    const auto set_names = [](std::vector<std::string> &target) {
        return Setter([&target](auto &key, auto &text) { target = names(key, text); });
    };
    const Setter ignore = [](auto &, auto &) {};
    const std::map<std::string, Setter> setters{
        {"driver", ignore},
        {"label", ignore},
        {"type", ignore},
        {"serial", ignore},    // UHD makes one up
        {"find_all", ignore},  // and its tools ask with this one
        {"key", [&](auto &key, auto &text) { options.key = identifier(key, text); }},
        {"pace",
         [&](auto &key, auto &text) {
             options.paced = choice<bool>(key, text, {{"real", true}, {"none", false}});
         }},
        {"seed", set_integer(options.seed, 0, many)},
        {"noise", set_level(options.noise_dbfs)},
        {"dc", set_level(options.dc_dbfs)},
        {"cfo", set_number(options.cfo_hz, -1e7, 1e7)},
        {"ppm", set_number(options.ppm, -1000, 1000)},
        {"loss", set_number(options.loss_db, 0, 200)},
        {"overflow", set_integer(options.overflow_every, 0, many)},
        {"overflow_count", set_integer(options.overflow_count, 0, many)},
        {"overflow_lost", set_integer(options.overflow_lost, 0, 1e6)},
        {"underrun", set_integer(options.underrun_every, 0, many)},
        {"underrun_count", set_integer(options.underrun_count, 0, many)},
        {"report",
         [&](auto &key, auto &text) {
             options.report = choice<Report>(
                 key, text, {{"return", Report::returned}, {"status", Report::status}, {"log", Report::logged}});
         }},
        {"buffer", set_integer(options.buffer, 4096, 1U << 19U)},
        {"frequencies", set_range(options.frequency, 0, 1e12)},
        {"rates", set_range(options.rate, 1, 1e9)},
        {"gains", set_range(options.gain, -100, 200)},
        {"bandwidths", set_range(options.bandwidth, 1, 1e9)},
        {"tx_antennas", set_names(options.tx_antennas)},
        {"rx_antennas", set_names(options.rx_antennas)},
        {"clocks", set_names(options.clocks)},
    };
    for (const auto &[key, text] : args) {
        const auto setter = setters.find(key);
        if (setter == setters.end()) {
            throw std::invalid_argument("semcomloop: unknown argument '" + key + "'");
        }
        setter->second(key, text);
    }
    return options;
}

}  // namespace loopback
