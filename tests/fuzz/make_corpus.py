"""Writes the fuzzers' seeds, small files of every accepted form: python3 tests/fuzz/make_corpus.py"""
import base64
import json
import pathlib
import struct

HERE = pathlib.Path(__file__).parent / "corpus"


def seed(fuzzer, name, content):
    path = HERE / fuzzer / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


def safetensors(header, data):
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + bytes(data)


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


seed("safetensors", "one", safetensors({"a": tensor("F32", [2], 0, 8)}, 8))
seed("safetensors", "several", safetensors({
    "__metadata__": {"format": "pt"}, "a": tensor("BF16", [2, 3], 0, 12), "b": tensor("I64", [], 12, 20),
    "c": tensor("F8_E4M3", [0, 7], 20, 20), "d": tensor("U8", [1], 20, 21)}, 21))
seed("safetensors", "hole", safetensors({"a": tensor("U8", [1], 0, 1), "b": tensor("U8", [1], 2, 3)}, 3))
seed("safetensors", "overflow", safetensors({"a": tensor("F32", [1 << 62], 0, 0)}, 0))

keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
alphabet = [chr(b) if b in keep else chr(256 + [i for i in range(256) if i not in keep].index(b)) for b in range(256)]
vocabulary = {c: i for i, c in enumerate(alphabet)}
vocabulary.update({"aa": 256, "Ġa": 257, "<|endoftext|>": 258})
byte_level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
model = {"type": "BPE", "vocab": vocabulary, "merges": ["a a", ["Ġ", "a"]]}
added = {"id": 258, "content": "<|endoftext|>", "special": True, "normalized": False}
seed("tokenizer_file", "byte_level", {"pre_tokenizer": byte_level, "model": model})
small = {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "Ġ": 3}, "merges": ["a b"], "unk_token": "a"}
seed("tokenizer_file", "small", {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}, "model": small})
seed("tokenizer_file", "everything", {
    "added_tokens": [added, {"id": 259, "content": "time", "single_word": True, "lstrip": True, "rstrip": True}],
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}]},
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": r"(?i:'s|'t)|\p{L}+|[^\s\p{L}]+|\s+(?!\S)|\s+"}, "behavior": "Isolated", "invert": False},
        {"type": "Split", "pattern": {"String": "ce"}, "behavior": "MergedWithNext"}, {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}]},
    "post_processor": {"type": "Sequence", "processors": [{"type": "ByteLevel"}, {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [258], "tokens": ["<|endoftext|>"]}}}]},
    "decoder": {"type": "ByteLevel"}, "model": {**model, "ignore_merges": True}})


def llama2c(tokens):
    return struct.pack("<i", 16) + b"".join(struct.pack("<fi", -i, len(t)) + t for i, t in enumerate(tokens))


def ranks(tokens):
    return b"".join(base64.b64encode(t) + b" %d\n" % i for i, t in enumerate(tokens))


seed("tokenizer_file", "ranks", ranks([bytes([b]) for b in range(256)] + [b"aa", b" a", b"a a", b"aaa"]))

pieces = [b"<unk>", b"\n<s>\n", b"\n</s>\n"]
seed("tokenizer_file", "llama2c", llama2c(pieces + [b" ", b"a", b"aa", b" a", b"e"]))
seed("tokenizer_file", "llama2c_bytes", llama2c(pieces + [b"<0x%02X>" % b for b in range(256)] + [b" ", b"a", b"aa"]))



def varint(v):
    return bytes([v]) if v < 128 else bytes([v & 127 | 128]) + varint(v >> 7)


def field(number, value):
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(message):
    """The last of each field of bytes, by number."""
    def number():
        nonlocal at
        value = shift = 0
        while True:
            at += 1
            value |= (message[at - 1] & 127) << shift
            shift += 7
            if message[at - 1] < 128:
                return value

    at, result = 0, {}
    while at < len(message):
        key = number()
        size = {1: 8, 5: 4}.get(key & 7) or number()
        if key & 7 == 2:
            result[key >> 3] = message[at:at + size]
        at += size if key & 7 else 0
    return result


def sentencepiece(entries, trainer, normalizer):
    """`entries`: (text, score, type)."""
    return b"".join(field(1, field(1, t.encode()) + field(2, float(s)) + field(3, k)) for t, s, k in entries) + b"".join(
        field(n, b"".join(field(*f) for f in spec.items())) for n, spec in ((2, trainer), (3, normalizer)))


