#include "engine/text/piece_lattice.hpp"

#include <algorithm>
#include <limits>
#include <type_traits>

#include "engine/text/utf8.hpp"

namespace tenon::engine {

piece_lattice::piece_lattice(piece_definition const& d)
    : scores_(d.entries.size()), users_(d.entries.size()), doubles_(d.double_sums) {
  std::vector<std::string_view> texts(d.entries.size());
  // As SentencePiece has it: the greatest score is no less than the smallest float above 0.
  float  least = std::numeric_limits<float>::max(), most = std::numeric_limits<float>::min();
  double least_double = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    auto const& e = d.entries[i];
    scores_[i] = e.score, users_[i] = e.kind == piece_kind::user;
    if (e.kind != piece_kind::absent) least_double = std::min(least_double, e.score);
    if (e.kind == piece_kind::text) {
      least = std::min(least, static_cast<float>(e.score));
      most  = std::max(most, static_cast<float>(e.score));
    }
    if (e.matched && e.kind != piece_kind::unused) texts[i] = e.bytes;
  }
  trie_    = prefix_trie(texts);
  most_    = most;
  unknown_ = doubles_ ? least_double - 10.0 : static_cast<double>(least - 10.0f);
}

template <class Sum>
void piece_lattice::divide_by(std::string_view text, std::vector<symbol>& out) const {
  struct path {  // the best one to a place
    Sum           sum    = 0;
    std::int32_t  id     = -1;
    std::uint32_t length = 0;  // of its last piece; 0: no path yet
  };
  std::vector<path> best(text.size() + 1);
  std::size_t       reach = 0;  // the farthest place with a path
  auto const        offer = [&](std::size_t end, Sum sum, std::int32_t id, std::size_t length) {
    path& p = best[end];
    reach   = std::max(reach, end);
    if (p.length == 0 || sum > p.sum) p = {sum, id, static_cast<std::uint32_t>(length)};
  };
  for (std::size_t at = 0; at < text.size();) {
    if constexpr (std::is_same_v<Sum, float>)  // floats far from 0 are coarse: SentencePiece begins anew
      if (Sum const far = best[at].sum; far < -100'000.0f)
        for (std::size_t i = at; i <= reach; ++i) best[i].sum -= far;
    Sum const         here      = best[at].sum;
    auto const        step      = next_utf8(text.substr(at));
    std::size_t const character = step.kind == utf8_kind::character ? step.length : 1;
    bool              single    = false;
    trie_.each(text.substr(at), [&](std::int32_t id, std::size_t length) {
      auto const i     = static_cast<std::size_t>(id);
      auto const score = static_cast<Sum>(
          users_[i] ? static_cast<double>(static_cast<float>(length) * static_cast<float>(most_)) - 0.1 : scores_[i]);
      offer(at + length, score + here, id, length);
      single = single || length == character;
    });
    if (!single) offer(at + character, static_cast<Sum>(unknown_) + here, -1, character);
    at += character;
  }
  std::size_t const first = out.size();
  for (std::size_t end = text.size(); end > 0; end -= best[end].length) out.push_back({best[end].id, best[end].length});
  std::reverse(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
}

void piece_lattice::divide(std::string_view text, std::vector<symbol>& out) const {
  if (doubles_) divide_by<double>(text, out);
  else divide_by<float>(text, out);
}

}  // namespace tenon::engine
