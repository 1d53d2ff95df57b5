//  A program of its own for the tour, built with the checker (tenon_add_checked_program): RMSNorm of one row by one block,
//  in plain CUDA, without the barrier that it needs and with it. Prints what the checker says as JSON, one line per run.
#include <tenon/simt/check.hpp>
#include <tenon/simt/cuda.hpp>
#include <tenon/simt/report_json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

namespace {

constexpr unsigned width = 128;

template <bool Barrier>
__global__ void normalise(float* y, float const* x) {
  __shared__ float squares[4];  // of each warp
  unsigned const   t   = threadIdx.x;
  float            sum = x[t] * x[t];
  for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(~0u, sum, lanes);
  if (t % 32 == 0) squares[t / 32] = sum;
  if (Barrier) __syncthreads();
  float const all = squares[0] + squares[1] + squares[2] + squares[3];
  y[t]            = x[t] * rsqrtf(all / width + 1e-5f);
}

/// Of y, against the same in double.
double largest_error(std::vector<float> const& x, std::vector<float> const& y) {
  double squares = 0, worst = 0;
  for (float const v : x) squares += static_cast<double>(v) * static_cast<double>(v);
  for (std::size_t i = 0; i < x.size(); ++i) {
    double const e =
        std::fabs(static_cast<double>(y[i]) - static_cast<double>(x[i]) / std::sqrt(squares / width + 1e-5));
    if (!(e <= worst)) worst = e;
  }
  return worst;
}

/// Without the folders of the machine that it was built on.
void cut_folders(std::string& path) { path.erase(0, path.rfind('/') + 1); }

}  // namespace

int main() {
  using namespace tenon::simt;
  std::vector<float> numbers;
  for (unsigned i = 0; i < width; ++i) numbers.push_back(static_cast<float>(static_cast<int>(i % 7) - 2));
  buffer<float> const x(numbers);
  for (bool const barrier : {false, true})
    for (schedule const order : {schedule::in_order, schedule::reversed, schedule::random}) {
      buffer<float> y(width);
      report found = check({.seed = 1, .schedule = order}, barrier ? normalise<true> : normalise<false>, 1, width, 0,
                           y.data(), x.data());
      for (finding& f : found.findings) {
        for (place* const p : {&f.here, &f.there}) cut_folders(p->file);
        for (finding& more : f.also)
          for (place* const p : {&more.here, &more.there}) cut_folders(p->file);
      }
      std::ostringstream text;
      text << found;
      double const error = largest_error(numbers, y.values());
      std::string  line;
      {
        detail::json_writer o(line, '}');
        o.truth("barrier", barrier);
        o.text("text", text.str());
        char text_of_error[32];
        std::snprintf(text_of_error, sizeof text_of_error, "%.3g", error);
        o.key("largest_error") += std::isfinite(error) ? text_of_error : "null";
        detail::put(o.key("report"), found);
      }
      std::printf("%s\n", line.c_str());
    }
}
