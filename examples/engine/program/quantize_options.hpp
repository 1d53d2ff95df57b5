#pragma once
//  How `tenon compress --quantize` finds codes and scales.
#include <cstdint>
#include <optional>
#include <string>

namespace tenon::engine {

class option_set;

enum class code_method : std::uint8_t { gptq, awq, nearest };

/// Where the scales of quantised inputs come from: the inputs of each token, the calibration, or whichever does better at a site.
enum class input_scales : std::uint8_t { dynamic, fixed, automatic };

/// What becomes the largest code of a fixed scale (tenon/compress/observers.hpp).
enum class input_range : std::uint8_t { max, percentile, squared_error, entropy };

struct quantize_options {
  code_method           method = code_method::gptq;
  bool                  clip   = true;  // awq: ranges of groups are searched, too
  std::optional<bool>   zero_points;    // of int4 codes; none: awq has them
  std::optional<double> smooth;         // SmoothQuant's alpha
  input_scales          inputs    = input_scales::dynamic;
  input_range           range     = input_range::max;
  bool                  kv_scales = false;  // scales of an 8-bit cache
};

void add_quantize_options(option_set& set, quantize_options& o);

/// Throws usage_error where one of them is given: `found` leaves no use for it, `expected` would.
void refuse_quantize_options(option_set const& set, std::string const& found, std::string const& expected);

/// Throws usage_error for what does not fit together; `quantize` is the choice, empty: none.
void check_quantize_options(option_set const& set, std::string const& quantize, quantize_options const& o);

}  // namespace tenon::engine
