#pragma once
//  Fewer heads: those that matter least go from every layer, and o_proj is fitted again on the columns that stay. What that
//  leaves of the loss, the layer's MLP is fitted to make up for (stream_heal.hpp).
//
//  A kv head goes with all the query heads that read it. Query heads alone go evenly, as many from each kv head, so that what is
//  left is grouped-query attention as before; where every query head has a kv head of its own, it takes that along. Norms of q
//  and k, the rotation and windows are the same for all heads and stay.
//
//  Layers are cut from the first to the last, each on the inputs that the layers cut before it give it; the MLP's target is the
//  stream of the model as it came.
//  Which heads matter is the mean of their columns' scores (unit_cut.hpp).
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/compress/depth_cut.hpp"
#include "engine/compress/editable_model.hpp"
#include "engine/compress/unit_cut.hpp"

namespace tenon::engine {

struct head_cut_options {
  std::int64_t heads    = 0;  // query heads that every layer loses
  std::int64_t kv_heads = 0;  // kv heads that every layer loses, with their query heads, before those
  unit_options units;
};

struct head_cut {
  std::size_t               layer = 0;
  layer_shape               before, after;
  std::vector<std::int64_t> kept;  // query heads
  double plain = 0, fitted = 0;    // relative error of o_proj's output on the texts, without and with the fit
};

/// Throws `error` where a layer has too few heads, or query heads do not go evenly.
void check_heads(editable_model const& model, head_cut_options const& how);

/// As check_heads, before anything is cut.
std::vector<head_cut> cut_heads(editable_model& model, model_opener const& open, token_texts const& texts,
                                scorer_options const& options, head_cut_options const& how);

}  // namespace tenon::engine
