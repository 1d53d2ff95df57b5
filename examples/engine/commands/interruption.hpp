#pragma once
//  Ctrl-C as a wish. The first SIGINT while an `interruption` lives is only noted, the second one ends the program as ever.
#include <csignal>

namespace tenon::engine {

class interruption {
 public:
  interruption() {
    wanted_ = 0;
    sigaction(SIGINT, nullptr, &before_);
    if (before_.sa_handler == SIG_IGN) return;  // as whoever started the program wants it
    struct sigaction once {};
    once.sa_handler = [](int) { wanted_ = 1; };
    once.sa_flags   = static_cast<int>(SA_RESETHAND);
    sigaction(SIGINT, &once, nullptr);
  }
  interruption(interruption const&)            = delete;
  interruption& operator=(interruption const&) = delete;
  ~interruption() { sigaction(SIGINT, &before_, nullptr); }

  [[nodiscard]] bool wanted() const { return wanted_ != 0; }

  /// Ends the program by the signal, so that a shell knows.
  static void follow() {
    std::signal(SIGINT, SIG_DFL);
    std::raise(SIGINT);
  }

 private:
  static inline std::sig_atomic_t volatile wanted_ = 0;
  struct sigaction before_ {};
};

}  // namespace tenon::engine
