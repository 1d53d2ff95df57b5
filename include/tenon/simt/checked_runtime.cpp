//  The checked build's machine. Compile this file without -fsanitize=thread and link it with kernel files that are
//  compiled with it; the functions below stand in for libtsan. See cmake/tenon_add_checked_test.cmake.
#if defined(__SANITIZE_THREAD__)
#  error "tenon: simt/checked_runtime.cpp must not be compiled with -fsanitize=thread"
#endif
#define TENON_CHECKED 1
#include <tenon/simt/buffer.hpp>
#include <tenon/simt/checked/faults.hpp>
#include <tenon/simt/checked/machine.cpp>
#include <tenon/simt/checked/report_files.hpp>
#include <tenon/simt/launch.hpp>
#include <tenon/simt/machine.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <mutex>
#include <numeric>
#include <string>
#include <vector>

#include <link.h>

namespace tenon::simt {
namespace checked {

static void open() {
  if (current) return;
  report_files::instance();
  memory.open();
  residents::instance().prepare();
}

/// The blocks of a launch in running order.
static std::vector<std::size_t> order_of(std::size_t blocks, check_options const& o, std::uint64_t seed) {
  std::vector<std::size_t> order(blocks);
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (o.schedule == schedule::reversed) std::reverse(order.begin(), order.end());
  if (o.schedule == schedule::random || o.schedule == schedule::priorities) {
    std::uint64_t r = seed * 0x9e3779b97f4a7c15u + 1;
    for (std::size_t i = blocks; i > 1; --i) {
      r ^= r << 13, r ^= r >> 7, r ^= r << 17;
      std::swap(order[i - 1], order[r % i]);
    }
  }
  return order;
}

/// Static shared variables are thread-local ones of the program: all but the machine's own are watched.
static bool watch_statics = false;

static void find_statics() {
  if (!watch_statics) return;
  struct block {
    std::uintptr_t begin = 0;
    std::size_t    bytes = 0;
  } found;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* to) {  // the program itself comes first
        for (int i = 0; i < info->dlpi_phnum; ++i)
          if (info->dlpi_phdr[i].p_type == PT_TLS)
            *static_cast<block*>(to) = {reinterpret_cast<std::uintptr_t>(info->dlpi_tls_data),
                                        static_cast<std::size_t>(info->dlpi_phdr[i].p_memsz)};
        return 1;
      },
      &found);
  memory.statics = found.begin;  // another one in every OS thread, of the same layout
  if (memory.static_valid) return;
  if (memory.statics == found.begin && memory.statics_bytes) return;  // this OS thread launched last, too
  static std::vector<char> ignored;
  found.bytes = std::min(found.bytes, arena::static_span);
  ignored.assign(found.bytes / 4 + 2, 0);
  auto const ignore = [&](auto const& v) {
    std::size_t const o = reinterpret_cast<std::uintptr_t>(&v) - found.begin;
    for (std::size_t i = o / 4; o < found.bytes && i <= (o + sizeof v - 1) / 4 && i < ignored.size(); ++i)
      ignored[i] = 1;
  };
  ignore(threadIdx), ignore(blockIdx), ignore(blockDim), ignore(gridDim), ignore(doing);
  // Symbols tell the extents of the variables: bytes between two of them are nobody's.
  static std::vector<data_symbol> const variables = debug_info::of_this_program().thread_locals();
  static std::vector<unsigned char>     valid(found.bytes / 4 + 2, variables.empty() ? 15 : 0);
  for (std::size_t k = 0; k < variables.size(); ++k) {
    auto const&       v    = variables[k];
    std::size_t const next = k + 1 < variables.size() ? variables[k + 1].offset : found.bytes;
    std::size_t const end  = std::min(v.bytes ? v.offset + v.bytes : next, found.bytes);
    for (std::size_t o = v.offset; o < end; ++o) valid[o / 4] = (valid[o / 4] | 1u << o % 4) & 15u;
    bool const machine = v.name.starts_with("_ZN5tenon4simt") || v.name.starts_with("_ZGV");
    for (std::size_t o = v.offset; machine && o < end; ++o) ignored[o / 4] = 1;
  }
  memory.static_variables = variables.data(), memory.static_count = variables.size();
  memory.static_valid  = valid.data();
  memory.not_shared    = reinterpret_cast<bool*>(ignored.data());
  memory.statics_bytes = found.bytes;
}

