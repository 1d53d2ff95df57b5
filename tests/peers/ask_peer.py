"""ask_peer.py PEER VOCABULARY DATA FILE: another tokenizer's ids of the texts on stdin, in the form of ids_of_texts.cpp.

PEER: tiktoken, tokenizers or sentencepiece. FILE: the tokenizer.json that tokenizers takes ("-" for the others). Run by the python
of an environment (environments.py).
"""
import array
import pathlib
import struct
import sys

import vocabularies


def of_tiktoken(v, data, _):
    import tiktoken
    words = tiktoken.Encoding(v.name, pat_str=v.pattern, mergeable_ranks=vocabularies.ranks_of(data / "tokenizers" / v.ranks),
                              special_tokens=dict(v.controls))

    def ids(text, mode):
        found = (words.encode(text.decode(), allowed_special="all", disallowed_special=()) if mode & 1
                 else words.encode_ordinary(text.decode()))
        return [*v.before, *found] if mode & 2 else found
    return ids


def of_tokenizers(v, data, file):
    import tokenizers
    words = tokenizers.Tokenizer.from_file(file)
    if tokenizers.__version__.startswith("0."):
        def ids(text, mode):
            words.encode_special_tokens = not mode & 1
            return words.encode(text.decode(), add_special_tokens=bool(mode & 2)).ids
    else:
        def ids(text, mode):
            return words.encode(text.decode(), add_special_tokens=bool(mode & 2), encode_special_tokens=not mode & 1).ids_array
    return ids


def of_sentencepiece(v, data, _):
    import sentencepiece
    words = sentencepiece.SentencePieceProcessor(model_file=str(data / "tokenizers" / v.sentencepiece))

    def ids(text, mode):  # control tokens in a text are text, whatever the mode
        return words.encode(text, add_bos=bool(mode & 2))
    return ids


def main():
    peer, name, data, file = sys.argv[1:5]
    ids_of = {"tiktoken": of_tiktoken, "tokenizers": of_tokenizers, "sentencepiece": of_sentencepiece}[peer](
        vocabularies.by_name(name), pathlib.Path(data), file)
    texts, at, out = sys.stdin.buffer.read(), 0, sys.stdout.buffer
    while at < len(texts):
        size, mode = struct.unpack_from("=IB", texts, at)
        ids = ids_of(texts[at + 5:at + 5 + size], mode)
        out.write(struct.pack("=I", len(ids)))
        out.write(ids.tobytes() if hasattr(ids, "tobytes") else array.array("i", ids).tobytes())
        at += 5 + size


if __name__ == "__main__":
    main()
