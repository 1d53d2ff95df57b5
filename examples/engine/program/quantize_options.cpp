#include "engine/program/quantize_options.hpp"

#include "engine/program/option_set.hpp"

namespace tenon::engine {

namespace {

constexpr choice<code_method> methods[] = {
    {"gptq", code_method::gptq}, {"awq", code_method::awq}, {"rtn", code_method::nearest}};
constexpr choice<input_scales> scales[] = {
    {"dynamic", input_scales::dynamic}, {"static", input_scales::fixed}, {"auto", input_scales::automatic}};
constexpr choice<input_range> ranges[] = {{"max", input_range::max},
                                          {"percentile", input_range::percentile},
                                          {"mse", input_range::squared_error},
                                          {"entropy", input_range::entropy}};

constexpr choice<bool> switches[] = {{"on", true}, {"off", false}};

}  // namespace

void add_quantize_options(option_set& set, quantize_options& o) {
  set.one_of("--method", "how codes are found: on the calibration text by GPTQ or AWQ, or by rounding", o.method,
             methods);
  set.flag("--no-clip", "awq without the search of clipped ranges", o.clip, false);
  set.one_of("--zero-points", "whether groups of int4 codes have them (default: with awq)", o.zero_points, switches);
  set.value("--smooth", "ALPHA", "move this part of the inputs' ranges into the weights, 0.5 to 0.85 (SmoothQuant)",
            [&o](std::string const& name, std::string const& given) { o.smooth = parse_number(name, given, 0, 1); });
  set.one_of("--activations", "scales of quantised inputs: found as they come, fixed, or fixed where that does no harm",
             o.inputs, scales);
  set.one_of("--observer", "which magnitude a fixed scale takes for the largest code", o.range, ranges);
  set.flag("--kv-scales", "write fixed scales for an fp8 cache", o.kv_scales);
}

void refuse_quantize_options(option_set const& set, std::string const& found, std::string const& expected) {
  set.refuse({"--method", "--no-clip", "--zero-points", "--smooth", "--activations", "--observer", "--kv-scales"},
             found, expected);
}

void check_quantize_options(option_set const& set, std::string const& quantize, quantize_options const& o) {
  bool const fp8 = quantize == "fp8", eight = quantize == "w8a8" || fp8;
  if (quantize.empty()) refuse_quantize_options(set, "no --quantize", "it beside --quantize");
  if (!eight) set.refuse({"--smooth", "--activations"}, "--quantize " + quantize, "w8a8 or fp8, which quantise inputs");
  if (quantize != "w4a16") set.refuse({"--zero-points"}, "--quantize " + quantize, "w4a16");
  if (o.method != code_method::awq) set.refuse({"--no-clip"}, "another --method", "awq");
  if (o.method == code_method::awq && (fp8 || quantize == "fp8-block"))
    misuse("--method", "awq is for integer codes", quantize, "w4a16, w8a16 or w8a8");
  if (o.method == code_method::awq && o.smooth)
    misuse("--smooth", "excludes --method awq", "both", "one of them: each has the same factors to choose");
  if (o.inputs == input_scales::dynamic) set.refuse({"--observer"}, "no fixed scale", "--activations static or auto");
  if (fp8 && (o.range == input_range::squared_error || o.range == input_range::entropy))
    misuse("--observer", "counts levels of equal width, which fp8 does not have", "mse or entropy",
           "max or percentile");
}

}  // namespace tenon::engine
