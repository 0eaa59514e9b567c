// The air between the devices of one key: shared memory with a ring of samples, one transmitter, any receivers.
//
// Samples have numbers that grow for as long as the air exists, over any number of transmissions. With the clock
// (`paced`), number n is on the air at epoch + n / rate, and a receiver hears what is there at that time. Without it,
// the ring is a queue: the transmitter waits for the one receiver that there may be.
//
// Who takes part is kept in locks of the file, which the system releases when a process is killed.
#pragma once

#include <atomic>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <string>

namespace loopback {

using Sample = std::complex<float>;

// The system's monotonic clock, in ns.
std::int64_t now_ns();

struct AirHeader {
    std::uint32_t magic;
    std::uint32_t paced;
    std::atomic<std::uint32_t> changes;       // futex: counts what happened
    std::atomic<std::uint32_t> transmission;  // odd while the transmitter changes the values below it
    std::atomic<std::uint32_t> transmitting;
    std::atomic<std::uint64_t> begin;    // the first sample of this transmission
    std::atomic<std::int64_t> epoch_ns;  // when sample 0 would have been on the air
    std::atomic<double> rate;
    std::atomic<double> frequency;
    std::atomic<double> gain_db;
    std::atomic<std::uint64_t> written;  // samples below this are in the ring
    std::atomic<std::uint64_t> read;     // without the clock: samples below this are no longer needed
};

// What belongs together of one transmission.
struct Transmission {
    std::uint32_t number;
    std::uint64_t begin;
    std::int64_t epoch_ns;
    double rate;
};

class Air {
public:
    static constexpr std::uint64_t capacity = 1U << 21U;

    // Throws std::runtime_error if the shared memory is not to be had, or is used with another pace.
    Air(const std::string &key, bool paced);
    ~Air();
    Air(const Air &) = delete;
    Air &operator=(const Air &) = delete;

    AirHeader &header() { return *_header; }

    // There is one transmitter and, without the clock, one receiver; false if it is another one.
    bool claim_transmitter();
    void release_transmitter();
    bool claim_receiver();
    void release_receiver();

    // Whether a transmission is on and its process alive.
    bool transmitting();
    Transmission transmission();
    // Start a transmission whose next sample is on the air now.
    void begin_transmission(double rate);
    void end_transmission();

    // Store `count` samples after those that are there; null for silence. Publishes them.
    void append(const Sample *samples, std::uint64_t count);
    // Copy samples [first, first + count); what is not there is silence. False if some have been overwritten.
    bool fetch(std::int64_t first, std::size_t count, Sample *samples);

    // Wait until something changes after `changes` was read, or until then; may return early.
    void wait(std::uint32_t changes, std::int64_t until_ns);
    void notify();

private:
    bool lock(int kind, int offset, bool wait);
    bool locked_by_another(int offset);
    void unlink_if_last();

    std::string _name;
    int _file = -1;
    AirHeader *_header = nullptr;
    Sample *_ring = nullptr;
};

}  // namespace loopback
