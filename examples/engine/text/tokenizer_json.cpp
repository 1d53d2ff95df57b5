#include "engine/text/tokenizer_json.hpp"

#include <algorithm>
#include <bitset>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/error.hpp"
#include "engine/text/bpe_tokenizer.hpp"
#include "engine/text/byte_alphabet.hpp"
#include "engine/text/falcon_json.hpp"
#include "engine/text/json_steps.hpp"
#include "engine/text/piece_json.hpp"
#include "engine/text/piece_tokenizer.hpp"
#include "engine/text/word_families.hpp"

namespace tenon::engine {
namespace {

class json_reader {
 public:
  json_reader(tokenizer_tree const& tree, std::string file) {
    d_.file        = std::move(file);
    d_.description = "byte-level BPE (tokenizer.json)";
    json_fields const root(tree.root, d_.file);
    json_fields const model = root.fields("model");
    std::string const type  = model.text_or("type", "BPE");  // early files do not say
    if (type != "BPE") throw model.wrong("type", "unsupported tokenizer", in_quotes(type), "BPE");
    refuse_subwords(model);
    d_.whole_words = model.flag_or("ignore_merges", false);

    for (auto& step : read_normalizer(root)) d_.normalizer.add(std::move(step));
    bool const falcon = has_falcon_words(tree.root);
    if (falcon) {
      (void)add_words(d_.words, "falcon", d_.file + ": pre_tokenizer");
    } else {
      json_pre_tokenizer words = read_pre_tokenizer(root);
      if (!words.byte_level)
        throw root.wrong("pre_tokenizer", "unsupported tokenizer", "no ByteLevel step", "a byte-level BPE");
      d_.words = std::move(words.words);
    }
    if (root.has("decoder")) read_decoder(root.fields("decoder"), 0);
    (void)model.fields("vocab");
    read_vocabulary(tree.vocabulary, root.has("added_tokens") ? root.find("added_tokens")->size() : 0);
    (void)array_at(model, "merges");
    d_.merges = merges_of(tree, ids_);
    if (falcon) check_falcon_merges(d_);
    // A fallback to bytes has nothing to do where every byte is a token.
    if (model.flag_or("byte_fallback", false) && !has_all_bytes())
      throw model.wrong("byte_fallback", "unsupported", "true, in a byte-level BPE without all bytes", "false");
    d_.added = read_added_tokens(root, bpe_definition::id_limit, [this](std::int64_t id) { return spellings_of(id); });
    if (auto const unknown = model.text_or("unk_token", ""); !unknown.empty()) {
      auto const id = id_of(unknown);
      if (id < 0) throw model.wrong("unk_token", "is not in the vocabulary", in_quotes(unknown), "a vocabulary entry");
      d_.unknown = id;
    }
    std::int64_t ids_end = static_cast<std::int64_t>(d_.entries.size());
    for (added_token const& t : d_.added) ids_end = std::max(ids_end, std::int64_t{t.id} + 1);
    json_template around = read_template(root, ids_end);
    d_.before = std::move(around.before), d_.after = std::move(around.after);
  }

  bpe_definition take() { return std::move(d_); }

 private:
  /// Of an added token or a vocabulary entry with these bytes; -1: none.
  std::int32_t id_of(std::string const& bytes) const {
    for (added_token const& t : d_.added)
      if (t.content == bytes) return t.id;
    for (std::size_t id = 0; id < d_.entries.size(); ++id)
      if (d_.entries[id].present && d_.entries[id].bytes == bytes) return static_cast<std::int32_t>(id);
    return -1;
  }

  /// There may be entries for `added` more.
  void read_vocabulary(json_vocabulary const& vocabulary, std::size_t added) {
    name_table const& names = vocabulary.names();
    ids_.reserve(names.size());
    std::size_t const room = names.size() + added;
    d_.entries.reserve(std::min(room, static_cast<std::size_t>(bpe_definition::id_limit)));
    for (std::size_t i = 0; i < names.size(); ++i) {
      std::string_view const token = names[i];
      std::int64_t const     id    = vocabulary.id_of(i, bpe_definition::id_limit);
      auto&                  e     = d_.entry_at(id);
      if (e.present)
        throw wrong(d_.file + ": model.vocab", "two tokens have one id",
                    std::to_string(id) + " for " + in_quotes(token) + " too", "an id for each");
      // A token that the byte alphabet cannot spell is never made of text; it stands for itself.
      bool const spelled = gpt2_alphabet.append_bytes(e.bytes, token);
      if (!spelled) e.bytes = token;
      e.present = true, e.merged = spelled;
      ids_.push_back(spelled ? static_cast<std::int32_t>(id) : -1);
    }
  }

  /// How an added token that is in model.vocab, too, may be spelled: by its bytes, or in the byte alphabet.
  std::vector<std::string> spellings_of(std::int64_t id) const {
    auto const at = static_cast<std::size_t>(id);
    if (at >= d_.entries.size() || !d_.entries[at].present) return {};
    std::string const& bytes = d_.entries[at].bytes;
    return {bytes, gpt2_alphabet.text(bytes)};
  }

  bool has_all_bytes() const {
    std::bitset<256> there;
    for (bpe_definition::entry const& e : d_.entries)
      if (e.merged && e.bytes.size() == 1) there.set(static_cast<unsigned char>(e.bytes[0]));
    return there.all();
  }

  void read_decoder(json_fields const& f, int depth) {
    std::string const type = f.text("type");
    if (type == "ByteLevel") return;
    if (type != "Sequence") throw f.wrong("type", "unsupported decoder", in_quotes(type), "ByteLevel");
    each_of(f, "decoders", depth, [this](auto const& m, int d) { read_decoder(m, d); });
  }

  bpe_definition            d_;
  std::vector<std::int32_t> ids_;  // by place in model.vocab; -1: no text becomes it
};

}  // namespace

std::unique_ptr<tokenizer> tokenizer_of_json(tokenizer_tree const& tree, std::string file) {
  if (is_piece_json(tree.root)) return std::make_unique<piece_tokenizer>(read_piece_json(tree, std::move(file)));
  return std::make_unique<bpe_tokenizer>(read_tokenizer_json(tree, std::move(file)));
}

bpe_definition read_tokenizer_json(tokenizer_tree const& tree, std::string file) {
  return json_reader(tree, std::move(file)).take();
}

}  // namespace tenon::engine
