#pragma once
//  A kernel that touches memory that does not exist, or overflows its stack, ends its launch with a finding instead of ending
//  the program.
#include <tenon/simt/checked/scheduler.hpp>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

#include <ucontext.h>

namespace tenon::simt::checked {

/// While it lives, faults of kernels are findings.
class fault_watch {
 public:
  fault_watch() {
    stack_t const own{stack_, 0, sizeof stack_};
    sigaltstack(&own, &outer_stack_);
    struct sigaction action = {};
    action.sa_sigaction     = &fault_watch::on_fault;
    action.sa_flags         = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;  // the handler does not return
    sigaction(SIGSEGV, &action, &outer_segv_);
    sigaction(SIGBUS, &action, &outer_bus_);
  }
  ~fault_watch() {
    sigaction(SIGSEGV, &outer_segv_, nullptr);
    sigaction(SIGBUS, &outer_bus_, nullptr);
    sigaltstack(&outer_stack_, nullptr);
  }
  fault_watch(fault_watch const&)            = delete;
  fault_watch& operator=(fault_watch const&) = delete;

 private:
  /// x86-64 says the same of a vector that is not aligned and of an address that no program has: whether the instruction is one
  /// of the former kind (movaps and its like, no scalar one).
  static bool takes_aligned_vectors([[maybe_unused]] std::uintptr_t at) {
#if defined(__x86_64__)
    auto const* byte = reinterpret_cast<unsigned char const*>(at);
    while (*byte == 0x66 || (*byte & 0xf0) == 0x40) ++byte;  // prefixes
    return *byte == 0x0f;
#else
    return false;
#endif
  }

  static void on_fault(int number, siginfo_t* info, void* context) {
    if (doing == activity::host) {  // not a kernel's: the default action, when the instruction is tried again
      std::signal(number, SIG_DFL);
      return;
    }
    auto const&    registers = static_cast<ucontext_t const*>(context)->uc_mcontext;
    auto const     address   = reinterpret_cast<std::uintptr_t>(info->si_addr);
    std::uintptr_t at = 0, stack = 0;
#if defined(__x86_64__)
    at    = static_cast<std::uintptr_t>(registers.gregs[REG_RIP]),
    stack = static_cast<std::uintptr_t>(registers.gregs[REG_RSP]);
#elif defined(__aarch64__)
    at = registers.pc, stack = registers.sp;
#else
    (void)registers;
#endif
    doing                  = activity::runtime;
    auto&             b    = running();
    site_number const site = site_of(reinterpret_cast<void const*>(at + 1));
    char              text[24];
    std::snprintf(text, sizeof text, "0x%zx", static_cast<std::size_t>(address));
    if (address - (stack - 65536) < 131072)
      b.found.add(kind::out_of_bounds, level::error, {site, "overflow of the thread's stack", b.my_name()}, {}, {},
                  "A thread has 256 KiB of stack here. Large local arrays or deep recursion would spill to local "
                  "memory on a device. "
                  "The launch was given up here.");
    else if (info->si_code == SI_KERNEL && takes_aligned_vectors(at))
      b.found.add(kind::misaligned, level::error, {site, "vector access", b.my_name()}, {}, {},
                  "The processor refused the address, as a device does. The launch was given up here.");
    else
      b.found.add(kind::out_of_bounds, level::error, {site, "access of memory that does not exist", b.my_name()}, {},
                  std::string("address ") + text,
                  "The pointer leads nowhere: an index far out of range, or memory that was freed. The launch was "
                  "given up here.");
    scheduler::instance().give_up();
  }

  static inline char stack_[64 * 1024];  // launches of a checked program run one at a time
  stack_t            outer_stack_ = {};
  struct sigaction   outer_segv_ = {}, outer_bus_ = {};
};

}  // namespace tenon::simt::checked
