#pragma once
//  A model behind the loop that `tenon run` has, in this process: requests in, tokens and counts out.
#include <engine/commands/requests.hpp>
#include <engine/commands/setup.hpp>
#include <engine/generation/generator.hpp>
#include <engine/program/command_line.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace test {

/// Tokens by request and completion.
using all_tokens = std::map<std::pair<std::size_t, int>, std::vector<std::int32_t>>;

struct served {
  all_tokens                     ids;
  tenon::engine::schedule_counts counts;
};

/// In f32, where results do not depend on the batch. `more`: options of `tenon run`.
class served_model {
 public:
  explicit served_model(std::string const& model, std::vector<std::string> const& more = {},
                        tenon::engine::text_use use = tenon::engine::text_use::wanted) {
    std::vector<std::string> all = {"tenon",   "run", "--model",           model, "--requests", "-",
                                    "--dtype", "f32", "--batch-invariant", "on"};
    all.insert(all.end(), more.begin(), more.end());
    std::vector<char const*> args;
    for (std::string const& a : all) args.push_back(a.c_str());
    options_ = tenon::engine::parse(static_cast<int>(args.size()), args.data());
    files_   = tenon::engine::open_model(options_, use);
  }

  tenon::engine::model_files const& files() const { return files_; }

  using change = std::function<void(tenon::engine::generator_options&)>;

  struct loop {
    std::unique_ptr<tenon::engine::decoder>   model;
    std::unique_ptr<tenon::engine::generator> engine;
  };
  /// `pages` 0: as many as there can be use of. The loop is done before this is gone.
  loop start(change const& changed = {}, std::int64_t pages = 0) const&& = delete;
  loop start(change const& changed = {}, std::int64_t pages = 0) const& {
    using namespace tenon::engine;
    run_limits limits         = limits_of(options_, files_.config, 8);
    limits.max_batched_tokens = 128;
    generator_options o       = generator_options_of(options_, limits, files_);
    if (changed) changed(o);
    make_room(limits, o, pages > 0 ? std::optional(pages) : std::nullopt);
    loop l;
    l.model  = open_decoder(options_, files_, limits);
    l.engine = std::make_unique<generator>(*l.model, files_.text.get(), o);
    return l;
  }

  /// All of `asked` at once.
  served serve(std::vector<tenon::engine::request> const& asked, change const& changed = {},
               std::int64_t pages = 0) const {
    loop const l = start(changed, pages);
    served     s;
    for (auto const& r : asked) l.engine->add(r);
    while (!l.engine->idle())
      l.engine->step([](std::size_t, std::string const&) {},
                     [&](tenon::engine::completion&& c) {
                       s.ids[{c.asked.index, c.number}] = std::move(c.ids);
                     });
    s.counts = l.engine->scheduled();
    return s;
  }

 private:
  tenon::engine::options     options_;
  tenon::engine::model_files files_;
};

}  // namespace test
