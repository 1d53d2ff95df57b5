//  `tenon perplexity --kv-prefix`: what compression of the KV cache costs and frees. Each text is fed twice, over all
//  of its keys and over those that are left once its prefix has been compressed; what follows the prefix is compared.
#include <tenon/core/throw_if.hpp>
#include <tenon/precision/tensor_error.hpp>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/commands/requests.hpp"
#include "engine/commands/scored_texts.hpp"
#include "engine/commands/setup.hpp"
#include "engine/error.hpp"
#include "engine/generation/compressed_cache.hpp"
#include "engine/generation/token_selection.hpp"
#include "engine/program/output.hpp"

namespace tenon::engine {

namespace {

struct kv_score_of_texts {
  score                     total;
  std::vector<tensor_error> attention;  // (layers): outputs, in front of the output projection
  std::int64_t              texts = 0, prefix_tokens = 0;
  compression_counts        counts;

  /// Mean over the layers that attend.
  double attention_error() const {
    double sum = 0;
    int    n   = 0;
    for (tensor_error const& e : attention)
      if (e.count() > 0) sum += e.rel_l2(), ++n;
    return n > 0 ? sum / n : 0;
  }
};

/// The tokens behind a prefix, one text after the other, with all keys and with those that are left.
class compressed_scorer {
 public:
  compressed_scorer(decoder& tested, decoder& reference, model_config const& config, scorer_options const& limits,
                    int runs, kv_flags const& kv)
      : tested_(tested), reference_(reference), config_(config), limits_(limits), runs_(runs), kv_(kv) {
    all_.attention.resize(static_cast<std::size_t>(config.layers), tensor_error(spacing_of<float>));
  }

  void add(std::span<std::int32_t const> ids) {
    auto const prefix = static_cast<std::size_t>(*kv_.prefix);
    if (ids.size() > static_cast<std::size_t>(limits_.max_length))
      ids = ids.first(static_cast<std::size_t>(limits_.max_length));
    if (ids.size() < prefix + 2) return;  // nothing is fed behind the prefix, and compared
    feed_reference(ids, prefix);
    feed_tested(ids, prefix);
    ++all_.texts, all_.prefix_tokens += static_cast<std::int64_t>(prefix);
  }

  kv_score_of_texts const& result() const { return all_; }

 private:
  void feed_reference(std::span<std::int32_t const> ids, std::size_t prefix) {
    expected_.assign(static_cast<std::size_t>(config_.layers), {});
    logits_.clear();
    stage_reader const look(reference_, [&](tap_site const& s, std::vector<float>& values) {
      if (s.what != stage::attention) return false;
      auto& all = expected_[static_cast<std::size_t>(s.layer)];
      all.insert(all.end(), values.begin(), values.end());
      return false;
    });
    visit_logits(reference_, ids.first(ids.size() - 1), limits_, [&](std::size_t i, std::span<float const> l) {
      if (i >= prefix) logits_.insert(logits_.end(), l.begin(), l.end());
    });
  }

  void feed_tested(std::span<std::int32_t const> ids, std::size_t prefix) {
    compressed_cache cache(tested_, config_, limits_, runs_, kv_.how);
    cache.feed(ids.first(prefix), compressed_cache::wanted::last);
    cache.compress();

    std::vector<std::vector<float>> attended(static_cast<std::size_t>(config_.layers));  // of the last pass
    std::vector<double>             p;
    std::size_t                     first = prefix, fed = 0;  // tokens in front of a step, and of it
    auto const                      watch = [&](tap_site const& s, std::vector<float>& values) {
      if (s.what == stage::attention) attended[static_cast<std::size_t>(s.layer)] = values, fed = s.rows;
      return false;
    };
    auto const visit = [&](std::size_t i, std::span<float const> l) {
      if (i == first) compare(attended, first, fed), first += fed;
      log_softmax(l, p);
      all_.total.nll -= p[static_cast<std::size_t>(ids[i + 1])], ++all_.total.tokens;
      throw_if(all_.total.against.add(std::span<float const>(logits_).subspan((i - prefix) * l.size(), l.size()), l,
                                      ids[i + 1]));
    };
    // Where a query may ask for more, tokens come one by one, as they do when they are drawn.
    auto const        rest  = ids.subspan(prefix, ids.size() - 1 - prefix);
    std::size_t const piece = kv_.how.rebuild ? 1 : rest.size();
    for (std::size_t at = 0; at < rest.size(); at += piece)
      cache.feed(rest.subspan(at, piece), compressed_cache::wanted::all, visit, watch);
    all_.counts.add(cache.counts());
  }

  void compare(std::vector<std::vector<float>> const& attended, std::size_t first, std::size_t count) {
    for (std::size_t i = 0; i < attended.size(); ++i) {
      if (attended[i].empty()) continue;
      std::size_t const width = attended[i].size() / count;
      throw_if(all_.attention[i].add(std::span<float const>(expected_[i]).subspan(first * width, count * width),
                                     std::span<float const>(attended[i])));
    }
  }