/// Global variables of the program that kernels may share, as __device__ ones are: those of namespaces that are not the
/// machine's or the standard library's, in writable memory.
static void find_globals() {
  if (memory.program_bytes) return;
  struct segment {
    std::uintptr_t base = 0, begin = 0;
    std::size_t    bytes = 0;
  } found;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* to) {  // the program itself comes first
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          auto const& h = info->dlpi_phdr[i];
          if (h.p_type == PT_LOAD && (h.p_flags & PF_W))
            *static_cast<segment*>(to) = {info->dlpi_addr, info->dlpi_addr + h.p_vaddr, h.p_memsz};
        }
        return 1;
      },
      &found);
  static std::vector<char> shared;
  std::size_t const        bytes = std::min(found.bytes, arena::program_span);
  shared.assign(bytes / 4 + 2, 0);
  for (auto const& v : debug_info::of_this_program().globals()) {
    std::size_t const o = found.base + v.offset - found.begin;
    if (v.bytes == 0 || o >= bytes || v.bytes > bytes - o) continue;
    bool ours = false;
    for (char const* const prefix : {"_ZN5tenon", "_ZNSt", "_ZSt", "_ZNK", "_ZN7testing", "_ZGV", "_ZZ", "_ZT", "__"})
      ours |= v.name.starts_with(prefix);
    for (std::size_t i = o / 4; !ours && i <= (o + v.bytes - 1) / 4; ++i) shared[i] = 1;
  }
  memory.program       = found.begin;
  memory.is_variable   = reinterpret_cast<bool*>(shared.data());
  memory.program_bytes = bytes;
}

/// TENON_SIMT_TRACE in the environment: timelines of all launches, on stderr or, where it names an .svg, as pictures.
static char const* trace_target() {
  static char const* const target = std::getenv("TENON_SIMT_TRACE");
  return target;
}
static bool trace_wanted() { return trace_target() && *trace_target(); }
static void show(timeline const& t) {
  std::string const target = trace_target();
  if (!target.ends_with(".svg")) {
    std::cerr << t;
    return;
  }
  static int  count = 0;
  std::string path  = target;
  if (++count > 1) path.insert(path.size() - 4, "." + std::to_string(count));
  std::ofstream(path) << to_svg(t);
}

static bool run_launch(void (*body)(void const*), void const* argument, dim3 grid, dim3 shape, std::size_t shared_bytes,
                       check_options const& options, int arch, numerics sums, std::uint64_t launch) {
  open();
  find_statics();
  if (watch_statics) find_globals();
  auto& l             = the_launch();
  l.options           = options;
  l.alignment_matters = arch != 0;  // arch 0 reads and writes vectors with plain instructions
  l.sums              = sums;
  l.shape             = shape;
  l.shared_bytes      = std::min(shared_bytes, arena::shared_span);
  l.seed              = options.seed + 0x51ed270b * launch;
  l.without           = options.without ? number(*options.without) : 0;
  l.trace             = options.trace || trace_wanted();
  l.generation        = ++l.generations;
  l.found.clear();
  l.operations.clear();
  l.block_index.clear();
  left_at().clear();
  of_heap().clear(static_cast<std::uint32_t>(shape.count()));
  counting = options.count_wavefronts;
  counters().begin_launch();
  views_of_shared.clear();
  gridDim  = grid;
  blockDim = shape;
  std::vector<uint3>         blocks;
  std::vector<std::uint64_t> seeds;
  for (std::size_t const i : order_of(grid.count(), options, l.seed)) {
    blocks.push_back({static_cast<unsigned>(i % grid.x), static_cast<unsigned>(i / grid.x % grid.y),
                      static_cast<unsigned>(i / grid.x / grid.y)});
    seeds.push_back(l.seed + 0x2545f491 * i);
  }
  auto const        was = doing;
  fault_watch const watch;
  doing           = activity::runtime;
  bool const done = residents::instance().run(blocks, seeds, body, argument);
  doing           = was;
  return done;
}

}  // namespace checked

using namespace checked;

// ---- launches -----------------------------------------------------------------------------------------------------

static std::mutex& one_launch() {
  static auto* const m = new std::mutex;
  return *m;
}

