#include "engine/program/command_line.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <tenon/version.hpp>

#include "engine/error.hpp"
#include "engine/program/sampling_fields.hpp"

namespace tenon::engine {
namespace {

[[noreturn]] void misuse(std::string_view subject, std::string_view what, std::string_view found,
                         std::string_view expected) {
  throw usage_error(wrong(subject, what, found, expected).what());
}

template <class T>
bool parse_whole(std::string_view text, T& value) {
  auto const [end, e] = std::from_chars(text.data(), text.data() + text.size(), value);
  return e == std::errc{} && end == text.data() + text.size();
}

std::string plain(double v) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, v).ptr};
}

std::int64_t parse_integer(std::string const& name, std::string const& text, std::int64_t low, std::int64_t high) {
  std::int64_t value = 0;
  if (!parse_whole(text, value) || value < low || value > high)
    misuse(name, "is no such number", in_quotes(text),
           "an integer from " + std::to_string(low) + " to " + std::to_string(high));
  return value;
}

double parse_number(std::string const& name, std::string const& text, double low, double high, bool above) {
  double value = 0;
  if (!parse_whole(text, value) || !(value >= low && value <= high) || (above && value == low))
    misuse(name, "is no such number", in_quotes(text),
           above ? "a number above " + plain(low) + ", at most " + plain(high)
                 : "a number from " + plain(low) + " to " + plain(high));
  return value;
}

template <class T>
struct choice {
  char const* word;
  T           value;
};

constexpr choice<device_choice> devices[] = {
    {"auto", device_choice::automatic}, {"cuda", device_choice::cuda}, {"host", device_choice::host}};
constexpr choice<dtype_choice>    dtypes[]       = {{"auto", dtype_choice::automatic},
                                                    {"f32", dtype_choice::f32},
                                                    {"bf16", dtype_choice::bf16},
                                                    {"f16", dtype_choice::f16}};
constexpr choice<kv_dtype_choice> kv_dtypes[]    = {{"auto", kv_dtype_choice::automatic}, {"f32", kv_dtype_choice::f32},
                                                    {"bf16", kv_dtype_choice::bf16},      {"f16", kv_dtype_choice::f16},
                                                    {"fp8", kv_dtype_choice::fp8},        {"int8", kv_dtype_choice::int8},
                                                    {"int4", kv_dtype_choice::int4}};
constexpr choice<load_format>     load_formats[] = {{"auto", load_format::automatic}, {"dummy", load_format::dummy}};
constexpr choice<output_format>   outputs[]      = {{"text", output_format::text}, {"json", output_format::json}};
constexpr choice<token_output>    token_outputs[] = {{"ids", token_output::ids},
                                                     {"count", token_output::count},
                                                     {"offsets", token_output::offsets},
                                                     {"json", token_output::json}};
constexpr choice<token_output>    text_outputs[]  = {{"text", token_output::ids}, {"json", token_output::json}};
constexpr choice<bool>            switches[]      = {{"on", true}, {"off", false}};

/// One subcommand's options. Values are parsed here, not by CLI11, so that messages have one form and texts stay as given.
class option_set {
 public:
  explicit option_set(CLI::App* app) : app_(app) {}

  CLI::Option* value(std::string const& names, char const* type, std::string const& help,
                     std::function<void(std::string const& name, std::string const& text)> take) {
    std::string const name = names.substr(0, names.find(','));
    auto* const       o    = app_->add_option(
                 names,
                 [name, take = std::move(take)](CLI::results_t const& given) {
          for (auto const& text : given) take(name, text);
          return true;
        },
                 help);
    return o->type_name(type)->allow_extra_args(false);
  }
  void text(std::string const& names, char const* type, std::string const& help, std::string& to) {
    value(names, type, help, [&to](std::string const& name, std::string const& given) {
      if (given.empty()) misuse(name, "is empty", "\"\"", "a value");
      to = given;
    });
  }
  template <class T>
  void integer(std::string const& names, std::string const& help, T& to, std::int64_t low, std::int64_t high,
               char const* shown = "") {
    value(names, "N", help, [&to, low, high](std::string const& name, std::string const& given) {
      to = parse_integer(name, given, low, high);
    })->default_str(shown);
  }
  template <class To, class T, std::size_t N>
  void one_of(std::string const& names, std::string const& help, To& to, choice<T> const (&choices)[N]) {
    std::string words;
    for (auto const& c : choices) words.append(words.empty() ? "" : "|").append(c.word);
    value(names, "", help, [&to, &choices, words](std::string const& name, std::string const& given) {
      auto const at =
          std::find_if(std::begin(choices), std::end(choices), [&](auto const& c) { return given == c.word; });
      if (at == std::end(choices)) misuse(name, "unknown choice", in_quotes(given), words);
      to = at->value;
    })->type_name(words);
  }
  void flag(std::string const& names, std::string const& help, bool& to) { app_->add_flag(names, to, help); }

