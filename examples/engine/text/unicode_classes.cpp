#include "engine/text/unicode_classes.hpp"

namespace tenon::engine {

namespace {

#include "engine/text/unicode_classes.inc"

}  // namespace

unsigned unicode_class_of(char32_t code) {
  return code < 0x110000 ? rows[static_cast<unsigned>(row_of[code >> 7]) << 7 | (code & 127)] : 0;
}

}  // namespace tenon::engine
