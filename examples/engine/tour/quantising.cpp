//  Weights in 8 and 4 bits.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/commands/timed_steps.hpp"
#include "engine/compress/quantize_model.hpp"
#include "engine/tour/stops.hpp"
#include "engine/tour/timing.hpp"

namespace tenon::engine::tour {

namespace {

struct quantised {
  char const*     name;
  quantize_choice choice;
  code_method     method;
};
constexpr quantised kinds[] = {{"w8a8, GPTQ", quantize_choice::w8a8, code_method::gptq},
                               {"w4a16, GPTQ", quantize_choice::w4a16, code_method::gptq},
                               {"w4a16, rounded", quantize_choice::w4a16, code_method::nearest}};

/// A token of one sequence in each step.
void decode(decoder& model, guide& g) {
  constexpr int steps = 24, depth = 32;
  timed_steps   run(model,
                    {1, depth + steps, static_cast<int>(g.asked().block_size), depth, g.files().config.vocab_size});
  run.fill(depth);
  for (int i = 0; i < steps; ++i) {
    run.add(0, depth + i, 1, 1);
    (void)run.run();
  }
}

}  // namespace

void visit_quantising(guide& g, findings& f) {
  editable_model const&                 whole = g.original();
  model_opener const                    open  = g.bench().opener();
  std::vector<std::unique_ptr<decoder>> models;
  {
    table& t = f.add_table(figures::exact, {"weights", "bytes", "KL, nats per token", "same top token"});
    t.rows.push_back(
        {"bf16, as they are", number(static_cast<std::int64_t>(written_model(whole).bytes)), "0", "100 %"});
    f.quotations.push_back({"before", g.greedy_text(g.reference())});
    for (quantised const& k : kinds) {
      editable_model m = whole;
      (void)quantize_model(m, open, g.calibration(), g.scoring(), k.choice, {.method = k.method});
      written_model const smaller(m);
      models.push_back(g.open(smaller));
      distance const d = g.distance_of(*models.back());
      t.rows.push_back({k.name, number(static_cast<std::int64_t>(smaller.bytes)), d.kl_text(), percent(d.top1)});
      f.quotations.push_back({k.name, g.greedy_text(*models.back())});
    }
  }
  std::vector<std::function<void()>> ways{[&] { decode(g.reference(), g); }};
  for (auto const& m : models) ways.push_back([&] { decode(*m, g); });
  auto const seconds = seconds_in_turns(5, ways);
  table&     t       = f.add_table(figures::timed, {"weights", "decode, times f32's tokens/s"});
  for (std::size_t i = 0; i < models.size(); ++i)
    t.rows.push_back({kinds[i].name, number("%.2f", seconds[0] / seconds[1 + i])});
}

}  // namespace tenon::engine::tour
