#pragma once
//  Units of a matrix's inputs, heads or neurons: which stay, and the matrix fitted to those. What cuts of heads and widths share.
//
//  Source: An et al., Fluctuation-based adaptive structured pruning (FLAP), 2024, for which units matter; the fit is
//  tenon/compress/least_squares.hpp.
#include <tenon/compress/gram.hpp>
#include <tenon/core/tensor_view.hpp>

#include <cstdint>
#include <optional>
#include <random>
#include <vector>

namespace tenon::engine {

/// How units are cut.
struct unit_options {
  std::optional<std::uint64_t>
       drawn_by;     // a seed: units are drawn, a control of what scores are worth; none: by scores
  bool heal = true;  // fit the matrix to what stays
};

/// How much each unit of a model matters, matrix after matrix.
class unit_scorer {
 public:
  explicit unit_scorer(unit_options const& how) {
    if (how.drawn_by) draw_.emplace(*how.drawn_by);
  }
  /// Of inputs of w (rows, columns), `unit` columns each.
  std::vector<double> operator()(tensor_view<float const, 2> w, gram_statistics const& gram, index_t unit);

 private:
  std::optional<std::mt19937_64> draw_;
};

struct fitted_columns {
  std::vector<float> values;                 // (rows, columns that stay)
  double             plain = 0, fitted = 0;  // relative error of the output on the texts, without and with the fit
};

/// w on the columns `kept` alone, `heal`: fitted to the output that it had with all. `bias` takes what is constant, where it is one
/// (rows) and not no view.
fitted_columns fit_columns(tensor_view<float const, 2> w, tensor_view<float, 1> bias, gram_statistics const& gram,
                           std::vector<index_t> const& kept, bool heal);

}  // namespace tenon::engine