outcome run_grid(void (*body)(void const*), void const* argument, dim3 grid, dim3 shape, std::size_t shared_bytes,
                 run_options const& options) {
  if (grid.count() == 0 || shape.count() == 0) return outcome::finished;
  std::lock_guard const lock(one_launch());
  static simt::session  no_session;
  simt::session&        session = options.session ? *options.session : no_session;
  report&               found   = session.found();
  if (shape.count() > 1024) {
    found.findings.push_back({kind::out_of_bounds, level::error, {}, {}, {}, "A block has more than 1024 threads.", 1});
    return outcome::faulty;
  }
  bool const done = run_launch(body, argument, grid, shape, shared_bytes, session.options(), options.arch,
                               numerics_of(options), found.launches);
  if (the_recorder().on()) {
    auto t = the_recorder().take();
    if (trace_wanted()) show(t);
    if (session.options().trace) found.timelines.push_back(std::move(t));
  }
  ++found.launches;
  found.accesses += counters().accesses;
  found.wavefronts += counters().wavefronts;
  found.ideal += counters().ideal;
  found.requests += counters().requests;
  found.sectors += counters().sectors;
  found.ideal_sectors += counters().ideal_sectors;
  for (auto const& [at, uses] : the_launch().operations)
    for (auto const& [name, times] : uses) found.add_operation({name, sites().named_site(at), times});
  the_launch().operations.clear();
  the_launch().found.move_to(found);
  report_files::instance().note(options.session, found);
  bool const faulty = !found.findings.empty();
  if (!options.session && faulty) {
    std::cerr << "tenon: a checked launch without a session: " << found << std::endl;
    found.findings.clear();
  }
  if (!options.session) found.accepted.clear();
  return !done ? outcome::deadlock : !options.session && faulty ? outcome::faulty : outcome::finished;
}

void detail::watch_static_shared() { watch_statics = true; }

void detail::prove_alive(void (*racy)(void const*)) {
  std::lock_guard const lock(one_launch());
  open();
  std::byte* const word = memory.allocate(sizeof(int), sizeof(int));
  bool const       done = run_launch(racy, &word, 1u, 64u, 0, {}, 90, numerics::f32, 0);
  if (!done || !the_launch().found.has(kind::write_after_write)) {
    std::fputs(
        "tenon: the checker of this program is dead: a planted race was not noticed.\n"
        "tenon: files with kernels must be compiled with -fsanitize=thread and linked without it; see "
        "cmake/tenon_add_checked_test.cmake\n",
        stderr);
    std::abort();
  }
  the_launch().found.clear();
  memory.release(word);
}

// ---- what the compiler calls --------------------------------------------------------------------------------------

/// A null pointer and what is near it: the access would end the program, so the launch ends before it.
constexpr std::uintptr_t      lowest = 65536;
[[gnu::noinline]] static void null_access(bool write, std::size_t bytes, site_number at) {
  runtime_scope const scope;
  auto&               b = running();
  b.found.add(kind::out_of_bounds, level::error,
              {at, std::string(write ? "write of " : "read of ") + std::to_string(bytes) + " bytes", b.my_name()}, {},
              "a null pointer", "The launch was given up here.");
  scheduler::instance().give_up();
}

/// An access that the compiler took for aligned and that is not: a vector behind a cast pointer. The processor itself
/// refuses a misaligned access of 16 bytes, so the launch ends before it.
[[gnu::noinline]] static void misaligned_access(void const* address, std::size_t bytes, bool write, site_number at) {
  runtime_scope const scope;
  if (running().alignment_matters) report_misaligned(address, bytes, bytes, write ? "vector store" : "vector load", at);
  if (bytes == 16) scheduler::instance().give_up();
}

template <bool Write>
[[gnu::noinline]] static void look_closely(std::size_t offset, std::size_t bytes, site_number at) {
  doing = activity::runtime;
  if (counting) count(offset, bytes, at);
  judge<Write>(offset, bytes, at);
  doing = activity::kernel;
}

