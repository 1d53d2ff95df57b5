#include "engine/schedule/cost_model.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "engine/error.hpp"

namespace tenon::engine {

std::int64_t prompt_tokens_within(cost_model const& model, step_load const& load, std::int64_t first,
                                  std::int64_t limit, double target) {
  auto const fits = [&](std::int64_t count) {
    step_load with = load;
    with.add(first, count, 1);
    return model.seconds(with) <= target;
  };
  std::int64_t low = 0, high = std::max<std::int64_t>(limit, 0);  // low fits or is 0, nothing beyond high does
  while (low < high) {
    std::int64_t const middle = low + (high - low + 1) / 2;
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

namespace {

// The terms of a step: 1, max(knee, tokens), sequences, rows, keys, pairs; `weights` is token * knee.
constexpr std::size_t terms = 6;
using vector_of_terms       = std::array<double, terms>;

vector_of_terms terms_of(step_load const& l, double knee) {
  return {1,
          std::max(knee, static_cast<double>(l.tokens)),
          static_cast<double>(l.sequences),
          static_cast<double>(l.rows),
          static_cast<double>(l.keys),
          static_cast<double>(l.pairs)};
}

// Least squares of relative errors: normal equations of rows (terms / seconds) against 1.
struct normal_equations {
  std::array<vector_of_terms, terms> a{};
  vector_of_terms                    b{};
  double                             count = 0;

  void add(vector_of_terms const& x) {
    for (std::size_t i = 0; i < terms; ++i) {
      for (std::size_t j = 0; j < terms; ++j) a[i][j] += x[i] * x[j];
      b[i] += x[i];
    }
    count += 1;
  }
};

// The solution with only the terms of `mask`, scaled columns, by Cholesky; false where they depend on each other or a
// coefficient is negative.
bool solve(normal_equations const& e, unsigned mask, vector_of_terms& x) {
  std::array<std::size_t, terms> column{};
  std::size_t                    n = 0;
  for (std::size_t i = 0; i < terms; ++i)
    if (mask >> i & 1U) column[n++] = i;

  std::array<vector_of_terms, terms> l{};
  vector_of_terms                    scale{}, y{};
  for (std::size_t i = 0; i < n; ++i) {
    if (e.a[column[i]][column[i]] <= 0) return false;
    scale[i] = 1 / std::sqrt(e.a[column[i]][column[i]]);
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = e.a[column[i]][column[j]] * scale[i] * scale[j];
      for (std::size_t k = 0; k < j; ++k) sum -= l[i][k] * l[j][k];
      if (i == j && sum < 1e-11) return false;
      l[i][j] = i == j ? std::sqrt(sum) : sum / l[j][j];
    }
    double sum = e.b[column[i]] * scale[i];
    for (std::size_t k = 0; k < i; ++k) sum -= l[i][k] * y[k];
    y[i] = sum / l[i][i];
  }
  x = {};
  for (std::size_t i = n; i-- > 0;) {
    double sum = y[i];
    for (std::size_t k = i + 1; k < n; ++k) sum -= l[k][i] * x[column[k]] / scale[k];
    x[column[i]] = sum / l[i][i] * scale[i];
    if (x[column[i]] < 0) return false;
  }
  return true;
}

double error_sum(normal_equations const& e, vector_of_terms const& x) {
  double sum = e.count;
  for (std::size_t i = 0; i < terms; ++i) {
    sum -= 2 * x[i] * e.b[i];
    for (std::size_t j = 0; j < terms; ++j) sum += x[i] * e.a[i][j] * x[j];
  }
  return sum;
}

// Best non-negative solution for a given knee: all sets of terms are tried, there are 64. Fewer terms win a tie.
double solve_with_knee(std::span<measured_step const> steps, double knee, vector_of_terms& best) {
  normal_equations e;
  for (measured_step const& s : steps) {
    if (!(s.seconds > 0)) continue;
    vector_of_terms x = terms_of(s.load, knee);
    for (double& v : x) v /= s.seconds;
    e.add(x);
  }
  best          = {};
  double least  = e.count;
  double margin = 1e-12 * e.count;
  for (unsigned mask = 1; mask < 1U << terms; ++mask) {
    vector_of_terms x{};
    if (!solve(e, mask, x)) continue;
    double const sum = error_sum(e, x);
    if (sum < least - margin) least = sum, best = x;
  }
  return least;
}

}  // namespace

cost_model fit_cost_model(std::span<measured_step const> steps) {
  std::vector<double> knees{0};
  double              largest = 1;
  for (measured_step const& s : steps) largest = std::max(largest, static_cast<double>(s.load.tokens));
  for (double k = 1; k < largest * 1.3; k *= 1.25) knees.push_back(k);

  vector_of_terms best{};
  double          least = std::numeric_limits<double>::infinity(), knee = 0;
  auto const      attempt = [&](double k) {
    vector_of_terms x{};
    double const    sum = solve_with_knee(steps, k, x);
    if (sum < least) least = sum, best = x, knee = k;
    return sum;
  };
  for (double const k : knees) attempt(k);
  // Finer, between the neighbours of the best one.
  double low = knee / 1.25, high = std::max(knee * 1.25, 1.);
  for (int i = 0; i < 40 && high - low > 1e-3 * high; ++i) {
    double const a = low + (high - low) / 3, b = high - (high - low) / 3;
    if (attempt(a) <= attempt(b)) high = b;
    else low = a;
  }
  return {.step     = best[0],
          .weights  = best[1] * knee,
          .token    = best[1],
          .sequence = best[2],
          .row      = best[3],
          .key      = best[4],
          .pair     = best[5]};
}

fit_error error_of(cost_model const& model, std::span<measured_step const> steps) {
  fit_error   error;
  std::size_t count = 0;
  for (measured_step const& s : steps) {
    if (!(s.seconds > 0)) continue;
    double const e = std::abs(model.seconds(s.load) / s.seconds - 1);
    error.mean += e, error.worst = std::max(error.worst, e), ++count;
  }
  if (count != 0) error.mean /= static_cast<double>(count);
  return error;
}

cost_model cost_of(roofline const& r) {
  return {.step    = r.overhead,
          .weights = r.weight_bytes / r.bandwidth,
          .token   = 2 * r.parameters / r.flops,
          .key     = r.kv_bytes / r.bandwidth,
          .pair    = r.pair_flops / r.flops};
}

// Shapes of Llama 3 on an H200: 4.3 of 4.8 TB/s, 650 TF/s in bf16 and 1,150 in fp8. pair: 4 operations for each value of a
// query head in each layer.
roofline named_roofline(std::string const& name) {
  constexpr double                                  kib = 1024, giga = 1e9, tera = 1e12;
  constexpr double                                  memory  = 141 * giga;
  constexpr double                                  pair_8b = 4. * 32 * 128 * 32, pair_1b = 4. * 32 * 64 * 16;
  static constexpr std::pair<char const*, roofline> known[] = {
      {"llama-8b-bf16-h200", {1e-4, 15.009 * giga, 7.5045 * giga, 128 * kib, 4.3 * tera, 650 * tera, pair_8b, memory}},
      {"llama-8b-fp8-h200", {1e-4, 8.030 * giga, 7.5045 * giga, 64 * kib, 4.3 * tera, 1150 * tera, pair_8b, memory}},
      {"llama-8b-int4-h200", {1e-4, 4.649 * giga, 7.5045 * giga, 128 * kib, 4.3 * tera, 650 * tera, pair_8b, memory}},
      {"llama-1b-bf16-h200", {1e-4, 2.471 * giga, 1.2358 * giga, 32 * kib, 4.3 * tera, 650 * tera, pair_1b, memory}},
  };
  std::string names;
  for (auto const& [key, shape] : known) {
    if (name == key) return shape;
    names += (names.empty() ? "" : ", ") + std::string(key);
  }
  throw error("cost model: unknown name: found " + name.substr(0, 80) + ", expected one of " + names);
}

cost_model named_cost_model(std::string const& name) { return cost_of(named_roofline(name)); }

}  // namespace tenon::engine