 private:
  CLI::App* app_;
};

void add_tokenizer(option_set& set, options& o) {
  set.text("--model,-m", "DIR", "model directory: config.json, *.safetensors, tokenizer files", o.model);
  set.text("--tokenizer", "FILE", "tokenizer.json or llama2.c .bin, in place of the model's own", o.tokenizer);
  set.flag("--quiet,-q", "print nothing on stderr but errors", o.quiet);
}

void add_common(option_set& set, options& o) {
  add_tokenizer(set, o);
  set.one_of("--device", "where to run (auto: a GPU if there is one)", o.device, devices);
  set.one_of("--dtype", "number format (auto: f32 on the host, the model's own on CUDA)", o.dtype, dtypes);
  set.flag("--allow-tf32", "f32 products may use tf32 on CUDA", o.allow_tf32);
  set.value("--quantize", "w8a8|w8a16|w4a16|fp8", "quantise the weights when loading, and the inputs of w8a8 and fp8",
            [&o](std::string const& name, std::string const& given) {
              if (given != "w8a8" && given != "w8a16" && given != "w4a16" && given != "fp8")
                misuse(name, "unknown choice", in_quotes(given), "w8a8|w8a16|w4a16|fp8");
              o.quantize = given;
            });
  set.one_of("--kv-cache-dtype", "what keys and values are stored as (auto: as --dtype)", o.kv_cache_dtype, kv_dtypes);
  set.integer("--block-size,--page-size", "tokens per page of the KV cache", o.block_size, 1, 1 << 20, "16");
  set.integer("--max-model-len", "tokens of prompt and completion at most (default: the model's)", o.max_model_len, 1,
              largest_int32);
  set.integer("--max-num-seqs", "requests that run together at most", o.max_num_seqs, 1, 1 << 20);
  set.integer("--max-num-batched-tokens", "tokens per step at most", o.max_num_batched_tokens, 1, 1 << 24);
  set.one_of("--load-format", "dummy: random weights of the shape in --config", o.load, load_formats);
  set.text("--config", "FILE", "config.json by itself, for --load-format dummy", o.config);
  set.integer("--threads", "cores to use (default: all)", o.threads, 1, 4096);
  set.one_of("--batch-invariant", "results do not depend on the batch (default: on for the host)", o.batch_invariant,
             switches);
  set.one_of("--output", "form of the result", o.output, outputs);
  set.value("--seed", "N", "of draws, and of dummy weights", [&o](std::string const& name, std::string const& given) {
    o.sampling.seed =
        static_cast<std::uint64_t>(parse_integer(name, given, 0, std::numeric_limits<std::int64_t>::max()));
  });
}