/// Memory that is not watched, host code, and vectors that are not aligned.
template <bool Write, std::size_t Alignment>
[[gnu::noinline]] static void look_aside(void const* address, std::size_t offset, std::size_t bytes, site_number at) {
  if (offset == arena::nowhere) {
    if (reinterpret_cast<std::uintptr_t>(address) < lowest && bytes && doing == activity::kernel)
      null_access(Write, bytes, at);
  } else if (doing == activity::kernel) {
    misaligned_access(address, bytes, Write, at);
    look_closely<Write>(offset, bytes, at);
  } else if (Write && doing == activity::host) {
    memory.set(address, bytes);
  }
}

/// A word that the running thread has read or written already since it last met anyone costs no more than this.
template <bool Write, std::size_t Alignment = 1>
[[gnu::always_inline]] static inline void hook(void const* address, std::size_t bytes, void const* return_address) {
  std::size_t const offset = memory.find(address);
  site_number const at     = site_of(return_address);
  if (offset == arena::nowhere) {
    if (reinterpret_cast<std::uintptr_t>(address) < lowest) look_aside<Write, Alignment>(address, offset, bytes, at);
    return;
  }
  if (doing != activity::kernel || reinterpret_cast<std::uintptr_t>(address) % Alignment)
    return look_aside<Write, Alignment>(address, offset, bytes, at);
  if (Alignment >= 4 && bytes == 4 && !counting) {
    block_state const&  b          = running();
    cell const&         c          = memory.shadow[offset / 4];
    std::uint32_t const generation = offset >= arena::heap_begin ? b.launch_generation : b.block_generation;
    if (c.generation == generation && c.bytes == 15 &&
        (Write ? c.write == b.now && (c.read == b.now || c.read == 0) && !c.atomic : c.read == b.now))
      return;
  }
  look_closely<Write>(offset, bytes, at);
}

/// In global memory a volatile access is a relaxed atomic one (PTX ISA, "volatile operations"); a loop around it waits for
/// somebody. In shared memory it orders nothing and is judged as a plain one, or code that trusts lanes to run in
/// lock-step would pass.
template <bool Write, std::size_t Alignment>
static void volatile_hook(void* address, std::size_t bytes, void const* return_address) {
  std::size_t const offset = memory.find(address);
  if (offset == arena::nowhere || doing != activity::kernel)
    return hook<Write, Alignment>(address, bytes, return_address);
  site_number const at = site_of(return_address);
  if (in_shared(offset)) hook<Write, Alignment>(address, bytes, return_address);
  runtime_scope const scope;
  if (!in_shared(offset))
    atomic_step(address, bytes, Write ? atomic_access::store : atomic_access::load, memory_order::relaxed,
                simt::scope::device, at);
  else if (!Write) notice_polling(address, bytes, at);
}

}  // namespace tenon::simt

using tenon::simt::hook;
using tenon::simt::volatile_hook;

// Where the name does not say unaligned, the compiler has taken the address for a multiple of the size, or of 8.
#define TENON_SIMT_HOOK(BYTES)                                                                                      \
  void __tsan_read##BYTES(void* p) { hook<false, (BYTES < 8 ? BYTES : 8)>(p, BYTES, __builtin_return_address(0)); } \
  void __tsan_write##BYTES(void* p) { hook<true, (BYTES < 8 ? BYTES : 8)>(p, BYTES, __builtin_return_address(0)); } \
  void __tsan_unaligned_read##BYTES(void* p) { hook<false>(p, BYTES, __builtin_return_address(0)); }                \
  void __tsan_unaligned_write##BYTES(void* p) { hook<true>(p, BYTES, __builtin_return_address(0)); }                \
  void __tsan_volatile_read##BYTES(void* p) {                                                                       \
    volatile_hook<false, (BYTES < 8 ? BYTES : 8)>(p, BYTES, __builtin_return_address(0));                           \
  }                                                                                                                 \
  void __tsan_volatile_write##BYTES(void* p) {                                                                      \
    volatile_hook<true, (BYTES < 8 ? BYTES : 8)>(p, BYTES, __builtin_return_address(0));                            \
  }                                                                                                                 \
  void __tsan_unaligned_volatile_read##BYTES(void* p) { hook<false>(p, BYTES, __builtin_return_address(0)); }       \
  void __tsan_unaligned_volatile_write##BYTES(void* p) { hook<true>(p, BYTES, __builtin_return_address(0)); }       \
  void __tsan_read_write##BYTES(void* p) {                                                                          \
    hook<true, (BYTES < 8 ? BYTES : 8)>(p, BYTES, __builtin_return_address(0));                                     \
  }                                                                                                                 \
  void __tsan_unaligned_read_write##BYTES(void* p) { hook<true>(p, BYTES, __builtin_return_address(0)); }

