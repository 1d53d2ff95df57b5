#include "engine/text/json_lists.hpp"

#include <array>

namespace tenon::engine {

namespace {

json_value nested(bool object) { return object ? json_value::object() : json_value::array(); }

}  // namespace

std::int64_t json_vocabulary::id_of(std::size_t i, std::int64_t limit) const {
  if (auto const id = integer_within(values_[i], 0, limit - 1)) return *id;
  return to_integer(values_[i], file_ + ": model.vocab " + in_quotes(names_[i]), 0, limit - 1);  // says why not
}

double json_vocabulary::score_of(std::size_t i) const {
  constexpr double most = 1e30;
  if (values_[i].is_number_float())
    if (double const score = values_[i].get<double>(); score >= -most && score <= most) return score;
  return to_number(values_[i], subject(i), -most, most);
}

void json_vocabulary::open(bool object) {
  if (++depth_ == 1) object_ = object;
  else if (depth_ > 2 || object_) value(nested(object), depth_ - 1);
  else if (object) end("an object");
  else parts_ = 0;
}

void json_vocabulary::close() {
  if (depth_-- != 2 || object_ || broken_) return;
  if (parts_ != 2) return end("an array");
  names_.add(piece_);
  values_.push_back(std::move(score_));
}

void json_vocabulary::key(std::string_view name) {
  if (depth_ == 1 && names_.add(name) >= 0)
    throw wrong(file_, "repeated key in an object", in_quotes(name) + " twice", "it once");
}

void json_vocabulary::text(std::string_view value) {
  if (!object_ && depth_ == 2 && parts_ == 0) piece_ = value, parts_ = 1;
  else this->value(std::string(value), depth_);
}

void json_vocabulary::value(json_value&& value) { this->value(std::move(value), depth_); }

void json_vocabulary::value(json_value&& value, int depth) {
  if (object_) {
    if (depth == 1) values_.push_back(std::move(value));
  } else if (depth == 1) {
    end(describe(value));
  } else if (depth == 2) {
    parts_ += parts_ == 0 ? 3 : 1;  // a text comes first
    score_ = std::move(value);
  }
}

void json_vocabulary::end(std::string_view found) {
  if (!broken_) broken_ = wrong(subject(names_.size()), "is no piece", found, "a text and its score");
}

void json_merges::open(bool object) {
  if (++depth_ == 2 && object) end("an object");
  if (depth_ == 3) end("an array");
}

void json_merges::close() {
  if (depth_-- != 2 || broken_) return;
  if (parts_.size() != 2 * size_ + 2) return end("an array");
  ++size_;
}

void json_merges::key(std::string_view) {}

void json_merges::text(std::string_view value) {
  if (broken_) return;
  if (depth_ == 2) return parts_.add(value);
  auto const both = split_merge(value);
  if (!both) return end(in_quotes(value), "two tokens with one space between them");
  parts_.add(both->first), parts_.add(both->second);
  ++size_;
}

void json_merges::value(json_value&& value) { end(depth_ == 1 ? describe(value) : "an array"); }

void json_merges::end(std::string const& found, char const* expected) {
  if (!broken_) broken_ = wrong(subject(size_), "is not a merge", found, expected);
}

std::optional<std::pair<std::string_view, std::string_view>> split_merge(std::string_view merge) {
  auto const space = merge.find(' ');
  if (space == merge.npos || space == 0 || space + 1 == merge.size() || merge.find(' ', space + 1) != merge.npos)
    return {};
  return std::pair(merge.substr(0, space), merge.substr(space + 1));
}

tokenizer_tree::tokenizer_tree(std::string_view text, std::string const& file)
    : vocabulary(file),
      merges(file),
      root(parse_json(text, file, {},
                      std::array{json_route{"model", "vocab", &vocabulary}, json_route{"model", "merges", &merges}})) {}

std::vector<pair_merge> merges_of(tokenizer_tree const& tree, std::span<std::int32_t const> ids) {
  constexpr std::size_t ahead  = 8;  // merges whose names are on their way from far memory
  name_table const&     names  = tree.vocabulary.names();
  json_merges const&    merges = tree.merges;
  struct keys {
    name_table::key left, right, both;
  };
  std::array<keys, ahead> on_their_way;
  std::vector<pair_merge> result;
  result.reserve(merges.size());
  for (std::size_t next = 0; result.size() < merges.size(); ++next) {
    keys& k = on_their_way[next % ahead];
    if (next >= ahead) {
      auto const id_of = [&](name_table::key const& key) {
        std::int32_t const at = names.find(key);
        if (at < 0 || ids[static_cast<std::size_t>(at)] < 0)
          throw wrong(merges.subject(result.size()), "names a token outside the vocabulary", in_quotes(key.name),
                      "one of model.vocab");
        return ids[static_cast<std::size_t>(at)];
      };
      std::int32_t const left = id_of(k.left), right = id_of(k.right);
      result.push_back({left, right, id_of(k.both)});
    }
    if (next >= merges.size()) continue;
    k = {name_table::key_of(merges.left(next)), name_table::key_of(merges.right(next)),
         name_table::key_of(merges.both(next))};
    for (name_table::key const& key : {k.left, k.right, k.both}) names.prefetch(key);
  }
  merges.check_end();
  return result;
}

}  // namespace tenon::engine
