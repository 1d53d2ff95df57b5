//  Pieces of many ids at once against one after the other.
#include <engine/text/piece_table.hpp>

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace {

using tenon::engine::piece_table;

TEST(piece_table, appends_what_was_added) {
  std::mt19937             random(1);
  piece_table              table;
  std::vector<std::string> pieces;
  for (std::size_t n = 0; n < 300; ++n) {  // of every length around 15 and 16, some empty, some long
    std::string piece(n < 40 ? n : random() % (n % 7 == 0 ? 900 : 18), '\0');
    for (char& c : piece) c = static_cast<char>(static_cast<unsigned char>(random() % 256));
    pieces.push_back(piece);
    table.add(piece);
  }
  for (std::size_t count : {0u, 1u, 2u, 700u, 20000u}) {
    std::vector<std::int32_t> ids;
    std::string               text = "before", expected = text;
    while (ids.size() < count) {
      auto const id = static_cast<std::int32_t>(random() % 302) - 1;  // -1 and 300 are nobody's
      ids.push_back(id);
      if (id >= 0 && id < 300) expected += pieces[static_cast<std::size_t>(id)];
    }
    table.append(ids, text);
    EXPECT_EQ(text, expected);
  }
}

}  // namespace
