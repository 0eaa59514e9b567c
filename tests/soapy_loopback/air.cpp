#include "air.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <ctime>
#include <stdexcept>

namespace loopback {
namespace {

constexpr std::uint32_t magic = 0x53434C32;
constexpr std::size_t header_bytes = 4096;
constexpr std::size_t file_bytes = header_bytes + Air::capacity * sizeof(Sample);
constexpr std::int64_t second_ns = 1'000'000'000;
// A process that is killed notifies nobody: waiting is interrupted to look for it.
constexpr std::int64_t longest_wait_ns = 50'000'000;

// Bytes of the file whose locks say who takes part.
constexpr int users = 0;
constexpr int transmitter = 1;
constexpr int receiver = 2;

static_assert(sizeof(AirHeader) <= header_bytes);
static_assert(std::atomic<double>::is_always_lock_free && std::atomic<std::uint64_t>::is_always_lock_free);

std::runtime_error failure(const std::string &what)
{
    return std::runtime_error("semcomloop: " + what + ": " + std::strerror(errno));
}

}  // namespace

std::int64_t now_ns()
{
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * second_ns + time.tv_nsec;
}

Air::Air(const std::string &key, bool paced) : _name("/semcomloop." + std::to_string(getuid()) + "." + key)
{
    bool first = false;
    // Whoever was the last may take the file away between opening and locking it: then another one is made.
    for (;;) {
        _file = shm_open(_name.c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (_file < 0) {
            throw failure("cannot open the shared memory " + _name);
        }
        first = lock(F_WRLCK, users, false);
        if (!first) {
            lock(F_RDLCK, users, true);
        }
        struct stat opened {};
        struct stat named {};
        const int check = shm_open(_name.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
        const bool same = check >= 0 && fstat(check, &named) == 0 && fstat(_file, &opened) == 0 &&
                          opened.st_ino == named.st_ino;
        if (check >= 0) {
            close(check);
        }
        if (same) {
            break;
        }
        close(_file);
    }
    if (first && (ftruncate(_file, 0) != 0 || ftruncate(_file, static_cast<off_t>(file_bytes)) != 0)) {
        const auto error = failure("cannot allocate the shared memory " + _name);
        close(_file);
        throw error;
    }
    void *memory = mmap(nullptr, file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, _file, 0);
    if (memory == MAP_FAILED) {
        const auto error = failure("cannot map the shared memory " + _name);
        close(_file);
        throw error;
    }
    _header = static_cast<AirHeader *>(memory);
    _ring = reinterpret_cast<Sample *>(static_cast<char *>(memory) + header_bytes);
    if (first) {  // the file is zero, and so are all values
        _header->magic = magic;
        _header->paced = paced ? 1 : 0;
        lock(F_RDLCK, users, true);
    } else if (_header->magic != magic || (_header->paced != 0) != paced) {
        munmap(memory, file_bytes);
        close(_file);
        throw std::runtime_error("semcomloop: the key is in use with another pace; give both ends the same");
    }
}

Air::~Air()
{
    unlink_if_last();
    munmap(_header, file_bytes);
    close(_file);
}

void Air::unlink_if_last()
{
    if (lock(F_WRLCK, users, false)) {
        shm_unlink(_name.c_str());
    }
}

bool Air::lock(int kind, int offset, bool wait)
{
    struct flock request {};
    request.l_type = static_cast<short>(kind);
    request.l_whence = SEEK_SET;
    request.l_start = offset;
    request.l_len = 1;
    for (;;) {
        if (fcntl(_file, wait ? F_OFD_SETLKW : F_OFD_SETLK, &request) == 0) {
            return true;
        }
        if (errno == EINTR) {
            continue;
        }
        if (errno == EAGAIN || errno == EACCES) {
            return false;
        }
        throw failure("cannot lock the shared memory " + _name);
    }
}

bool Air::locked_by_another(int offset)
{
    struct flock request {};
    request.l_type = F_WRLCK;
    request.l_whence = SEEK_SET;
    request.l_start = offset;
    request.l_len = 1;
    return fcntl(_file, F_OFD_GETLK, &request) == 0 && request.l_type != F_UNLCK;
}

bool Air::claim_transmitter() { return lock(F_WRLCK, transmitter, false); }
void Air::release_transmitter() { lock(F_UNLCK, transmitter, false); }
bool Air::claim_receiver() { return lock(F_WRLCK, receiver, false); }
void Air::release_receiver() { lock(F_UNLCK, receiver, false); }

bool Air::transmitting()
{
    if (_header->transmitting == 0) {
        return false;
    }
    // This device's own lock is not seen as another's; then the transmitter is alive, of course.
    if (locked_by_another(transmitter)) {
        return true;
    }
    return _header->transmitting == static_cast<std::uint32_t>(getpid());
}

Transmission Air::transmission()
{
    for (;;) {
        const std::uint32_t number = _header->transmission;
        const Transmission values{number, _header->begin, _header->epoch_ns, _header->rate};
        if (number % 2 == 0 && number == _header->transmission) {
            return values;
        }
    }
}

void Air::begin_transmission(double rate)
{
    const std::uint64_t begin = _header->written;
    // A transmitter that was killed may have left an odd number behind.
    _header->transmission = (_header->transmission | 1U);
    _header->begin = begin;
    _header->rate = rate;
    _header->epoch_ns = now_ns() - std::llround(static_cast<double>(begin) / rate * 1e9);
    _header->transmission += 1;
    _header->transmitting = static_cast<std::uint32_t>(getpid());
    notify();
}

void Air::end_transmission()
{
    _header->transmitting = 0;
    notify();
}

void Air::append(const Sample *samples, std::uint64_t count)
{
    std::uint64_t at = _header->written;
    if (count > capacity) {  // a long silence
        at += count - capacity;
        count = capacity;
    }
    for (std::uint64_t done = 0; done < count;) {
        const std::uint64_t place = (at + done) % capacity;
        const std::uint64_t part = std::min(count - done, capacity - place);
        if (samples != nullptr) {
            std::copy_n(samples + done, part, _ring + place);
        } else {
            std::fill_n(_ring + place, part, Sample{});
        }
        done += part;
    }
    _header->written = at + count;
    notify();
}

bool Air::fetch(std::int64_t first, std::size_t count, Sample *samples)
{
    const auto begin = static_cast<std::int64_t>(_header->begin);
    const auto written = static_cast<std::int64_t>(_header->written);
    // Without the clock nothing is overwritten before it is read, whatever transmission it belongs to.
    const std::int64_t oldest = std::max<std::int64_t>(written - static_cast<std::int64_t>(capacity), 0);
    const std::int64_t low = _header->paced != 0 ? std::max(begin, oldest) : oldest;
    const std::int64_t end = first + static_cast<std::int64_t>(count);
    const std::int64_t from = std::clamp(low, first, end);
    const std::int64_t to = std::clamp(written, from, end);
    std::fill_n(samples, from - first, Sample{});
    for (std::int64_t at = from; at < to;) {
        const auto place = at % static_cast<std::int64_t>(capacity);
        const auto part = std::min(to - at, static_cast<std::int64_t>(capacity) - place);
        std::copy_n(_ring + place, part, samples + (at - first));
        at += part;
    }
    std::fill_n(samples + (to - first), end - to, Sample{});
    const auto after = static_cast<std::int64_t>(_header->written);
    return from >= to || after - from <= static_cast<std::int64_t>(capacity);
}

void Air::wait(std::uint32_t changes, std::int64_t until_ns)
{
    const std::int64_t duration = std::min(until_ns - now_ns(), longest_wait_ns);
    if (duration <= 0) {
        return;
    }
    const timespec time{duration / second_ns, duration % second_ns};
    syscall(SYS_futex, &_header->changes, FUTEX_WAIT, changes, &time, nullptr, 0);
}

void Air::notify()
{
    _header->changes += 1;
    syscall(SYS_futex, &_header->changes, FUTEX_WAKE, 0x7FFFFFFF, nullptr, nullptr, 0);
}

}  // namespace loopback
