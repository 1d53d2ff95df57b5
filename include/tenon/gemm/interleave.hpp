#pragma once
//  The rows of a gate and an up matrix in the order that a pairwise epilogue wants them: groups of eight, gate first.
//
//    B rows   0..7 gate 0..7    8..15 up 0..7    16..23 gate 8..15    24..31 up 8..15    ...
//
//  Once, when weights are loaded, on the host's memory; a quantised row or a bias (one column) goes the same way.
#include <tenon/core/contract.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/op/epilogue.hpp>

namespace tenon {

/// b[gate_row(j), :] = gate[j, :], b[up_row(j), :] = up[j, :] for j < n; the rows of a last, partial group are zeros
///
/// b     (paired_rows(n), k)  any element, any strides; overlaps neither input
/// gate  (n, k)               the same element, any strides
/// up    (n, k)               the same element, any strides
///
/// Cost     one pass; no allocation.
/// Errors   shape_mismatch(n, k, n of b), misaligned, out_of_range.
/// Test     tests/gemm/interleave_test.cpp.   Page docs/operators/gemm.md.
template <class T, class Gate, class Up>
status interleave(tensor_view<T, 2> b, tensor_view<Gate, 2> gate, tensor_view<Up, 2> up) {
  static_assert(std::is_same_v<T, std::remove_const_t<Gate>> && std::is_same_v<T, std::remove_const_t<Up>>,
                "tenon::interleave: b, gate and up must have one element type");
  extent n{"n"}, k{"k"}, rows{"n of b"};
  TENON_TRY(
      contract{"interleave"}
          .shape(gate, n, k)
          .shape(up, n, k)
          .shape(b, rows, k)
          .require(rows.value == paired_rows(n.value), errc::shape_mismatch, "n of b", rows.value, paired_rows(n.value))
          .addressable(b, "b")
          .addressable(gate, "gate")
          .addressable(up, "up")
          .result);
  for (index_t j = 0; j < rows.value / 2; ++j)
    for (index_t i = 0; i < k.value; ++i) {
      b(gate_row(j), i) = j < n.value ? gate(j, i) : T{};
      b(up_row(j), i)   = j < n.value ? up(j, i) : T{};
    }
  return {};
}

/// The same for vectors over the rows: a bias or a scale of gate and up.
template <class T, class Gate, class Up>
status interleave(tensor_view<T, 1> b, tensor_view<Gate, 1> gate, tensor_view<Up, 1> up) {
  auto const column = []<class E>(tensor_view<E, 1> const& v) {
    return tensor_view<E, 2>{v.data, {v.extent[0], 1}, {v.stride[0], 1}};
  };
  return interleave(column(b), column(gate), column(up));
}

}  // namespace tenon