std::string option_name(char const* field) {
  std::string name = std::string("--") + field;
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

void add_generate(option_set& set, options& o) {
  auto const append_text = [](std::vector<std::string>& to) {
    return [&to](std::string const&, std::string const& given) { to.push_back(given); };
  };
  set.value("--prompt,-p", "TEXT", "a prompt; repeat it for more", append_text(o.prompts))
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  set.text("--prompts", "FILE", "JSON lines {\"prompt\": \"...\"} or {\"prompt_ids\": [...]}; - reads standard input",
           o.prompts_file);
  auto& s = o.sampling;
  for (auto const& f : integer_fields) {
    std::string const names =
        option_name(f.name) + (f.value == &sampling_options::max_tokens ? ",--max-new-tokens,-n" : "");
    set.integer(names, f.help, s.*f.value, f.low, f.high, std::to_string(s.*f.value).c_str());
  }
  for (auto const& f : number_fields)
    set.value(option_name(f.name), "X", f.help,
              [&s, &f](std::string const& name, std::string const& given) {
                s.*f.value = parse_number(name, given, f.low, f.high, f.above);
              })
        ->default_str(plain(s.*f.value));
  set.value("--logit-bias", "ID:VALUE", "adds VALUE to the token's logit; repeat it for more",
            [&s](std::string const& name, std::string const& given) {
              auto const   colon = given.find(':');
              std::int32_t id    = -1;
              double       bias  = 0;
              if (colon == std::string::npos || !parse_whole(std::string_view(given).substr(0, colon), id) || id < 0 ||
                  !parse_whole(std::string_view(given).substr(colon + 1), bias) || !(std::fabs(bias) <= largest_bias))
                misuse(name, "is no bias", in_quotes(given), "ID:VALUE, a token id and a number");
              s.logit_bias.emplace_back(id, static_cast<float>(bias));
            })
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  set.value("--stop", "TEXT", "ends the completion before this text; repeat it for more",
            [&s](std::string const& name, std::string const& given) {
              if (given.empty()) misuse(name, "is empty", "\"\"", "a text");
              s.stop.push_back(given);
            })
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  set.flag("--ignore-eos", "do not end at the model's end tokens", s.ignore_eos);
}

void check_model(options const& o) {
  bool const dummy = o.load == load_format::dummy;
  if (!o.config.empty() && !dummy)
    misuse("--config", "is for dummy weights", "no --load-format dummy", "it beside --config");
  if (o.model.empty() && !(dummy && !o.config.empty()))
    misuse("--model", "missing", "nothing", dummy ? "a model directory, or --config FILE" : "a model directory");
}

void check(options& o) {
  auto const one_of_two = [](char const* first, bool has_first, char const* second, bool has_second) {
    if (has_first == has_second)
      misuse(first, has_first ? "excludes " + std::string(second) : std::string("missing"),
             has_first ? "both" : "nothing", has_first ? "one of them" : "it or " + std::string(second));
  };
  o.sampling.top_k = std::max<std::int64_t>(o.sampling.top_k, 0);
  switch (o.what) {
    case command::help: break;
    case command::generate:
      check_model(o);
      one_of_two("--prompt", !o.prompts.empty(), "--prompts", !o.prompts_file.empty());
      break;
    case command::perplexity:
      check_model(o);
      one_of_two("--text", !o.text_file.empty(), "--ids", !o.ids_file.empty());
      break;
    case command::info: check_model(o); break;
    case command::tokenize:
    case command::detokenize:
      if (o.tokenizer.empty() && o.model.empty())
        misuse("--tokenizer", "missing", "nothing", "a tokenizer file, or --model DIR");
      if (o.text && o.file) misuse("--text", "excludes --file", "both", "one of them");
      break;
  }
}

}  // namespace

