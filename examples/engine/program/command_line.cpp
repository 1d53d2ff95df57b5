#include "engine/program/command_line.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <span>
#include <tenon/version.hpp>

#include "engine/error.hpp"
#include "engine/program/option_set.hpp"
#include "engine/program/sampling_fields.hpp"

namespace tenon::engine {
namespace {

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
constexpr choice<bool>            unit_choices[]  = {{"flap", false}, {"random", true}};
constexpr choice<bool>            switches[]      = {{"on", true}, {"off", false}};

void add_tokenizer(option_set& set, options& o) {
  set.text("--model,-m", "DIR", "model directory: config.json, *.safetensors, tokenizer files", o.model);
  set.text("--tokenizer", "FILE",
           "tokenizer.json, vocab.json, .model, .tiktoken, .gguf or .bin, in place of the model's own", o.tokenizer);
  set.text("--pattern", "NAME",
           "cuts words where a file of ranks is of no known family: gpt2, llama3, qwen2, cl100k, "
           "o200k or a regular expression",
           o.pattern);
  set.flag("--quiet,-q", "print nothing on stderr but errors", o.quiet);
}

void add_quantize(option_set& set, options& o) {
  set.value("--quantize", "w8a8|w8a16|w4a16|fp8|fp8-block",
            "quantise the weights, and the inputs of w8a8 and fp8 as they come",
            [&o](std::string const& name, std::string const& given) {
              if (given != "w8a8" && given != "w8a16" && given != "w4a16" && given != "fp8" && given != "fp8-block")
                misuse(name, "unknown choice", in_quotes(given), "w8a8|w8a16|w4a16|fp8|fp8-block");
              o.quantize = given;
            });
}

void add_common(option_set& set, options& o) {
  add_tokenizer(set, o);
  set.one_of("--device", "where to run (auto: a GPU if there is one)", o.device, devices);
  set.one_of("--dtype", "number format (auto: f32 on the host, the model's own on CUDA)", o.dtype, dtypes);
  set.flag("--allow-tf32", "f32 products may use tf32 on CUDA", o.allow_tf32);
  add_quantize(set, o);
  set.one_of("--kv-cache-dtype", "what keys and values are stored as (auto: as --dtype)", o.kv_cache_dtype, kv_dtypes);
  set.integer("--block-size,--page-size", "tokens per page of the KV cache", o.block_size, 1, 1 << 20, "16");
  set.integer("--max-model-len", "tokens of prompt and completion at most (default: the model's)", o.max_model_len, 1,
              largest_int32);
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

void add_prompts(option_set& set, options& o) {
  set.values("--prompt,-p", "TEXT", "a prompt; repeat it for more",
             [&o](std::string const&, std::string const& given) { o.prompts.push_back(given); });
  set.text("--prompts", "FILE", "JSON lines {\"prompt\": \"...\"} or {\"prompt_ids\": [...]}; - reads standard input",
           o.prompts_file);
}

void add_sampling(option_set& set, options& o) {
  auto& s = o.sampling;
  for (auto const& f : integer_fields) {
    std::string const names =
        option_name(f.name) + (f.value == &sampling_options::max_tokens ? ",--max-new-tokens,-n" : "");
    set.integer(names, f.help, s.*f.value, f.low, f.high, std::to_string(s.*f.value));
  }
  for (auto const& f : number_fields)
    set.value(
        option_name(f.name), "X", f.help,
        [&s, &f](std::string const& name, std::string const& given) {
          s.*f.value = parse_number(name, given, f.low, f.high, f.above);
        },
        plain(s.*f.value));
  set.values("--logit-bias", "ID:VALUE", "adds VALUE to the token's logit; repeat it for more",
             [&s](std::string const& name, std::string const& given) {
               auto const   colon = given.find(':');
               std::int32_t id    = -1;
               double       bias  = 0;
               if (colon == std::string::npos || !parse_whole(std::string_view(given).substr(0, colon), id) || id < 0 ||
                   !parse_whole(std::string_view(given).substr(colon + 1), bias) || !(std::fabs(bias) <= largest_bias))
                 misuse(name, "is no bias", in_quotes(given), "ID:VALUE, a token id and a number");
               s.logit_bias.emplace_back(id, static_cast<float>(bias));
             });
  set.values("--stop", "TEXT", "ends the completion before this text; repeat it for more",
             [&s](std::string const& name, std::string const& given) {
               if (given.empty()) misuse(name, "is empty", "\"\"", "a text");
               s.stop.push_back(given);
             });
  set.flag("--ignore-eos", "do not end at the model's end tokens", s.ignore_eos);
}

void add_align(option_set& set, align_options& a) {
  set.text("--against", "DIR", "the model to compare with, in f32 (default: the same model, not quantised)", a.against);
  set.number("--budget", "relative error that a stage may make on the reference's input", a.budget, 0, 1e9);
  set.number("--max-kl", "divergence of the predictions, nats per token", a.max_kl, 0, 1e9);
  set.number("--min-top1", "share of tokens with the same most likely successor", a.min_top1, 0, 1);
}

constexpr choice<scale_source> scale_sources[] = {{"found", scale_source::found}, {"learned", scale_source::learned}};

void add_compress(option_set& set, options& o) {
  compress_options& c = o.compress;
  add_tokenizer(set, o);
  set.text("--out", "DIR", "where the model goes: a folder without one", c.out);
  set.text("--merge-lora", "DIR", "an adapter of PEFT to merge, before all else", c.lora);
  set.flag("--fold-norms", "move the gains of norms into the matrices that read them", c.fold_norms);
  set.integer("--drop-layers", "whole layers to drop, each time the one whose loss costs least", c.drop_layers, 0, 4096,
              "0");
  set.integer("--drop-attention", "attention halves to drop", c.drop_attention, 0, 4096, "0");
  set.integer("--drop-mlp", "MLP halves to drop", c.drop_mlp, 0, 4096, "0");
  set.integer("--cut-heads", "query heads of every layer to drop, evenly over its kv heads", c.cut_heads, 0, 4096, "0");
  set.integer("--cut-kv-heads", "kv heads of every layer to drop, each with its query heads", c.cut_kv_heads, 0, 4096,
              "0");
  set.number("--cut-mlp-width", "share of the neurons of every MLP to drop", c.mlp_width, 0, .95, "0");
  set.one_of("--choice", "which heads and neurons go: those of the lowest scores, or drawn by --seed", c.random_units,
             unit_choices);
  add_quantize(set, o);
  add_quantize_options(set, c.quantizing);
  set.flag("--no-heal", "leave the weights in front of a gap as they are", c.heal, false);
  set.text("--text", "FILE", "text to calibrate with (default: what the model itself says)", o.text_file);
  set.text("--ids", "FILE", "JSON with per_text[].ids to calibrate with", o.ids_file);
  set.integer("--calibration-texts", "texts that the model says", c.texts, 1, 4096, "64");
  set.integer("--calibration-length", "tokens of each text", c.length, 2, 1 << 20, "256");
  set.text("--eval-text", "FILE", "other text, to measure the result with", c.eval_text);
  set.text("--eval-ids", "FILE", "JSON with per_text[].ids, likewise", c.eval_ids);
  set.one_of("--scales", "of --quantize: found here, or learned in training and in the checkpoint", c.scales,
             scale_sources);
  set.integer("--threads", "cores to use (default: all)", o.threads, 1, 4096);
  set.one_of("--output", "form of the result", o.output, outputs);
  set.value("--seed", "N", "of what the model says and what is drawn",
            [&o](std::string const& name, std::string const& given) {
              o.sampling.seed =
                  static_cast<std::uint64_t>(parse_integer(name, given, 0, std::numeric_limits<std::int64_t>::max()));
            });
}

void add_tour(option_set& set, options& o) {
  set.text("--model,-m", "DIR", "model directory (default: examples/models/tenon-demo of the repository)", o.model);
  set.values("--stop", "NAME", "only this one; repeat it for more",
             [&o](std::string const&, std::string const& given) { o.tour.stops.push_back(given); });
  set.flag("--list", "name the stops, and visit none", o.tour.list);
  set.integer("--threads", "cores to use (default: all)", o.threads, 1, 4096);
  set.one_of("--output", "form of the result", o.output, outputs);
  set.flag("--quiet,-q", "print nothing on stderr but errors", o.quiet);
}

void add_train(option_set& set, options& o) {
  set.value("--file", "FILE", "the text to train on",
            [&o](std::string const&, std::string const& given) { o.file = given; });
  set.integer("--vocabulary", "tokens at most, with 256 bytes and the special ones", o.train.vocabulary, 256, 1 << 22);
  set.text("--pattern", "NAME", "how words are cut: gpt2, llama3, qwen2, ... or a regular expression (default: gpt2)",
           o.pattern);
  set.values("--special", "TEXT", "a control token, in the order of ids; repeat it for more",
             [&o](std::string const&, std::string const& given) { o.train.special.push_back(given); });
  set.integer("--least", "how often a pair has to occur", o.train.least, 1, largest_int32, "1");
  set.text("--out", "FILE", "where the tokenizer.json goes", o.train.out);
  set.one_of("--output", "form of the result", o.output, outputs);
  set.flag("--quiet,-q", "print nothing on stderr but errors", o.quiet);
}

void check_model(options const& o) {
  bool const dummy = o.load == load_format::dummy;
  if (!o.config.empty() && !dummy)
    misuse("--config", "is for dummy weights", "no --load-format dummy", "it beside --config");
  if (o.model.empty() && !(dummy && !o.config.empty()))
    misuse("--model", "missing", "nothing", dummy ? "a model directory, or --config FILE" : "a model directory");
}

/// Learned scales are those of the weights as they are, and leave nothing to calibrate.
void check_scales(option_set const& set, options const& o) {
  if (o.quantize.empty()) set.refuse({"--scales"}, "no --quantize", "it beside --quantize");
  if (o.compress.scales != scale_source::learned) return;
  for (char const* const step : {"--merge-lora", "--fold-norms", "--drop-layers", "--drop-attention", "--drop-mlp",
                                 "--cut-heads", "--cut-kv-heads", "--cut-mlp-width"})
    if (set.given(step)) misuse(step, "changes weights", "--scales learned", "one of the two");
  set.refuse({"--text", "--ids"}, "--scales learned", "scales that are found");
  refuse_quantize_options(set, "--scales learned", "scales that are found");
}

void check(option_set const& set, options& o) {
  o.sampling.top_k = std::max<std::int64_t>(o.sampling.top_k, 0);
  switch (o.what) {
    case command::help:
    case command::tour: break;
    case command::generate:
      check_model(o), check_kv(set, o.kv);
      if (o.kv.how.keep < 1)
        set.refuse({"--max-num-seqs"}, "--kv-keep, which runs one request at a time", "no --kv-keep");
      one_of_two("--prompt", !o.prompts.empty(), "--prompts", !o.prompts_file.empty());
      break;
    case command::chat: check_chat(set, o); break;
    case command::run: check_model(o), check_run(set, o); break;
    case command::bench: check_model(o); break;
    case command::simulate: check_simulate(set, o); break;
    case command::perplexity: check_kv_prefix(set, o.kv); [[fallthrough]];
    case command::align:
      check_model(o);
      one_of_two("--text", !o.text_file.empty(), "--ids", !o.ids_file.empty());
      break;
    case command::compress:
      if (o.model.empty()) misuse("--model", "missing", "nothing", "a model directory");
      if (o.compress.out.empty()) misuse("--out", "missing", "nothing", "a folder to write to");
      check_scales(set, o);
      if (o.compress.cut_heads + o.compress.cut_kv_heads == 0 && o.compress.mlp_width == 0)
        set.refuse({"--choice"}, "no heads or neurons that go", "--cut-heads, --cut-kv-heads or --cut-mlp-width");
      if (!o.text_file.empty() && !o.ids_file.empty()) misuse("--text", "excludes --ids", "both", "one of them");
      if (!o.compress.eval_text.empty() && !o.compress.eval_ids.empty())
        misuse("--eval-text", "excludes --eval-ids", "both", "one of them");
      check_quantize_options(set, o.quantize, o.compress.quantizing);
      break;
    case command::info: check_model(o); break;
    case command::tokenize:
    case command::detokenize:
      if (o.tokenizer.empty() && o.model.empty())
        misuse("--tokenizer", "missing", "nothing", "a tokenizer file, or --model DIR");
      if (o.text && o.file) misuse("--text", "excludes --file", "both", "one of them");
      break;
    case command::train_tokenizer:
      if (!o.file) misuse("--file", "missing", "nothing", "a text to train on");
      if (o.train.vocabulary == 0) misuse("--vocabulary", "missing", "nothing", "a number of tokens");
      if (o.train.out.empty()) misuse("--out", "missing", "nothing", "a file to write to");
      break;
  }
}

struct description {
  command     what;
  char const *name, *help, *example;
};
constexpr description descriptions[] = {
    {command::generate, "generate", "complete prompts",
     "tenon generate --model DIR --prompt \"Once upon a time\" --max-tokens 64 --seed 1"},
    {command::chat, "chat", "talk with a model", "tenon chat --model DIR --system \"Be brief.\""},
    {command::run, "run", "serve a file of requests as they arrive, and time it",
     "tenon run --model DIR --requests requests.jsonl --output json"},
    {command::bench, "bench", "measure prefill and decode", "tenon bench --model DIR -p 512 -n 128 -b 1,8,32"},
    {command::simulate, "simulate", "run the scheduler against a model of costs",
     "tenon simulate --trace conversation.csv --cost-model bench.json"},
    {command::perplexity, "perplexity", "score a text", "tenon perplexity --model DIR --text book.txt --output json"},
    {command::align, "align", "compare a model with a reference, stage by stage",
     "tenon align --model DIR --dtype bf16 --text book.txt"},
    {command::compress, "compress", "make a smaller model, and say what it costs",
     "tenon compress --model DIR --out DIR --drop-attention 2"},
    {command::tour, "tour", "show every technique on a small model, with figures", "tenon tour --stop pruning"},
    {command::info, "info", "describe a model", "tenon info --model DIR"},
    {command::tokenize, "tokenize", "text to token ids", "tenon tokenize --model DIR --text \"Once upon a time\""},
    {command::detokenize, "detokenize", "token ids to text",
     "tenon detokenize --model DIR --text \"0 722 454 261 484\""},
    {command::train_tokenizer, "train-tokenizer", "make a vocabulary of byte-level BPE from a text",
     "tenon train-tokenizer --file book.txt --vocabulary 4096 --out tokenizer.json"}};

std::string names_of(std::span<description const> all) {
  std::string names;
  for (auto const& d : all) names.append(names.empty() ? "" : ", ").append(d.name);
  return names;
}

bool takes_value(CLI::App const& app, std::string const& name) {
  CLI::Option const* const o = app.get_option_no_throw(name);
  return o != nullptr && o->get_items_expected_max() > 0;
}

struct subcommand {
  command    what;
  CLI::App*  app;
  option_set set;
};

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

  std::vector<subcommand> subcommands;
  for (auto const& [what, name, help, example] : descriptions) {
    auto* const sub = app.add_subcommand(name, help);
    sub->footer(std::string("Example:\n  ") + example);
    subcommands.push_back({what, sub, option_set(sub)});
  }
  auto const set_of = [&](command what) -> option_set& {
    return std::find_if(subcommands.begin(), subcommands.end(), [&](auto const& s) { return s.what == what; })->set;
  };
  for (command const c : {command::generate, command::chat, command::run, command::bench, command::perplexity,
                          command::align, command::info}) {
    add_common(set_of(c), o);
    if (c != command::bench && c != command::chat)  // whose batches say it, and one at a time
      set_of(c).integer("--max-num-seqs", "requests that run together at most", o.max_num_seqs, 1, 1 << 20);
  }
  add_prompts(set_of(command::generate), o);
  for (command const c : {command::generate, command::chat, command::run}) add_sampling(set_of(c), o);
  add_chat(set_of(command::chat), o);
  add_run(set_of(command::run), o), add_schedule(set_of(command::run), o.schedule);
  add_bench(set_of(command::bench), o);
  add_simulate(set_of(command::simulate), o);
  for (command const c : {command::perplexity, command::align}) {
    set_of(c).text("--text", "FILE", "the text to feed", o.text_file);
    set_of(c).text("--ids", "FILE", "JSON with per_text[].ids, each text fed alone from its first token", o.ids_file);
  }
  add_align(set_of(command::align), o.align);
  add_compress(set_of(command::compress), o);
  add_tour(set_of(command::tour), o);
  add_train(set_of(command::train_tokenizer), o);
  option_set& perplexity_set = set_of(command::perplexity);
  perplexity_set.value("--reference", "f32", "also run the unquantised f32 model, and compare",
                       [&o](std::string const& name, std::string const& given) {
                         if (given != "f32") misuse(name, "unknown choice", in_quotes(given), "f32");
                         o.reference = given;
                       });
  perplexity_set.text("--dump-logits", "FILE.npy", "write the logits, float32 (scored positions, vocabulary)",
                      o.dump_logits);
  for (command const c : {command::generate, command::perplexity}) add_kv(set_of(c), o.kv);
  add_kv_prefix(perplexity_set, o.kv);
  for (command const c : {command::tokenize, command::detokenize}) {
    bool const  ids = c == command::detokenize;
    auto* const set = &set_of(c);
    add_tokenizer(*set, o);
    set->value("--text", "TEXT", ids ? "the ids (default: standard input)" : "the text (default: standard input)",
               [&o](std::string const&, std::string const& given) { o.text = given; });
    set->value("--file", "FILE", ids ? "a file of ids" : "a file of text",
               [&o](std::string const&, std::string const& given) { o.file = given; });
    set->flag("--no-special",
              ids ? "the ids hold no beginning or end token"
                  : "add no beginning or end token; control tokens in the text are text",
              o.no_special);
  }
  set_of(command::tokenize).one_of("--output", "form of the result", o.tokens_output, token_outputs);
  set_of(command::detokenize).one_of("--output", "form of the result", o.tokens_output, text_outputs);

  // CLI11 takes the next argument for the value of `--prompt=`: hand it the empty one.
  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  CLI::App const*          sub = nullptr;
  for (auto const& one : subcommands)
    if (!arguments.empty() && one.app->get_name() == arguments.front()) sub = one.app;
  for (std::size_t i = 1; sub != nullptr && i < arguments.size(); ++i)
    if (arguments[i].starts_with("--") && arguments[i].find('=') + 1 == arguments[i].size() &&
        takes_value(*sub, arguments[i].substr(0, arguments[i].size() - 1))) {
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
           "one of " + names_of(descriptions));
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
    misuse("SUBCOMMAND", "missing", "none", "one of " + names_of(descriptions) + " (see tenon --help)");
  for (auto const& one : subcommands)
    if (one.app == chosen.front()) o.what = one.what;
  check(set_of(o.what), o);
  return o;
}

}  // namespace tenon::engine
