"""ask_peer.py PEER VOCABULARY DATA FILE: another tokenizer's ids of the texts on stdin, in the form of ids_of_texts.cpp.

PEER: tiktoken, tiktoken_bytes, tokenizers or sentencepiece. FILE: the tokenizer.json that tokenizers takes ("-" for the others). Run
by the python of an environment (environments.py).
"""
import pathlib
import struct
import sys

import texts as T
import vocabularies


def tiktoken_words(v, data):
    import tiktoken
    return tiktoken.Encoding(v.name, pat_str=v.pattern, mergeable_ranks=vocabularies.ranks_of(data / "tokenizers" / v.ranks),
                             special_tokens=dict(v.controls))


def of_tiktoken(v, data, _):
    """Each byte that is no UTF-8 is a token, and ends the text in front of it."""
    words = tiktoken_words(v, data)

    def ids(text, mode):
        found = []
        for part, wrong in T.utf8_parts(text):
            found += (words.encode(part, allowed_special="all", disallowed_special=()) if mode & 1
                      else words.encode_ordinary(part))
            found += [words.encode_single_token(bytes([b])) for b in wrong]
        return [*v.before, *found] if mode & 2 else found
    return ids


def of_tiktoken_bytes(v, data, _):
    """tiktoken's own way with wrong bytes: all behind the first one is of one word with what is in front of it. The ids of the
    words before that."""
    import regex
    words, one = tiktoken_words(v, data), regex.compile(v.pattern)

    def ids(text, mode):
        valid, _ = next(T.utf8_parts(text), ("", b""))
        starts = [m.start() for m in one.finditer(valid)]
        whole = valid[:starts[-1]].rstrip() if starts else ""  # it takes white space in front of that word, too
        whole = valid[:max((s for s in starts if s <= len(whole)), default=0)]
        found = words._encode_bytes(text)[:len(words.encode_ordinary(whole))]
        if words.decode_bytes(found) != whole.encode():
            raise SystemExit(f"tiktoken has other words in {text!r}")
        return found
    return ids


def of_tokenizers(v, data, file):
    import tokenizers
    words = tokenizers.Tokenizer.from_file(file)
    if tokenizers.__version__.startswith("0."):
        def ids(text, mode):
            words.encode_special_tokens = not mode & 1
            text = text.decode()
            found = words.encode(text, add_special_tokens=bool(mode & 2))
            if not mode & 4:
                return found.ids
            places = [0]  # of each character
            for c in text:
                places.append(places[-1] + len(c.encode()))
            return found.ids + [places[at] for span in found.offsets for at in span]
    else:
        def ids(text, mode):  # it has no offsets
            return words.encode(text.decode(), add_special_tokens=bool(mode & 2), encode_special_tokens=not mode & 1).ids_array
    return ids


def of_sentencepiece(v, data, _):
    import sentencepiece
    words = sentencepiece.SentencePieceProcessor(model_file=str(data / "tokenizers" / v.sentencepiece))
    replaced, bytes_of = words.piece_to_id("\ufffd"), [words.piece_to_id(f"<0x{b:02X}>") for b in range(256)]

    def ids(text, mode):  # control tokens in a text are text, whatever the mode
        if not mode & 4:
            return words.encode(text, add_bos=bool(mode & 2))
        found = words.encode_as_offset_mapping(text, add_bos=bool(mode & 2))
        ids, spans = list(found["ids"]), []
        for i, (begin, end) in enumerate(found["offsets"]):
            if begin == end and words.is_byte(ids[i]):
                end = begin + 1  # of a character's bytes the last one has all of it
            elif ids[i] == replaced and end - begin == 1:
                ids[i] = bytes_of[text[begin]]  # a wrong byte
            spans += (begin, end)
        return ids + spans
    return ids


def main():
    peer, name, data, file = sys.argv[1:5]
    of = {"tiktoken": of_tiktoken, "tiktoken_bytes": of_tiktoken_bytes, "tokenizers": of_tokenizers, "sentencepiece": of_sentencepiece}
    ids_of = of[peer](vocabularies.by_name(name), pathlib.Path(data), file)
    for mode, text in T.texts_in(sys.stdin.buffer.read()):
        ids = ids_of(text, mode)
        sys.stdout.buffer.write(struct.pack("=I", len(ids)) + ids.tobytes() if hasattr(ids, "tobytes") else T.frame_of_ids(ids))


if __name__ == "__main__":
    main()