  decoder &                       tested_, &reference_;
  model_config const&             config_;
  scorer_options                  limits_;
  int                             runs_;
  kv_flags                        kv_;
  kv_score_of_texts               all_;
  std::vector<std::vector<float>> expected_;  // (layers): attention outputs of all positions
  std::vector<float>              logits_;    // of the positions behind the prefix
};

double share_of(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

std::string json_of(kv_score_of_texts const& r, kv_flags const& kv) {
  compression_counts const& c = r.counts;
  nlohmann::ordered_json    j;
  j["tokens"] = r.total.tokens, j["nll"] = r.total.mean_nll(), j["perplexity"] = r.total.perplexity();
  j["kl"] = r.total.against.mean_kl(), j["kl_stderr"] = r.total.against.kl_standard_error();
  j["top1_agreement"] = r.total.against.top1_agreement(), j["attention_error"] = r.attention_error();
  j["texts"] = r.texts, j["prefix"] = *kv.prefix, j["score"] = name_of(kv.how.score),
  j["budget"] = name_of(kv.how.budget);
  j["kept"] = share_of(c.kept, c.tokens), j["bytes"] = c.bytes, j["head_pages"] = c.pages;
  j["freed_head_pages"] = c.freed_pages, j["freed_bytes"] = c.freed_bytes, j["ideal_bytes"] = c.ideal_bytes;
  j["freed_of_ideal"] = c.ideal_bytes > 0 ? share_of(c.freed_bytes, c.ideal_bytes) : 1.;
  j["summary_bytes"] = c.summary_bytes, j["rebuilt_tokens"] = c.rebuilt, j["rebuildings"] = c.rebuildings;
  j["rebuilt_bytes"]   = c.rebuilt_bytes;
  j["repeated_tokens"] = c.repeated, j["rebuilt_of_prefill"] = share_of(c.rebuilt, r.prefix_tokens);
  return to_line(j);
}

std::string text_of(kv_score_of_texts const& r, kv_flags const& kv, std::int64_t page) {
  compression_counts const& c = r.counts;
  std::string               text;
  auto const                line = [&](auto const&... values) {
    char buffer[256];
    std::snprintf(buffer, sizeof buffer, values...);
    text += buffer;
  };
  auto const whole = [](std::int64_t n) { return static_cast<long long>(n); };
  line("tokens %lld  nll %.6f  perplexity %.6f\n", whole(r.total.tokens), r.total.mean_nll(), r.total.perplexity());
  line("behind %lld tokens of %lld texts, of which %s, %s keep %.2f %%\n", whole(*kv.prefix), whole(r.texts),
       std::string(name_of(kv.how.score)).c_str(), std::string(name_of(kv.how.budget)).c_str(),
       100 * share_of(c.kept, c.tokens));
  line("against all of them: kl %.3e +- %.1e nats per token, top-1 agreement %.4f, attention outputs off by %.4f\n",
       r.total.against.mean_kl(), r.total.against.kl_standard_error(), r.total.against.top1_agreement(),
       r.attention_error());
  line("freed %lld of %lld head pages of %lld tokens: %lld of %lld bytes, %.1f %% of what the dropped tokens took\n",
       whole(c.freed_pages), whole(c.pages), whole(page), whole(c.freed_bytes), whole(c.bytes),
       c.ideal_bytes > 0 ? 100 * share_of(c.freed_bytes, c.ideal_bytes) : 100.);
  if (kv.how.rebuild)
    line(
        "rebuilt %lld tokens in %lld passes, %.1f %% of the prefill, to %lld bytes; %lld tokens were fed twice; "
        "%lld bytes of summaries\n",
        whole(c.rebuilt), whole(c.rebuildings), 100 * share_of(c.rebuilt, r.prefix_tokens), whole(c.rebuilt_bytes),
        whole(c.repeated), whole(c.summary_bytes));
  return text;
}

}  // namespace

int run_kv_perplexity(options const& from) {
  model_files const files  = open_model(from, from.text_file.empty() ? text_use::none : text_use::needed);
  auto const        texts  = texts_of(from.text_file, from.ids_file, files);
  run_limits        limits = limits_of(from, files.config, 1);
  limits.max_rows          = limits.max_batched_tokens;
  kv_flags kv              = from.kv;
  kv.how.seed              = from.sampling.seed.value_or(0);
  if (kv.how.keep < 1) static_cast<void>(layer_budgets(kv.how, 1, *kv.prefix, 1));  // throws where that is too few
  scorer_options const o = scorer_options_of(from, limits);
  make_room_to_compress(limits, from, files.config);
  auto const model     = open_decoder(from, files, limits);
  auto const reference = from.reference.empty() ? nullptr : open_decoder(from, files, limits, run_as::reference);

  compressed_scorer scorer(*model, reference ? *reference : *model, files.config, o, limits.max_sequences, kv);
  for (auto const& ids : texts) scorer.add(ids);
  kv_score_of_texts const& r = scorer.result();
  if (r.total.tokens == 0)
    throw wrong(from.text_file + from.ids_file, "holds nothing to score behind --kv-prefix",
                "no text of " + std::to_string(*kv.prefix + 2) + " tokens within --max-model-len", "one");
  if (r.total.against.broken() > 0)
    throw wrong(from.model, "has logits that are not finite", std::to_string(r.total.against.broken()) + " positions",
                "none");
  result_writer out;
  out.write(from.output == output_format::json ? json_of(r, kv) : text_of(r, kv, from.block_size));
  out.flush();
  return 0;
}

}  // namespace tenon::engine
