#pragma once
//  A kernel onto this machine's cores.
#include <tenon/core/architecture.hpp>
#include <tenon/core/context.hpp>
#include <tenon/core/status.hpp>
#include <tenon/simt/launch.hpp>

#include <cstddef>

namespace tenon::inline host::arch {

using simt::dim3;

struct launch_shape {
  dim3        grid              = {};
  dim3        block             = {};
  std::size_t shared_bytes      = 0;
  double      work_per_block    = 0;      // scalar operations; decides how many cores to wake
  bool        overlaps_previous = false;  // the kernel waits for earlier launches itself (dependency.cuh)
};

/// Called with every launch where it is set: for tables of what kernels ask for. Not for setting while kernels run.
inline void (*launch_observer)(char const* primitive, int arch, launch_shape const& shape) = nullptr;

/// Runs kernel(params) to its end.
template <class Params>
status launch(char const* primitive, context const& where, launch_shape const& shape, void (*kernel)(Params const),
              Params const& params) {
  if (architecture const as{where.arch}; shape.shared_bytes > as.shared_bytes())
    return {errc::launch_failed, primitive, "shared_bytes", static_cast<std::int64_t>(shape.shared_bytes),
            static_cast<std::int64_t>(as.shared_bytes())};
  if (launch_observer) launch_observer(primitive, where.arch, shape);
  struct call {
    void (*kernel)(Params const);
    Params const* params;
  } const c{kernel, &params};
  auto const ended = simt::run_grid(
      [](void const* p) {
        auto const& self = *static_cast<call const*>(p);
        self.kernel(*self.params);
      },
      &c, shape.grid, shape.block, shape.shared_bytes,
      {where.threads, shape.work_per_block, where.session, where.arch});
  if (ended != simt::outcome::finished) return {errc::launch_failed, primitive, simt::to_string(ended)};
  return {};
}

}  // namespace tenon::inline host::arch
