//  name_table against a map.
#include <engine/text/name_table.hpp>

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace {

using namespace tenon::engine;

TEST(name_table, finds_what_was_added_and_nothing_else) {
  name_table                          table;
  std::map<std::string, std::int32_t> places;
  std::uint32_t                       state = 1;
  for (std::int32_t i = 0; i < 5000; ++i) {
    std::string name;  // short ones, so that many come again; and it grows twice
    for (std::uint32_t n = (state = state * 1664525 + 1013904223) >> 29; n > 0; --n)
      name += static_cast<char>((state = state * 1664525 + 1013904223) >> 30);
    auto const [at, first] = places.try_emplace(name, -1);
    EXPECT_EQ(table.add(name), at->second);
    at->second = i;
    ASSERT_EQ(table[static_cast<std::size_t>(i)], name);
  }
  EXPECT_EQ(table.size(), 5000u);
  EXPECT_LT(places.size(), 4000u);
  for (auto const& [name, place] : places) {
    EXPECT_EQ(table.find(name), place);
    EXPECT_EQ(table.find(name + "x"), -1);
  }
}

TEST(name_table, is_empty_at_first) {
  name_table table;
  EXPECT_EQ(table.find(""), -1);
  EXPECT_EQ(table.add(""), -1);
  EXPECT_EQ(table.find(""), 0);
}

TEST(text_list, neighbours_are_one_text) {
  text_list list;
  for (char const* text : {"a", "", "bc"}) list.add(text);
  EXPECT_EQ(list.size(), 3u);
  EXPECT_EQ(list[1], "");
  EXPECT_EQ(list.range(0, 3), "abc");
}

}  // namespace
