#include "engine/tour/stops.hpp"

namespace tenon::engine::tour {

namespace {

constexpr stop stops[] = {
    {"stream", "Streaming text",
     "The model begins to answer as soon as its prompt is fed, and every token is printed when it is "
     "drawn. TTFT is the time to the first token, ITL the gap between two of them.",
     "build/tenon generate --model DIR --prompt \"Once upon a time\" --max-tokens 96 --temperature 0.8 "
     "--seed 7",
     visit_stream},
    {"race", "A race in a CUDA kernel, caught on a CPU",
     "Four warps leave a sum each in shared memory, and all threads add the four up. Without a barrier "
     "in between they may read what is not there yet. The kernel is plain CUDA; it runs on fibers "
     "under a checker that knows what is ordered before what, so the race is found in any order of "
     "execution, also where the result happens to be right.",
     "build/tour_race", visit_race},
    {"fusion", "Fused operators, and forms of GELU",
     "What one operator writes and the next one reads again goes through memory twice. A fused launch "
     "keeps it in registers: fewer bytes for the same numbers. Of GELU there are cheaper forms than "
     "the exact one; each is off by so much.",
     "build/tenon tour --stop fusion", visit_fusion},
    {"folds", "Folding: several operators become one",
     "An adapter, the gain of a norm, or the branches of a RepVGG block are linear, so they can be "
     "multiplied into the weights beside them once and for all. Nothing is lost but the rounding of "
     "f32.",
     "build/tenon tour --stop folds", visit_folds},
    {"pruning", "Pruning",
     "Half a layer, a layer, or a tenth of the neurons of every MLP goes: each time the part whose "
     "loss, measured after healing, costs least. Healing fits the last matrix in front of the gap "
     "again, by least squares on text of the model's own. Then the model goes on with a story by its "
     "most likely tokens.",
     "build/tenon compress --model DIR --out OUT --drop-attention 1", visit_pruning},
    {"quantising", "Quantising",
     "Weights as codes of 8 or 4 bits. GPTQ chooses the codes of a column so that they make up for the "
     "errors of the columns before it; rounding takes the nearest. w8a8 also quantises the inputs of "
     "every product, row by row, as they come. Fewer bytes are faster where memory is the limit; this "
     "model fits into the caches of a CPU, where unpacking codes costs more than it saves.",
     "build/tenon compress --model DIR --out OUT --quantize w4a16", visit_quantising},
    {"precision", "Which stage is less exact",
     "The same tokens through two settings of the model, compared behind every stage. Each stage is "
     "fed the reference's numbers, so its error is its own: the first one beyond the budget of bf16 is "
     "to blame.",
     "build/tenon align --model DIR --dtype bf16 --kv-cache-dtype int8 --text FILE", visit_precision},
    {"kv-cache", "The cache of keys and values",
     "Keys and values can be kept in 8 or 4 bits. And where they are kept in pages, memory is held for "
     "tokens that are there, and not for the longest answer that might come.",
     "build/tenon perplexity --model DIR --kv-cache-dtype int8 --reference f32 --text FILE", visit_kv_cache},
    {"kv-compression", "Keeping key tokens",
     "Of the keys and values of a prefix every head keeps only some; the pages of the others are free. "
     "Which ones is asked of the last queries (snapkv), of the keys alone (keydiff), or of nobody: the "
     "newest (window), or any (random). What follows the prefix is compared with what follows all of it.",
     "build/tenon perplexity --model DIR --kv-prefix 96 --kv-keep 0.5 --kv-recent 8 --reference f32 --text "
     "FILE",
     visit_kv_compression},
    {"batching", "Batching, and the tail of latency",
     "The engine's own scheduler against a model of an 8B on an H200, so these figures are simulated. "
     "A static batch lasts as long as its longest answer; a continuous one is joined and left at every "
     "step. Whole prompts hold up those who are reading (ITL); prompts in chunks that fit a target do "
     "not.",
     "build/tenon simulate --arrivals poisson --rate 14 --num-prompts 1500 --random-input-len 1500 "
     "--random-input-std 1200 --random-output-len 200 --random-output-std 150 --kv-cache-blocks 50000 "
     "--cost-model llama-8b-bf16-h200 --policies static,prefill-first,no-chunked,mixed-512,target-20ms",
     visit_batching},
    {"prefix-cache", "Prefix caching",
     "24 requests at once, eight together, that begin with the same 192 tokens. Their pages are "
     "computed once and shared; a hit is compared token by token, so the completions are those without "
     "it.",
     "build/tenon run --model DIR --requests FILE --no-enable-prefix-caching", visit_prefix_cache},
    {"tokenizer", "The tokenizer",
     "Byte-level BPE, text to ids and back, on what the model has said. It should be a small part of "
     "the time to a first token.",
     "build/tenon tokenize --model DIR --file FILE --output count", visit_tokenizer},
    {"attention", "Flash attention",
     "Attention over a long prompt in tiles of keys with a running softmax, against two products with "
     "the whole matrix of scores between them. Three heads of 64 over one of keys, causal, in f32; "
     "tiles behind the diagonal are left out.",
     "build/tenon tour --stop attention", visit_attention},
};

}  // namespace

std::span<stop const> all_stops() { return stops; }

}  // namespace tenon::engine::tour