options parse(int argc, char const* const* argv) {
  options  o;
  CLI::App app("tenon: text from language models, with every kernel on the CPU and on CUDA", "tenon");
  app.require_subcommand(0, 1);
  bool version = false;
  app.add_flag("--version", version, "print the version");
  app.get_formatter()->column_width(40);
  app.footer(
      "Each subcommand has --help with an example.\nExample:\n  tenon generate --model DIR --prompt \"Once upon a "
      "time\"");

  auto const add = [&](char const* name, char const* help, char const* example) {
    auto* const sub = app.add_subcommand(name, help);
    sub->footer(std::string("Example:\n  ") + example);
    return sub;
  };
  auto* const generate = add("generate", "complete prompts",
                             "tenon generate --model DIR --prompt \"Once upon a time\" --max-tokens 64 --seed 1");
  auto* const perplexity =
      add("perplexity", "score a text", "tenon perplexity --model DIR --text book.txt --output json");
  auto* const info     = add("info", "describe a model", "tenon info --model DIR");
  auto* const tokenize = add("tokenize", "text to token ids", "tenon tokenize --model DIR --text \"Once upon a time\"");
  auto* const detokenize =
      add("detokenize", "token ids to text", "tenon detokenize --model DIR --text \"0 722 454 261 484\"");

  option_set generate_set(generate), perplexity_set(perplexity), info_set(info), tokenize_set(tokenize),
      detokenize_set(detokenize);
  add_common(generate_set, o), add_common(perplexity_set, o), add_common(info_set, o);
  add_tokenizer(tokenize_set, o), add_tokenizer(detokenize_set, o);
  add_generate(generate_set, o);
  perplexity_set.text("--text", "FILE", "the text to score", o.text_file);
  perplexity_set.text("--ids", "FILE", "JSON with per_text[].ids, each text scored alone from its first token",
                      o.ids_file);
  perplexity_set.value("--reference", "f32", "also run the unquantised f32 model, and compare",
                       [&o](std::string const& name, std::string const& given) {
                         if (given != "f32") misuse(name, "unknown choice", in_quotes(given), "f32");
                         o.reference = given;
                       });
  perplexity_set.text("--dump-logits", "FILE.npy", "write the logits, float32 (scored positions, vocabulary)",
                      o.dump_logits);
  for (auto* set : {&tokenize_set, &detokenize_set}) {
    bool const ids = set == &detokenize_set;
    set->value("--text", "TEXT", ids ? "the ids (default: standard input)" : "the text (default: standard input)",
               [&o](std::string const&, std::string const& given) { o.text = given; });
    set->value("--file", "FILE", ids ? "a file of ids" : "a file of text",
               [&o](std::string const&, std::string const& given) { o.file = given; });
    set->flag("--no-special",
              ids ? "the ids hold no beginning or end token"
                  : "add no beginning or end token; control tokens in the text are text",
              o.no_special);
  }
  tokenize_set.one_of("--output", "form of the result", o.tokens_output, token_outputs);
  detokenize_set.one_of("--output", "form of the result", o.tokens_output, text_outputs);

  // CLI11 takes the next argument for the value of `--prompt=`: hand it the empty one.
  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  CLI::App const*          sub = nullptr;
  for (auto const* one : {generate, perplexity, info, tokenize, detokenize})
    if (!arguments.empty() && one->get_name() == arguments.front()) sub = one;
  for (std::size_t i = 1; sub != nullptr && i < arguments.size(); ++i)
    if (arguments[i].starts_with("--") && arguments[i].find('=') + 1 == arguments[i].size() &&
        sub->get_option_no_throw(arguments[i].substr(0, arguments[i].size() - 1)) != nullptr) {
      arguments[i].pop_back();
      arguments.emplace(arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    }
  std::reverse(arguments.begin(), arguments.end());  // the order that CLI11 wants
  try {
    app.parse(std::move(arguments));
  } catch (CLI::CallForHelp const&) {
    o      = {};
    o.help = app.help();
    return o;
  } catch (CLI::ExtrasError const&) {
    auto const        rest  = app.remaining(true);
    std::string const given = rest.empty() ? "?" : rest.front();
    if (!app.get_subcommands().empty())
      misuse(one_line(given), "unknown argument", in_quotes(given),
             "an option of `tenon " + app.get_subcommands().front()->get_name() + " --help`");
    misuse(one_line(given), given.starts_with('-') ? "unknown argument" : "unknown subcommand", in_quotes(given),
           "one of generate, perplexity, info, tokenize, detokenize");
  } catch (CLI::ParseError const& e) {
    // What is left is the number of values: none where one is needed, or an option given twice.
    std::string_view const message = e.what();
    auto const             colon   = message.find(':');
    misuse(message.substr(0, colon), "wrong usage",
           in_quotes(colon == message.npos ? message : message.substr(std::min(message.size(), colon + 2))),
           "the option once with one value");
  }
  if (version) {
    o.help = "tenon " + std::to_string(TENON_VERSION_MAJOR) + "." + std::to_string(TENON_VERSION_MINOR) + "." +
             std::to_string(TENON_VERSION_PATCH) + "\n";
    return o;
  }
  auto const chosen = app.get_subcommands();
  if (chosen.empty())
    misuse("SUBCOMMAND", "missing", "none",
           "one of generate, perplexity, info, tokenize, detokenize (see tenon --help)");
  o.what = chosen.front() == generate     ? command::generate
           : chosen.front() == perplexity ? command::perplexity
           : chosen.front() == info       ? command::info
           : chosen.front() == tokenize   ? command::tokenize
                                          : command::detokenize;
  check(o);
  return o;
}

}  // namespace tenon::engine
