"""Bugs of KV managers, many of which engines have had. Format: run.py."""
CHECK = "tests/mutations/check_kv.cpp"
SOURCES = []
INCLUDES = ["include", "tests/kv"]
FOLDERS = ["include"]

POOL = "include/tenon/kv/block_pool.hpp"
HASH = "include/tenon/kv/prefix_hash.hpp"
INDEX = "include/tenon/kv/prefix_index.hpp"
CACHE = "include/tenon/kv/prefix_cache.hpp"
KV = "include/tenon/kv/kv_blocks.hpp"
LRU = "include/tenon/kv/lru_eviction.hpp"
CLOCK = "include/tenon/kv/clock_eviction.hpp"
PRIORITY = "include/tenon/kv/priority_eviction.hpp"

MUTATIONS = [
    # The hash.
    ("hash_ignores_the_last_token", "imp#1301", HASH, "    if (block.size() % 2 != 0) {", "    if (false) {"),
    ("hash_ignores_the_last_pair", "imp#1301", HASH, "whole = block.size() / 2;", "whole = (block.size() - 1) / 2;"),
    ("hash_ignores_the_parent", "a chain that is none", HASH, "keys_[0].parent) * parent.a +", "keys_[0].parent) * 0 +"),
    ("hash_ignores_the_salt", "tenants that share digests: vLLM's cache_salt", HASH,
     "static_cast<wide>(k.salt) * (salt % prime)", "static_cast<wide>(k.salt)"),
    # The cache.
    ("tokens_not_compared", "a hash taken for proof: vLLM's prefix caching before SHA-256", CACHE,
     "std::memcmp(tokens_of(id), tokens.data(), block_size_ * sizeof(std::int32_t)) == 0", "true"),
    ("parent_not_compared", "equal blocks behind different prefixes", CACHE,
     "return e.digest == d && e.parent == chain.parent &&", "return e.digest == d &&"),
    ("entry_stays_after_eviction", "imp#1308: a stale hash that nothing cleans up", CACHE,
     "    index_.erase(e.digest, id);\n", ""),
    ("version_not_bumped", "what hung on an evicted block hangs on its successor", CACHE, "    ++e.version;\n", ""),
    ("salt_ignored_in_part", "partial reuse across tenants", CACHE, "return {hash_.root(salt), salt, 0};",
     "return {hash_.root(salt), 0, 0};"),
    ("partial_reuse_off_by_one", "a token too many of a partial block: TensorRT-LLM's copy_on_partial_reuse", CACHE,
     "best = id, shared = static_cast<std::int32_t>(n);", "best = id, shared = static_cast<std::int32_t>(n) + 1;"),
    ("partial_reuse_of_the_first_child", "a child that begins otherwise", CACHE,
     "if (static_cast<std::int32_t>(n) > shared)", "if (looked == 0)"),
    ("idle_block_stays_evictable", "a block that was hit is evicted under its owner: vLLM#9972", CACHE,
     "      eviction_.remove(id);\n", ""),
    ("owned_block_becomes_evictable", "eviction of an owned block", CACHE,
     "    if (pool_.references(id) != 0 || !pool_.is_kept(id)) return;\n",
     "    if (pool_.references(id) > 1 || !pool_.is_kept(id)) return;\n"),
    # The index.
    ("erase_leaves_a_gap", "what was behind a collision is not found", INDEX,
     "if (((i - slots_[i].tag) & mask_) >= ((i - hole) & mask_))", "if (false)"),
    ("erase_moves_too_much", "an entry in front of its slot", INDEX,
     "if (((i - slots_[i].tag) & mask_) >= ((i - hole) & mask_))", "if (true)"),
    # The pool.
    ("generation_not_bumped_on_free", "a handle to a block's next owner", POOL,
     "if ((s & seen) != 0) ++generations_[static_cast<std::size_t>(id)];", ""),
    ("generation_not_bumped_on_drop", "a handle to what a cache gave up", POOL,
     "if ((of(id) & seen) != 0) ++generations_[static_cast<std::size_t>(id)];", ""),
    ("count_saturates", "the 64th owner of a shared prompt", POOL, "    else ++n;\n", ""),
    ("idle_count_drifts", "free + idle + used is not all", POOL, "    if ((of(id) & owners) == 0) --idle_;\n", ""),
    # Forks and copies.
    ("reference_lost_on_fork", "a fork that does not own what it shares", KV,
     "pool_.share({table, static_cast<std::size_t>(child.blocks)})",
     "pool_.share({table, static_cast<std::size_t>(std::max(child.blocks, 1) - 1)})"),
    ("fork_writes_the_shared_tail", "two beams in one block", KV,
     "child.shared_tail = parent.shared_tail = parent.shared_tail || parent.length % options_.block_size != 0;",
     "child.shared_tail = parent.shared_tail || parent.length % options_.block_size != 0;"),
    ("source_of_a_copy_released_early", "vllm#37076", KV,
     "      plan_copy(from, table[tail], filled, s.worth);\n",
     "      plan_copy(from, table[tail], filled, s.worth), give_back(from, s.worth);\n"),
    ("source_of_a_copy_never_released", "a leak of one block per fork", KV,
     "        give_back(copies_[i].from, worths_[i]);\n", ""),
    ("source_of_a_partial_copy_not_held", "evicted for the copy that reads it", KV,
     "    take_cached(from);  // so that it is not the one evicted for the copy\n", ""),
    ("pinned_block_counts_as_shared", "copied once too often", KV,
     "return pool_.references(id) - pins_[static_cast<std::size_t>(id)];", "return pool_.references(id);"),
    # Truncation.
    ("copy_on_write_forgotten_after_truncate", "a cached tail is written over", KV,
     "    s.shared_tail = tokens % options_.block_size != 0;  // perhaps", "    s.shared_tail = s.shared_tail;  // perhaps"),
    ("cached_tail_stays_in_the_index", "old tokens are found where new ones stand", KV,
     "      cache_.forget(table[tail]);\n", ""),
    ("chain_not_reset_by_truncate", "blocks cached behind tokens that were rejected", KV,
     "      s.chain  = full > s.first ? cache_.end_at(row(id)[full - 1]) : full == 0 ? cache_.root(s.salt) : s.chain;\n", ""),
    ("lost_chain_goes_on", "blocks cached behind a window under a wrong chain", KV,
     "s.unhashed = true;  // what stood", "s.unhashed = false;  // what stood"),
    # Order, all or nothing, windows.
    ("released_first_to_last", "the start of a shared prefix is evicted before its ends: vLLM frees in reverse", KV,
     "    for (std::int32_t i = s.blocks; i-- > end;) {\n", "    for (std::int32_t i = end; i < s.blocks; ++i) {\n"),
    ("reserve_takes_what_there_is", "half an allocation", KV,
     "    if (more > may) return", "    if (more > may + 1) return"),
    ("reserve_takes_the_last_ones", "a watermark that nobody keeps", KV, "std::clamp(leave, 0, available())", "0"),
    ("commit_past_the_reservation", "tokens in blocks that nobody has", KV, "    if (length > room) return", "    if (false) return"),
    ("commit_into_a_shared_tail", "two forks write one block", KV, "s.shared_tail ? s.length : capacity(id)", "capacity(id)"),
    ("copy_not_counted_by_reserve", "all or nothing without the copy", KV,
     "want - s.blocks + (copy ? 1 : 0);", "want - s.blocks;"),
    ("window_releases_one_too_many", "a key that is still looked at", KV,
     "token / options_.block_size, 0, s.length", "(token + options_.block_size - 1) / options_.block_size, 0, s.length"),
    ("last_token_attached", "nothing left to compute: no logits", KV, "std::min(tokens.size() - 1, ",
     "std::min(tokens.size(), "),
    ("duplicate_keeps_both", "a block that nobody counts", KV, "      take_cached(there);  // the same", "      // the same"),
    # Metrics.
    ("fragmentation_drifts", "VeloxQuant#462", KV,
     "    metrics_.table_blocks -= s.blocks - end;\n", "    metrics_.table_blocks -= s.blocks - end - (blocks > 0);\n"),
    ("window_keeps_its_tokens_in_the_metrics", "a counter that only grows", KV,
     "      metrics_.tokens -= options_.block_size;\n", ""),
    # Policies.
    ("lru_is_a_stack", "the youngest first", LRU, "block_id const id = at(end_).next;", "block_id const id = at(end_).previous;"),
    ("clock_spares_nobody", "first in, first out", CLOCK, "      if ((safe & bit) == 0) break;\n", "      break;\n"),
    ("time_to_live_is_one_too_long", "a system prompt that stays", PRIORITY, "at(heap_.front()).expiry <= now", "at(heap_.front()).expiry < now"),
    ("priority_list_is_a_stack", "the youngest first", PRIORITY, "block_id const id       = at(end_of(priority)).next;",
     "block_id const id       = at(end_of(priority)).previous;"),
    ("times_end_in_any_order", "the start of a chain goes before its end", PRIORITY,
     "static_cast<std::int32_t>(x.order - y.order) < 0;", "false;"),
]
