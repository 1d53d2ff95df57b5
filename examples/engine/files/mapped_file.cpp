#include "engine/files/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/error.hpp"

namespace tenon::engine {
namespace {

struct descriptor {
  int value;
  explicit descriptor(int from) : value(from) {}
  descriptor(descriptor const&)            = delete;
  descriptor& operator=(descriptor const&) = delete;
  ~descriptor() {
    if (value > 0) ::close(value);
  }
};

[[noreturn]] void throw_errno(std::string const& name, char const* what, int code) {
  throw wrong(name, what, in_quotes(std::strerror(code)), "a readable file");
}

struct stat status_of(int file, std::string const& name) {
  struct stat status {};
  if (::fstat(file, &status) != 0) throw_errno(name, "cannot be examined", errno);
  if (S_ISDIR(status.st_mode)) throw wrong(name, "is not a file", "a directory", "a file");
  return status;
}

}  // namespace

mapped_file::mapped_file(std::filesystem::path const& path) : name_(path.string()) {
  // O_NONBLOCK: opening a pipe that nobody writes must not wait.
  descriptor const file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.value < 0) throw_errno(name_, "cannot be opened", errno);
  struct stat const status = status_of(file.value, name_);
  if (!S_ISREG(status.st_mode)) throw wrong(name_, "cannot be mapped", "a pipe or device", "a regular file");
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ == 0) return;
  void* const data = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.value, 0);
  if (data == MAP_FAILED) throw_errno(name_, "cannot be mapped", errno);
  data_ = data;
}

mapped_file::mapped_file(mapped_file&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)), name_(std::move(other.name_)) {}

mapped_file& mapped_file::operator=(mapped_file&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(name_, other.name_);
  return *this;
}

mapped_file::~mapped_file() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

std::string read_bytes(std::string const& path, std::size_t limit) {
  bool const        standard = path == "-";
  std::string const name     = standard ? "standard input" : path;
  descriptor const  file(standard ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.value < 0) throw_errno(name, "cannot be opened", errno);
  struct stat const status = status_of(file.value, name);

  std::string bytes;
  if (S_ISREG(status.st_mode) && static_cast<std::size_t>(status.st_size) <= limit)
    bytes.reserve(static_cast<std::size_t>(status.st_size));
  char part[1 << 16];
  for (;;) {
    ssize_t const got = ::read(file.value, part, sizeof part);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno(name, "cannot be read", errno);
    if (got == 0) return bytes;
    if (bytes.size() + static_cast<std::size_t>(got) > limit)
      throw wrong(name, "is too large", "more than " + std::to_string(limit) + " bytes", "at most that");
    bytes.append(part, static_cast<std::size_t>(got));
  }
}

}  // namespace tenon::engine
