#include "engine/compress/unit_cut.hpp"

#include <tenon/compress/least_squares.hpp>
#include <tenon/compress/width_scores.hpp>
#include <tenon/core/throw_if.hpp>

#include <cmath>
#include <cstddef>

namespace tenon::engine {

std::vector<double> unit_scorer::operator()(tensor_view<float const, 2> w, gram_statistics const& gram, index_t unit) {
  std::vector<double> scores;
  throw_if(width_scores(scores, w, gram, width_score::flap, unit));
  if (draw_)
    for (double& s : scores) s = static_cast<double>((*draw_)() >> 11);
  return scores;
}

fitted_columns fit_columns(tensor_view<float const, 2> w, tensor_view<float, 1> bias, gram_statistics const& gram,
                           std::vector<index_t> const& kept, bool heal) {
  index_t const  rows = w.extent[0], columns = static_cast<index_t>(kept.size());
  fitted_columns f;
  f.values.resize(static_cast<std::size_t>(rows * columns));
  refit_report report;
  throw_if(refit_survivors(dense(f.values.data(), rows, columns), heal ? bias : tensor_view<float, 1>{}, w, gram, kept,
                           {.fit = heal}, &report));
  std::vector<double> all;
  all.reserve(static_cast<std::size_t>(w.size()));
  for (index_t i = 0; i < rows; ++i)
    for (index_t j = 0; j < w.extent[1]; ++j) all.push_back(static_cast<double>(w(i, j)));
  double const whole = output_error(gram, all);
  auto const   part  = [&](double e) { return whole > 0 ? std::sqrt(e / whole) : 0; };
  f.plain = part(report.before), f.fitted = part(report.after);
  return f;
}

}  // namespace tenon::engine
