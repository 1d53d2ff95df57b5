#pragma once
//  The definitions of token_logprobs and top_logprobs, in double precision and by sorting.
#include <tenon/core/tensor_view.hpp>
#include <tenon/sampling/sample_ref.hpp>

#include <cmath>
#include <cstdint>
#include <limits>

namespace tenon::ref {

/// ln softmax(row)[id]; NaN where no logit is above -infinity and for an id outside the row. NaN logits count as that.
template <class Logit>
double log_probability(tensor_view<Logit, 1> row, index_t id) {
  double const infinity = std::numeric_limits<double>::infinity();
  double       largest = -infinity, sum = 0;
  for (index_t i = 0; i < row.extent[0]; ++i)
    if (double(row(i)) > largest) largest = double(row(i));
  if (!(largest > -infinity) || id < 0 || id >= row.extent[0]) return std::numeric_limits<double>::quiet_NaN();
  auto const below = [&](index_t i) { return double(row(i)) == largest ? 0 : double(row(i)) - largest; };
  for (index_t i = 0; i < row.extent[0]; ++i)
    if (!std::isnan(row(i))) sum += std::exp(below(i));
  return std::isnan(row(id)) ? -infinity : below(id) - std::log(sum);
}

/// Row r of a matrix.
template <class Element>
tensor_view<Element, 1> row_of(tensor_view<Element, 2> const& m, index_t r) {
  return {&m(r, 0), {m.extent[1]}, {m.stride[1]}};
}

/// logprobs[r] = ln softmax(logits[r,:])[ids[r]]
template <class Logit, class Id>
void token_logprobs(tensor_view<double, 1> logprobs, tensor_view<Logit, 2> logits, tensor_view<Id, 1> ids) {
  for (index_t r = 0; r < logits.extent[0]; ++r) logprobs(r) = log_probability(row_of(logits, r), ids(r));
}

/// The first K of every row in order; -1 and -infinity past the vocabulary
template <class Logit>
void top_logprobs(tensor_view<std::int32_t, 2> ids, tensor_view<double, 2> logprobs, tensor_view<Logit, 2> logits) {
  for (index_t r = 0; r < logits.extent[0]; ++r) {
    auto const order = order_of_logits(row_of(logits, r));
    for (index_t i = 0; i < ids.extent[1]; ++i) {
      bool const there = i < logits.extent[1];
      ids(r, i)        = there ? order[static_cast<std::size_t>(i)] : -1;
      logprobs(r, i) = there ? log_probability(row_of(logits, r), ids(r, i)) : -std::numeric_limits<double>::infinity();
    }
  }
}

}  // namespace tenon::ref
