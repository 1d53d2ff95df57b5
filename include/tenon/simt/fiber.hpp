#pragma once
//  A CUDA thread on a CPU: a stack of its own and a switch that saves the callee-saved registers, 6 to 20 ns.
//
//  x86-64 (System V) and aarch64 (AAPCS64); ucontext elsewhere.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include <sys/mman.h>
#if !defined(__x86_64__) && !defined(__aarch64__)
#  include <ucontext.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#  define TENON_SIMT_ASAN 1
#elif defined(__has_feature)
#  if __has_feature(address_sanitizer)
#    define TENON_SIMT_ASAN 1
#  endif
#endif
#if defined(TENON_SIMT_ASAN)
#  include <sanitizer/asan_interface.h>
#  include <sanitizer/common_interface_defs.h>
#endif

namespace tenon::simt {

#if defined(__x86_64__)
/// Saves the caller's registers and stack pointer at *from, resumes `to`.
__attribute__((naked, noinline)) inline void switch_stack(void** /*from: rdi*/, void* /*to: rsi*/) {
  __asm__ volatile(
      "pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
      "movq %rsp, (%rdi)\n"
      "movq %rsi, %rsp\n"
      "popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbx\n popq %rbp\n"
      "ret\n");
}
#elif defined(__aarch64__)
// Outside of any function, as g++ has none that are naked here; in a section that the linker keeps once.
extern "C" void tenon_switch_stack(void** from, void* to);
__asm__(
    ".pushsection .text.tenon_switch_stack, \"axG\", %progbits, tenon_switch_stack, comdat\n"
    ".weak tenon_switch_stack\n .type tenon_switch_stack, %function\n .p2align 2\n"
    "tenon_switch_stack:\n"
    "stp x19, x20, [sp, #-160]!\n stp x21, x22, [sp, #16]\n stp x23, x24, [sp, #32]\n"
    "stp x25, x26, [sp, #48]\n stp x27, x28, [sp, #64]\n stp x29, x30, [sp, #80]\n"
    "stp d8, d9, [sp, #96]\n stp d10, d11, [sp, #112]\n stp d12, d13, [sp, #128]\n stp d14, d15, [sp, #144]\n"
    "mov x9, sp\n str x9, [x0]\n mov sp, x1\n"
    "ldp x21, x22, [sp, #16]\n ldp x23, x24, [sp, #32]\n ldp x25, x26, [sp, #48]\n ldp x27, x28, [sp, #64]\n"
    "ldp x29, x30, [sp, #80]\n ldp d8, d9, [sp, #96]\n ldp d10, d11, [sp, #112]\n ldp d12, d13, [sp, #128]\n"
    "ldp d14, d15, [sp, #144]\n ldp x19, x20, [sp], #160\n"
    "ret\n"
    ".size tenon_switch_stack, . - tenon_switch_stack\n .popsection\n");
inline void switch_stack(void** from, void* to) { tenon_switch_stack(from, to); }
#endif

/// A suspended computation. `entry` begins with fiber::entered() and never returns: it switches away for the last time.
class fiber {
 public:
#if defined(TENON_SIMT_ASAN)
  // AddressSanitizer keeps the bounds of the stack that runs; each switch tells it the new ones.
  static void entered() { arrive(nullptr); }
  void        resume_from(fiber& from, bool for_good = false) {
           leaving_ = &from;
           __sanitizer_start_switch_fiber(for_good ? nullptr : &from.fake_stack_, bottom_, size_);
           switch_from(from);
           arrive(from.fake_stack_);
  }
#else
  static void entered() {}
  void        resume_from(fiber& from, bool = false) { switch_from(from); }
#endif

#if defined(__x86_64__) || defined(__aarch64__)
  /// `colour` shifts the top by cache lines: fibers do the same things, and would all use the same sets of the cache.
  void prepare(std::byte* stack, std::size_t size, std::size_t colour, void (*entry)()) {
    remember(stack, size);
    auto top = (reinterpret_cast<std::uintptr_t>(stack) + size - colour * 64) & ~std::uintptr_t{63};
#  if defined(__x86_64__)
    auto** slot =
        reinterpret_cast<void**>(top) - 8;  // six registers, return address, and one word that aligns the call
    std::memset(static_cast<void*>(slot), 0, 8 * sizeof(void*));
    slot[6] = reinterpret_cast<void*>(entry);
#  else
    auto** slot = reinterpret_cast<void**>(top) - 20;
    std::memset(static_cast<void*>(slot), 0, 20 * sizeof(void*));
    slot[11] = reinterpret_cast<void*>(entry);  // x30
#  endif
    stack_pointer_ = slot;
  }

 private:
  void  switch_from(fiber& from) { switch_stack(&from.stack_pointer_, stack_pointer_); }
  void* stack_pointer_ = nullptr;
#else
  void        prepare(std::byte* stack, std::size_t size, std::size_t, void (*entry)()) {
           remember(stack, size);
           getcontext(&context_);
           context_.uc_stack.ss_sp   = stack;
           context_.uc_stack.ss_size = size;
           context_.uc_link          = nullptr;
           makecontext(&context_, entry, 0);
  }

 private:
  void       switch_from(fiber& from) { swapcontext(&from.context_, &context_); }
  ucontext_t context_{};
#endif

#if defined(TENON_SIMT_ASAN)
  void remember(std::byte* stack, std::size_t size) {
    bottom_ = stack, size_ = size;
    __asan_unpoison_memory_region(stack, size);
  }
  static void arrive(void* fake_stack) {
    __sanitizer_finish_switch_fiber(fake_stack, &leaving_->bottom_, &leaving_->size_);
  }
  static inline thread_local fiber* leaving_ = nullptr;

  void*       fake_stack_ = nullptr;
  void const* bottom_     = nullptr;
  std::size_t size_       = 0;
#else
  void       remember(std::byte*, std::size_t) {}
#endif
};

/// Stacks for a block's fibers, each with a guard page below it.
class stack_pool {
 public:
  static constexpr std::size_t guard_bytes = 4096;

  /// `stack_bytes` each: reserved, not committed; pages appear when touched.
  explicit stack_pool(std::size_t stack_bytes = 256 * 1024) : stack_bytes_(stack_bytes) {}
  stack_pool(stack_pool const&)            = delete;
  stack_pool& operator=(stack_pool const&) = delete;
  ~stack_pool() {
    if (memory_) munmap(memory_, count_ * stack_bytes_);
  }

  void reserve(std::size_t count) {
    if (count <= count_) return;
    void* const m =
        mmap(nullptr, count * stack_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m == MAP_FAILED) throw std::bad_alloc{};
    if (memory_) munmap(memory_, count_ * stack_bytes_);
    memory_ = static_cast<std::byte*>(m), count_ = count;
    for (std::size_t i = 0; i < count; ++i) mprotect(memory_ + i * stack_bytes_, guard_bytes, PROT_NONE);
  }
  std::byte*  stack(std::size_t i) const { return memory_ + i * stack_bytes_ + guard_bytes; }
  std::size_t usable_bytes() const { return stack_bytes_ - guard_bytes; }

 private:
  std::size_t stack_bytes_;
  std::byte*  memory_ = nullptr;
  std::size_t count_  = 0;
};

}  // namespace tenon::simt
