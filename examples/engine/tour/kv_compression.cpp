//  Keys that will be asked for stay in the cache, the others go.
#include <tenon/core/throw_if.hpp>
#include <tenon/precision/logits_error.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "engine/generation/compressed_cache.hpp"
#include "engine/tour/stops.hpp"

namespace tenon::engine::tour {

namespace {

constexpr std::size_t prefix = 96;  // tokens of each text that are compressed; the others are judged

struct way {
  kv_score score;
  double   keep;  // share of the tokens, over all heads
};
constexpr way ways[] = {{kv_score::snapkv, .5}, {kv_score::keydiff, .5}, {kv_score::window, .5},
                        {kv_score::random, .5}, {kv_score::snapkv, .25}, {kv_score::window, .25}};

}  // namespace

void visit_kv_compression(guide& g, findings& f) {
  g.need_positions(static_cast<int>(prefix) + 2);
  auto const         tested = g.open();
  logits_error       against[std::size(ways)];
  compression_counts counts[std::size(ways)];
  for (auto const& text : g.unseen()) {
    std::span<std::int32_t const> const ids = text, fed = ids.first(ids.size() - 1);
    std::vector<float>                  expected;  // the logits behind the prefix, with all keys
    visit_logits(g.reference(), fed, g.scoring(), [&](std::size_t i, std::span<float const> l) {
      if (i >= prefix) expected.insert(expected.end(), l.begin(), l.end());
    });
    for (std::size_t w = 0; w < std::size(ways); ++w) {
      kv_compression how;
      how.score = ways[w].score, how.keep = ways[w].keep, how.sinks = 4, how.recent = 8;
      compressed_cache cache(*tested, g.files().config, g.scoring(), guide::text_count, how);
      cache.feed(fed.first(prefix), compressed_cache::wanted::last);
      cache.compress();
      cache.feed(fed.subspan(prefix), compressed_cache::wanted::all, [&](std::size_t i, std::span<float const> l) {
        auto const same = std::span<float const>(expected).subspan((i - prefix) * l.size(), l.size());
        throw_if(against[w].add(same, l, ids[i + 1]));
      });
      counts[w].add(cache.counts());
    }
  }

  table& t = f.add_table(figures::exact, {"score", "kept of " + std::to_string(prefix) + " tokens", "bytes freed",
                                          "KL, nats per token", "same top token"});
  for (std::size_t w = 0; w < std::size(ways); ++w) {
    distance const            d(against[w]);
    compression_counts const& c = counts[w];
    t.rows.push_back(
        {std::string(name_of(ways[w].score)), percent(static_cast<double>(c.kept) / static_cast<double>(c.tokens)),
         percent(static_cast<double>(c.freed_bytes) / static_cast<double>(c.bytes)), d.kl_text(), percent(d.top1)});
  }
}

}  // namespace tenon::engine::tour
