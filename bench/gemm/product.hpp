#pragma once
//  What the GEMM benchmark measures: layers, formats of their weights, and calls that multiply by them.
#include <tenon/core/context.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>

#include <functional>
#include <string>
#include <typeinfo>
#include <vector>

#include "../support/arena.hpp"
#include "../support/measure.hpp"
#include "../support/timing.hpp"

namespace bench {

/// A linear layer: n outputs, k inputs. `gated` has a gate and an up of n / 2 rows each.
struct layer {
  char const* model;
  char const* name;
  index_t     n, k;
  bool        gated = false;
};

inline std::string to_string(layer const& l) { return std::string(l.model) + " " + l.name; }

/// Ways to compute one product; the first is what a caller gets who asks for nothing.
struct product : computation {
  std::int64_t weight_bytes = 0;  // of moved.bytes
  // Which plan the first way follows where K may be split as that context allows.
  std::function<std::string(tenon::context const&)> plan = {};
};

/// A format of weights and inputs, how important its figures are (0: first), and what stands against it.
struct format {
  std::string name;   // "w4a16 g128"
  std::string rival;  // the same product by cuBLASLt: "bf16"
  std::string unit;   // whose matrix rate bounds it: "bf16"
  int         importance;
  bool        gated;  // gate and up layers only, with the epilogue of SwiGLU
  /// `every_plan`: ways for each policy of the menu and several splits of K, too.
  std::function<product(arena&, layer const&, index_t m, bool every_plan)> make;
  index_t                                                                  least_rows = 1;  // not measured for fewer
};

void add_16_bit_formats(std::vector<format>&);
void add_f32_formats(std::vector<format>&);
void add_int4_formats(std::vector<format>&);
void add_int8_formats(std::vector<format>&);
void add_fp8_formats(std::vector<format>&);
void add_two_step_formats(std::vector<format>&);

/// cuBLASLt's own algorithms for a product, in the order of its heuristic; no ways where it has none, or is not there.
/// type: bf16 f16 f32 tf32, bf16 + swiglu (a kernel gates what the product left), fp8 (scales per row and per column), fp8
///       block (128 x 128 and 1 x 128), int8 (into int32)
product cublaslt_product(arena&, std::string const& type, index_t m, index_t n, index_t k, int algorithms);

/// Operations per second of a product of 8192 x 8192 x 8192 by cuBLASLt; 0 where it is not there. It also brings the clock to
/// where it stays.
inline double matrix_rate(track& on, arena& memory, std::string const& type, int algorithms) {
  memory.reset();
  auto const p = cublaslt_product(memory, type, 8192, 8192, 8192, algorithms);
  if (p.ways.empty()) return 0;
  auto                 runners = shortlist(on, p, 2);
  std::vector<runner*> all;
  for (auto& r : runners) all.push_back(&r);
  on.race(all, 0.5);
  double const seconds = best_of(runners);
  return seconds > 0 ? static_cast<double>(p.moved.operations) / seconds : 0;
}

/// Uniform inputs, the weights of a layer and the output, named so that all formats of one element share them.
template <class T>
T* dense_operand(arena& memory, std::string const& what, index_t rows, index_t columns, int set, float bound) {
  std::string const name =
      numbered(what + typeid(T).name() + std::to_string(rows) + "x" + std::to_string(columns), set);
  return memory.operand<T>(name, rows * columns, [&](T* to) {
    fill(to, rows * columns, static_cast<std::uint32_t>(std::hash<std::string>{}(name)), uniform<T>{bound});
  });
}
/// Room for an output; nobody reads it.
template <class T>
T* output_operand(arena& memory, index_t rows, index_t columns, int set) {
  std::string const of = std::to_string(rows) + "x" + std::to_string(columns) + " of " + std::to_string(sizeof(T));
  return memory.operand<T>(numbered(of, set), rows * columns, [](T*) {});
}

}  // namespace bench
