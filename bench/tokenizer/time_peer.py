"""time_peer.py PEER VOCABULARY DATA FILE: another tokenizer behind the questions of speed.cpp (but for `threads`).

Run by the python of an environment of tests/peers. Of each peer the call is timed that a user makes for one text: tiktoken's
encode_ordinary and decode_bytes, tokenizers' encode and decode. What encode finds is left where it is: no ids become a list.
"""
import array
import gc
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "peers"))
import vocabularies  # noqa: E402


def tiktoken_calls(v, data, _):
    import tiktoken
    from tiktoken.load import load_tiktoken_bpe
    began = time.process_time()
    words = tiktoken.Encoding(v.name, pat_str=v.pattern, special_tokens=dict(v.controls),
                              mergeable_ranks=load_tiktoken_bpe(str(data / "tokenizers" / v.ranks)))
    return began, words.encode_ordinary, lambda found: found, lambda ids: words.decode_bytes(ids)


def tokenizers_calls(v, data, file):
    import tokenizers
    began = time.process_time()
    words = tokenizers.Tokenizer.from_file(file)
    ids_of = (lambda found: found.ids) if tokenizers.__version__.startswith("0.") else (lambda found: found.ids_array)
    return (began, lambda text: words.encode(text, add_special_tokens=False), ids_of,
            lambda ids: words.decode(ids, skip_special_tokens=False))


def for_seconds(seconds, work):
    size, began = 0, time.process_time()
    while True:
        size += work()
        passed = time.process_time() - began
        if passed >= seconds:
            return {"seconds": passed, "bytes": size}


def main():
    peer, name, data, file = sys.argv[1:5]
    began, encode, ids_of, decode = {"tiktoken": tiktoken_calls, "tokenizers": tokenizers_calls}[peer](
        vocabularies.by_name(name), pathlib.Path(data), file)
    say = lambda answer: print(json.dumps(answer), flush=True)
    say({"seconds": time.process_time() - began, "bytes": 0})
    gc.disable()  # as timeit does
    texts, sizes = {}, {}

    def one_pass(some, size):
        for text in some:
            encode(text)
        return size

    for line in sys.stdin:
        what, *rest = line.split()
        if what == "letter":
            letters = "a" * int(rest[0])
            say(for_seconds(0, lambda: one_pass([letters], len(letters))))
            continue
        text = rest[0]
        if what == "read":
            raw, at, texts[text] = pathlib.Path(rest[1]).read_bytes(), 0, []
            while at < len(raw):
                n = int.from_bytes(raw[at:at + 4], "little")
                texts[text].append(raw[at + 4:at + 4 + n].decode())
                at += 4 + n
            sizes[text] = sum(len(t.encode()) for t in texts[text])
            say({"seconds": 0, "bytes": sizes[text]})
        elif what == "ids":
            with open(rest[1], "wb") as out:
                for t in texts[text]:
                    out.write(array.array("i", [int(i) for i in ids_of(encode(t))]).tobytes())
            say({"seconds": 0, "bytes": 0})
        elif what == "first":
            say(for_seconds(0, lambda: one_pass(texts[text], sizes[text])))
        elif what == "cold":
            say(for_seconds(float(rest[1]), lambda: one_pass(texts[text], sizes[text])))
        elif what == "hot":
            one = texts[text][:1]
            say(for_seconds(float(rest[1]), lambda: one_pass(one, len(one[0].encode()))))
        elif what == "decode":
            encoded = [ids_of(encode(t)) for t in texts[text]]

            def decode_all():
                for ids in encoded:
                    decode(ids)
                return sizes[text]
            say(for_seconds(float(rest[1]), decode_all))
        else:
            sys.exit(f"time_peer.py: unknown question: {line}")


if __name__ == "__main__":
    main()
