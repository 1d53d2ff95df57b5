//  Parts of the model go, and what is left is fitted to make up for them.
#include <string>

#include "engine/compress/depth_cut.hpp"
#include "engine/compress/width_cut.hpp"
#include "engine/tour/stops.hpp"

namespace tenon::engine::tour {

void visit_pruning(guide& g, findings& f) {
  editable_model const& whole = g.original();
  model_opener const    open  = g.bench().opener();
  table& t = f.add_table(figures::exact, {"what goes", "parameters", "bytes", "KL, nats per token", "same top token"});
  t.rows.push_back({"nothing", number(static_cast<std::int64_t>(whole.parameters())),
                    number(static_cast<std::int64_t>(written_model(whole).bytes)), "0", "100 %"});
  f.quotations.push_back({"before", g.greedy_text(g.reference())});

  auto const show = [&](std::string const& what, editable_model const& m) {
    written_model const smaller(m);
    auto const          model = g.open(smaller);
    distance const      d     = g.distance_of(*model);
    t.rows.push_back({what, number(static_cast<std::int64_t>(m.parameters())),
                      number(static_cast<std::int64_t>(smaller.bytes)), d.kl_text(), percent(d.top1)});
    f.quotations.push_back({"without " + what, g.greedy_text(*model)});
  };
  {
    depth_cutter const cutter(whole, open, g.calibration(), g.scoring(), true);
    for (cut_kind const kind : {cut_kind::attention, cut_kind::layer}) {
      editable_model    m    = whole;
      std::size_t const gone = cutter.cut(m, kind).layer;
      show((kind == cut_kind::attention ? "the attention of layer " : "layer ") + std::to_string(gone), m);
    }
  }
  editable_model narrow = whole;
  (void)cut_mlp_width(narrow, open, g.calibration(), g.scoring(), .1, {});
  show("a tenth of every MLP", narrow);
}

}  // namespace tenon::engine::tour