// Atomics of host code: made as they are, judged as nothing. Kernels reach atomics through arch:: only.
#define TENON_SIMT_ATOMIC(BITS, T)                                                                                       \
  T    __tsan_atomic##BITS##_load(T const volatile* p, int) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }             \
  void __tsan_atomic##BITS##_store(T volatile* p, T v, int) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }                \
  T    __tsan_atomic##BITS##_exchange(T volatile* p, T v, int) { return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST); }   \
  T    __tsan_atomic##BITS##_fetch_add(T volatile* p, T v, int) { return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST); }   \
  T    __tsan_atomic##BITS##_fetch_sub(T volatile* p, T v, int) { return __atomic_fetch_sub(p, v, __ATOMIC_SEQ_CST); }   \
  T    __tsan_atomic##BITS##_fetch_and(T volatile* p, T v, int) { return __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST); }   \
  T    __tsan_atomic##BITS##_fetch_or(T volatile* p, T v, int) { return __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST); }     \
  T    __tsan_atomic##BITS##_fetch_xor(T volatile* p, T v, int) { return __atomic_fetch_xor(p, v, __ATOMIC_SEQ_CST); }   \
  T    __tsan_atomic##BITS##_fetch_nand(T volatile* p, T v, int) { return __atomic_fetch_nand(p, v, __ATOMIC_SEQ_CST); } \
  int  __tsan_atomic##BITS##_compare_exchange_strong(T volatile* p, T* c, T v, int, int) {                               \
     return __atomic_compare_exchange_n(p, c, v, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                                 \
  }                                                                                                                      \
  int __tsan_atomic##BITS##_compare_exchange_weak(T volatile* p, T* c, T v, int, int) {                                  \
    return __atomic_compare_exchange_n(p, c, v, 1, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                                  \
  }                                                                                                                      \
  T __tsan_atomic##BITS##_compare_exchange_val(T volatile* p, T c, T v, int, int) {                                      \
    __atomic_compare_exchange_n(p, &c, v, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                                        \
    return c;                                                                                                            \
  }

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_ignore_thread_begin() {}
void __tsan_ignore_thread_end() {}
void __tsan_vptr_read(void**) {}
void __tsan_vptr_update(void**, void*) {}
TENON_SIMT_HOOK(1)
TENON_SIMT_HOOK(2)
TENON_SIMT_HOOK(4)
TENON_SIMT_HOOK(8)
TENON_SIMT_HOOK(16)
void __tsan_read_range(void* p, unsigned long n) { hook<false>(p, n, __builtin_return_address(0)); }
void __tsan_write_range(void* p, unsigned long n) { hook<true>(p, n, __builtin_return_address(0)); }

TENON_SIMT_ATOMIC(8, unsigned char)
TENON_SIMT_ATOMIC(16, unsigned short)
TENON_SIMT_ATOMIC(32, unsigned int)
TENON_SIMT_ATOMIC(64, unsigned long)
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) {}

// The linker sends the program's memcpy, memmove and memset here (-Wl,--wrap).
void* __wrap_memcpy(void* to, void const* from, std::size_t n) {
  hook<false>(from, n, __builtin_return_address(0));
  hook<true>(to, n, __builtin_return_address(0));
  return __real_memcpy(to, from, n);
}
void* __wrap_memmove(void* to, void const* from, std::size_t n) {
  hook<false>(from, n, __builtin_return_address(0));
  hook<true>(to, n, __builtin_return_address(0));
  return __real_memmove(to, from, n);
}
void* __wrap_memset(void* to, int v, std::size_t n) {
  hook<true>(to, n, __builtin_return_address(0));
  return __real_memset(to, v, n);
}
void* __tsan_memcpy(void* to, void const* from, std::size_t n) { return __wrap_memcpy(to, from, n); }
void* __tsan_memmove(void* to, void const* from, std::size_t n) { return __wrap_memmove(to, from, n); }
void* __tsan_memset(void* to, int v, std::size_t n) { return __wrap_memset(to, v, n); }

}  // extern "C"