controls = [("<unk>", 0, 2), ("<s>", 0, 3), ("</s>", 0, 3)]
words = [("\u2581", -3, 1), ("a", -3, 1), ("aa", -2, 1), ("\u2581a", -1, 1), ("e", -4, 1), ("<|end", 0, 4), ("aaaa", -1, 5)]
every_byte = [("<0x%02X>" % b, 0, 6) for b in range(256)]
seed("tokenizer_file", "sentencepiece_bpe", sentencepiece(controls + every_byte + words, {3: 2, 35: 1}, {3: 1, 4: 0}))
trained = (HERE.parent.parent / "engine/text/sentencepiece/unigram.model").read_bytes()
rules = fields(fields(trained)[3])[2]
seed("tokenizer_file", "sentencepiece_unigram", sentencepiece(controls + words, {3: 1}, {2: rules}))
seed("tokenizer_file", "sentencepiece_characters", sentencepiece(controls + words, {3: 4}, {3: 0, 4: 0, 5: 0}))
bytes_too = {**{t: i for i, (t, _, _) in enumerate(controls + every_byte + words)}}
escaped = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
seed("tokenizer_file", "pieces", {
    "added_tokens": [{"id": 1, "content": "<s>", "special": True}, {"id": 300, "content": "a cat", "normalized": True}],
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}, {"type": "Prepend", "prepend": "\u2581"}, escaped]},
    "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"},
                                                 {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
    "post_processor": {"type": "RobertaProcessing", "cls": ["<s>", 1], "sep": ["</s>", 2]},
    "model": {"type": "BPE", "byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>", "vocab": bytes_too, "merges": ["a a", "\u2581 a", "aa aa"]}})
metaspace = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": True}
seed("tokenizer_file", "unigram", {
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "Precompiled", "precompiled_charsmap": base64.b64encode(rules).decode()},
                                                       {"type": "StripAccents"}, {"type": "Strip"}, {"type": "NFD"}]},
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Punctuation"}, metaspace]},
    "decoder": metaspace, "model": {"type": "Unigram", "unk_id": 0, "vocab": [[t, s] for t, s, _ in controls + words]}})
def text_of(t):
    t = t if isinstance(t, bytes) else t.encode()
    return struct.pack("<Q", len(t)) + t


def gguf(keys, tensors=b"", count=0, version=3):
    out = b"GGUF" + struct.pack("<IQQ", version, count, len(keys))
    for name, value in keys.items():
        out += text_of(name)
        if isinstance(value, bool):
            out += struct.pack("<IB", 7, value)
        elif isinstance(value, int):
            out += struct.pack("<II", 4, value)
        elif isinstance(value, (str, bytes)):
            out += struct.pack("<I", 8) + text_of(value)
        elif isinstance(value[0], float):
            out += struct.pack("<IIQ", 9, 6, len(value)) + struct.pack(f"<{len(value)}f", *value)
        elif isinstance(value[0], int):
            out += struct.pack("<IIQ", 9, 5, len(value)) + struct.pack(f"<{len(value)}i", *value)
        else:
            out += struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text_of, value))
    return out + tensors


words = alphabet + ["aa", "Ġa", "aaa", "<|endoftext|>", "<tool>", "[PAD261]"]
byte_pairs = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": words,
              "tokenizer.ggml.token_type": [1] * 259 + [3, 4, 5], "tokenizer.ggml.merges": ["a a", "Ġ a", "aa a"],
              "tokenizer.ggml.eos_token_id": 259, "tokenizer.ggml.bos_token_id": 259, "tokenizer.ggml.add_bos_token": True}
for pre in ("gpt-2", "llama-bpe", "qwen2", "deepseek-llm", "deepseek-v3", "falcon", "starcoder", "tekken", "default"):
    seed("vocabulary", "gguf_" + pre, gguf({**byte_pairs, "tokenizer.ggml.pre": pre}))
seed("vocabulary", "gguf_tensors", gguf(
    {"general.alignment": 64, **byte_pairs, "tokenizer.ggml.pre": "gpt-2"},
    text_of("t") + struct.pack("<IQQIQ", 2, 2, 2, 0, 0) + text_of("u") + struct.pack("<IQIQ", 1, 32, 8, 64) + bytes(300), 2))
