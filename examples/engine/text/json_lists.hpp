#pragma once
//  tokenizer.json as it is parsed: its two long lists, the vocabulary and the merges, in a few buffers, and a tree of
//  all else.
//
//  What is wrong inside of a list counts only for whoever reads that far: an entry that is none ends it, with the
//  error.
//  Test: tests/engine/text/json_lists_test.cpp
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/error.hpp"
#include "engine/files/json.hpp"
#include "engine/text/byte_pairs.hpp"
#include "engine/text/name_table.hpp"

namespace tenon::engine {

/// One of the lists, up to where it is broken.
class json_list : public json_listener {
 public:
  /// Throws what ended the list, if anything did.
  void check_end() const {
    if (broken_) throw *broken_;
  }

  /// An entry, for messages.
  [[nodiscard]] std::string subject(std::size_t i) const {
    return file_ + ": model." + std::string(name_) + "[" + std::to_string(i) + "]";
  }

 protected:
  json_list(std::string const& file, std::string_view name) : file_(file), name_(name) {}

  std::string          file_;
  std::optional<error> broken_;
  int                  depth_ = 0;  // 1: in the list itself

 private:
  std::string_view name_;
};

/// model.vocab: an object of tokens and ids, none of them twice, or an array of pieces and scores. vocab.json is such
/// an object, too.
class json_vocabulary final : public json_list {
 public:
  explicit json_vocabulary(std::string const& file) : json_list(file, "vocab") {}

  [[nodiscard]] name_table const& names() const { return names_; }
  /// What the file has for a name.
  [[nodiscard]] json_value const& value_of(std::size_t i) const { return values_[i]; }
  /// The same in a tokenizer.json. Throws `error` where that is no id below `limit`, or no score.
  [[nodiscard]] std::int64_t id_of(std::size_t i, std::int64_t limit) const;
  [[nodiscard]] double       score_of(std::size_t i) const;

  void open(bool object) override;
  void close() override;
  void key(std::string_view name) override;
  void text(std::string_view value) override;
  void value(json_value&& value) override;

 private:
  void value(json_value&& value, int depth);
  void end(std::string_view found);

  name_table              names_;
  std::vector<json_value> values_;
  bool                    object_ = false;  // that is an object
  std::string             piece_;           // of the array's entry
  json_value              score_;
  std::size_t             parts_ = 0;  // of the entry that were there
};

/// model.merges: "left right" or ["left", "right"] each.
class json_merges final : public json_list {
 public:
  explicit json_merges(std::string const& file) : json_list(file, "merges") {}

  [[nodiscard]] std::size_t      size() const { return size_; }
  [[nodiscard]] std::string_view left(std::size_t i) const { return parts_[2 * i]; }
  [[nodiscard]] std::string_view right(std::size_t i) const { return parts_[2 * i + 1]; }
  [[nodiscard]] std::string_view both(std::size_t i) const { return parts_.range(2 * i, 2 * i + 2); }

  void open(bool object) override;
  void close() override;
  void key(std::string_view name) override;
  void text(std::string_view value) override;
  void value(json_value&& value) override;

 private:
  void end(std::string const& found, char const* expected = "two tokens");

  text_list   parts_;     // left and right of each
  std::size_t size_ = 0;  // merges that are whole
};

/// The two tokens of "left right"; nothing where that is something else.
[[nodiscard]] std::optional<std::pair<std::string_view, std::string_view>> split_merge(std::string_view merge);

struct tokenizer_tree {
  json_vocabulary vocabulary;
  json_merges     merges;
  json_value      root;  // where model.vocab and model.merges are empty

  /// Throws `error` as parse_json does.
  tokenizer_tree(std::string_view text, std::string const& file);
};

/// The merges by ids: `ids` has that of each place in model.vocab, -1 where no text becomes it. Throws `error` where a
/// merge names what has none.
[[nodiscard]] std::vector<pair_merge> merges_of(tokenizer_tree const& tree, std::span<std::int32_t const> ids);

}  // namespace tenon::engine
