// error: tenon::cascade_attention: the logits depend on positions
#include <tenon/attention/cascade_attention.hpp>
auto const s =
    tenon::cascade_attention(tenon::context{}, tenon::tensor_view<float, 3>{}, tenon::tensor_view<float, 3>{},
                             tenon::paged_kv{tenon::tensor_view<float, 4>{}, tenon::tensor_view<float, 4>{}}, {}, {},
                             {}, {}, {}, tenon::attention_variant{tenon::causal{}, tenon::alibi{8}});