scored = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + ["▁", "a", "aa", "▁a", "<tool>", "e"]
seed("vocabulary", "gguf_pieces", gguf(
    {"general.architecture": "phi3", "tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": scored,
     "tokenizer.ggml.scores": [-float(i) for i in range(len(scored))],
     "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [1] * 4 + [4, 1], "tokenizer.ggml.add_space_prefix": True}, version=2))
merges = "#version: 0.2\na a\nĠ a\n".encode()
text_vocabulary = json.dumps(vocabulary).encode()
seed("vocabulary", "merges", b"\0".join([text_vocabulary, merges, b"", b""]))
seed("vocabulary", "merges_with_more", b"\0".join([
    text_vocabulary, merges, json.dumps({"<x>": 300, "<|y|>": 301}).encode(),
    json.dumps({"tokenizer_class": "Qwen2Tokenizer", "add_bos_token": True, "bos_token": {"content": "<|y|>"},
                "eos_token": "<|endoftext|>", "added_tokens_decoder": {"302": {"content": "<z>", "special": True, "lstrip": True}}}).encode()]))

llama = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 512, "hidden_size": 64,
         "intermediate_size": 172, "num_hidden_layers": 5, "num_attention_heads": 8, "num_key_value_heads": 4,
         "max_position_embeddings": 512, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "hidden_act": "silu",
         "tie_word_embeddings": True, "attention_bias": False, "mlp_bias": False, "bos_token_id": 1,
         "eos_token_id": [2, 3], "torch_dtype": "float32"}
seed("config_json", "llama", llama)
seed("config_json", "llama3", {**llama, "rope_scaling": {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192}})
seed("config_json", "yarn", {**llama, "architectures": ["Qwen2ForCausalLM"], "use_sliding_window": True, "sliding_window": 64,
                             "rope_parameters": {"type": "yarn", "factor": 4, "rope_theta": 1e6, "attention_factor": 1.1}})
seed("config_json", "mistral", {**llama, "architectures": ["MistralForCausalLM"], "sliding_window": 16, "head_dim": 32})
seed("config_json", "prompt", {"prompt": "a", "max_tokens": 5, "top_p": 0.5, "seed": 1, "stop": ["x"], "logit_bias": {"5": -1}})
seed("config_json", "prompt_ids", {"prompt_ids": [1, 2], "stop": "x", "ignore_eos": True, "temperature": 0})

seed("trace", "azure", b"TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n")
seed("trace", "mooncake", b"\n".join(json.dumps(r).encode() for r in (
    {"timestamp": 0, "input_length": 758, "output_length": 5, "hash_ids": [0, 1]},
    {"timestamp": 1500, "input_length": 600, "output_length": 6, "hash_ids": [0, 2]})))
seed("trace", "vidur", b"num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\n3772,54,3826,69.85\n")
seed("trace", "cost_model", {"cost_model": {"step": 1e-4, "weights": 3e-3, "token": 2e-5, "key": 1e-8, "pair": 1e-12}})
seed("trace", "steps", {"steps": [
    {"tokens": t, "sequences": 1, "rows": 1, "keys": t, "pairs": t * t, "seconds": .004 + t / 1e5} for t in (1, 64, 512)]})

# Of each vocabulary (first byte) a text that has something of everything, and texts of one kind.
texts = {
    "everything": "Once upon a time,  there was\n\n a cat's 123 <|end|> e\u0301 \u4e2d\U0001f44d aaaaaaaaaaaaaaaaaaaaaaa I'LL \r\n HTMLParser ".encode() + b"\xff\xe4\xb8",
    "spaces": " \t \n\n \r\n\u00a0\u3000  \u2028a \u0085 \n ".encode(), "runs": b"ababababcdabcd" * 20 + b"_" * 70 + b"0" * 40,
    "controls": b"<|end|><|<|end|>|> cat  cat<|end", "capitals": "ABCdef aBC D'S 'ſ d'Ll ǅa ʰ中Aa".encode()}
for kind in range(13):
    seed("encode", f"everything_{kind}", bytes([kind, 7]) + texts["everything"])
for i, name in enumerate(("spaces", "runs", "controls", "capitals")):
    for kind in (i, 5 + i, 10 + i % 3):
        seed("encode", f"{name}_{kind}", bytes([kind, 3 * i]) + texts[name])
templates = HERE.parent.parent / "engine" / "text" / "chat_templates"
for path in sorted(templates.glob("*.jinja")):
    seed("chat_template", path.stem, path.read_bytes())
programs = (templates / "programs.txt").read_text()[:-1].split("\n=====\n")
outcomes = json.loads((templates / "expected.json").read_text())["programs"]
whole = [p for p, outcome in zip(programs, outcomes) if outcome is not None]
for i in range(0, len(whole), 4):  # several in one: fewer files
    seed("chat_template", f"programs_{i // 4}", "\n".join(whole[i:i + 4]).encode())
