#pragma once
//  The program while it runs: to be signalled.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>
#include <string>
#include <vector>

#include "scratch_folder.hpp"

namespace test {

class started_program {
 public:
  /// `input` is a file for its standard input; empty: that of the test.
  explicit started_program(std::vector<std::string> arguments, std::string const& input = {}) {
    arguments.insert(arguments.begin(), TENON_PROGRAM);
    std::vector<char*> argv;
    for (std::string& a : arguments) argv.push_back(a.data());
    argv.push_back(nullptr);
    std::string const err = (folder_ / "err").string();
    int               ends[2];
    if (::pipe(ends) != 0 || (child_ = ::fork()) < 0) throw std::runtime_error("cannot start a program");
    if (child_ == 0) {
      std::signal(SIGINT, SIG_DFL);  // whatever the test was started with
      ::dup2(ends[1], STDOUT_FILENO);
      ::close(ends[0]), ::close(ends[1]);
      if (!input.empty() && std::freopen(input.c_str(), "rb", stdin) == nullptr) ::_exit(127);
      if (std::freopen(err.c_str(), "wb", stderr) != nullptr) ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    from_ = ends[0];
  }
  started_program(started_program const&)            = delete;
  started_program& operator=(started_program const&) = delete;
  ~started_program() {
    if (child_ > 0) signal(SIGKILL), wait();
    ::close(from_);
  }

  /// The next line of stdout, with its end; what there is at the end of the text.
  std::string read_line() {
    std::string line;
    for (char c = 0; c != '\n' && ::read(from_, &c, 1) == 1;) line += c;
    return line;
  }
  /// The next bytes of stdout, fewer at its end.
  std::string read(std::size_t count) {
    std::string bytes;
    for (char c = 0; bytes.size() < count && ::read(from_, &c, 1) == 1;) bytes += c;
    return bytes;
  }
  std::string rest() {
    std::string all;
    for (std::string line = read_line(); !line.empty(); line = read_line()) all += line;
    return all;
  }
  std::string err() const { return read_text(folder_ / "err"); }
  void        signal(int number) const { ::kill(child_, number); }

  /// How it ended, as waitpid says.
  int wait() {
    int status = 0;
    ::waitpid(child_, &status, 0);
    child_ = -1;
    return status;
  }

 private:
  scratch_folder folder_;
  pid_t          child_ = -1;
  int            from_  = -1;
};

}  // namespace test
