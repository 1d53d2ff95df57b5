#pragma once
//  `tenon train-tokenizer`.
#include <iosfwd>

#include "engine/program/command_line.hpp"

namespace tenon::engine {

int run_train_tokenizer(options const& from, std::ostream& out);

}  // namespace tenon::engine
