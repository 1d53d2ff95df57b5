#pragma once
//  How far the predictions of one language model are from another's: what counts in the end of what tensors differ.
//
//  Perplexity alone hides changes that cancel out; the divergence and the agreement of the most likely tokens do not.
//  Source: Dutta et al., Accuracy is not all you need, 2024; the columns are those of llama.cpp's perplexity tool.
#include <tenon/core/status.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tenon {

/// log softmax of the logits, in double: x_i - max - log sum exp(x_j - max).
inline void log_softmax(std::span<float const> logits, std::vector<double>& out) {
  out.resize(logits.size());
  if (logits.empty()) return;
  double const top = *std::max_element(logits.begin(), logits.end());
  double       sum = 0;
  for (float const v : logits) sum += std::exp(static_cast<double>(v) - top);
  double const shift = top + std::log(sum);
  for (std::size_t i = 0; i < logits.size(); ++i) out[i] = static_cast<double>(logits[i]) - shift;
}

/// Position by position, of distributions p (the reference's) and q (the tested model's) over the vocabulary:
///
///   kl         sum p log(p / q), in nats: mean, its standard error, quantiles, largest
///   top1       share of positions whose most likely token is the same; the lowest id of equals
///   near_ties  positions where it is not, and p's two tokens are less than 0.05 nat apart: any rounding may swap those
///   nll        mean of log p - log q of the token that follows, and its paired standard error
///   delta_p    root mean square of q - p of that token
///
/// Positions whose logits are not all finite are counted as `broken` and are in none of these.
/// Test tests/precision/logits_error_test.cpp.   Page docs/align.md.
class logits_error {
 public:
  static constexpr double       tie      = .05;  // nats
  static constexpr std::int32_t no_token = -1;

  /// Logits of one position, (vocabulary); `next`: the token that follows, or no_token. shape_mismatch(tested) where the
  /// vocabularies differ, out_of_range(next) where it is no token of them.
  status add(std::span<float const> reference, std::span<float const> tested, std::int32_t next = no_token) {
    if (reference.size() != tested.size() || reference.empty())
      return {errc::shape_mismatch, "logits_error", "tested", static_cast<std::int64_t>(tested.size()),
              static_cast<std::int64_t>(reference.size())};
    if (next < no_token || next >= static_cast<std::int64_t>(reference.size()))
      return {errc::out_of_range, "logits_error", "next", next, static_cast<std::int64_t>(reference.size())};
    auto const finite = [](std::span<float const> x) {
      return std::all_of(x.begin(), x.end(), [](float v) { return std::isfinite(v); });
    };
    if (!finite(reference) || !finite(tested)) {
      ++broken_;
      return {};
    }
    log_softmax(reference, p_);
    log_softmax(tested, q_);
    double kl = 0;
    for (std::size_t i = 0; i < p_.size(); ++i) kl += std::exp(p_[i]) * (p_[i] - q_[i]);
    kl_.push_back(static_cast<float>(kl));
    kl_sum_ += kl, kl_squares_ += kl * kl;
    auto const first = [](std::vector<double> const& x) { return std::max_element(x.begin(), x.end()) - x.begin(); };
    auto const a = static_cast<std::size_t>(first(p_)), b = static_cast<std::size_t>(first(q_));
    agreed_ += a == b;
    near_ties_ += a != b && p_[a] - p_[b] < tie;
    if (next == no_token) return {};
    auto const   t    = static_cast<std::size_t>(next);
    double const loss = p_[t] - q_[t], change = std::exp(q_[t]) - std::exp(p_[t]);
    ++followed_;
    nll_ += loss, nll_squares_ += loss * loss, delta_p_ += change * change;
    return {};
  }

  std::int64_t count() const { return static_cast<std::int64_t>(kl_.size()); }
  std::int64_t broken() const { return broken_; }
  double       mean_kl() const { return mean(kl_sum_, count()); }
  double       kl_standard_error() const { return standard_error(kl_sum_, kl_squares_, count()); }
  /// The divergence that a share `q` of the positions do not exceed; 1: the largest.
  double kl_quantile(double q) const {
    if (kl_.empty()) return 0;
    std::vector<float> sorted = kl_;
    auto const         n      = static_cast<double>(sorted.size());
    auto const         at     = static_cast<std::size_t>(std::clamp(std::ceil(q * n) - 1, 0., n - 1));
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(at), sorted.end());
    return static_cast<double>(sorted[at]);
  }
  double       top1_agreement() const { return mean(static_cast<double>(agreed_), count()); }
  std::int64_t near_ties() const { return near_ties_; }
  /// Share of positions whose most likely token is the same, or a near tie's other one.
  double top1_agreement_but_ties() const { return mean(static_cast<double>(agreed_ + near_ties_), count()); }
  double nll_difference() const { return mean(nll_, followed_); }
  double nll_standard_error() const { return standard_error(nll_, nll_squares_, followed_); }
  double rms_delta_p() const { return std::sqrt(mean(delta_p_, followed_)); }

 private:
  static double mean(double sum, std::int64_t n) { return n > 0 ? sum / static_cast<double>(n) : 0; }
  static double standard_error(double sum, double squares, std::int64_t n) {
    if (n < 2) return 0;
    double const m = mean(sum, n);
    return std::sqrt(std::max(0., mean(squares, n) - m * m) / static_cast<double>(n - 1));
  }

  std::vector<float>  kl_;
  std::vector<double> p_, q_;
  std::int64_t        broken_ = 0, agreed_ = 0, near_ties_ = 0, followed_ = 0;
  double              kl_sum_ = 0, kl_squares_ = 0, nll_ = 0, nll_squares_ = 0, delta_p_ = 0;
};

}  // namespace tenon
