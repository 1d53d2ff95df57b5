#!/usr/bin/env python3
"""The generated texts are the same for the same seed, and have what they are for; frames come back as they went; what may differ
in spans does, and nothing else."""
import hashlib
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import spans  # noqa: E402
import texts as T  # noqa: E402
import vocabularies  # noqa: E402


class Texts(unittest.TestCase):
    def test_same_for_the_same_seed(self):
        digest = lambda seed: hashlib.sha256(T.frames(T.generated(0.5, seed))).hexdigest()
        self.assertEqual(digest(1), digest(1))
        self.assertNotEqual(digest(1), digest(2))

    def test_has_everything(self):
        texts = T.generated(4)
        self.assertGreaterEqual(sum(len(t) for _, t in texts), 4_000_000)
        everything = "".join(t.decode() for _, t in texts)
        self.assertEqual({mode for mode, _ in texts}, {0, 1, 2, 3})
        planes = {ord(c) >> 16 for c in everything}
        self.assertTrue({0, 1, 2, 3, 14, 15, 16} <= planes, planes)
        for part in (*T.CONTROLS, *T.CONTRACTIONS, *T.COMBINING, *T.SPACES, "a" * 200):
            self.assertIn(part, everything)
        self.assertFalse(any(ord(c) in T.UNICODE_17 for c in everything))

    def test_damaged_is_not_utf8(self):
        texts = T.damaged(T.generated(0.5))
        self.assertEqual(texts, T.damaged(T.generated(0.5)))
        wrong = [t for _, t in texts if any(w for _, w in T.utf8_parts(t))]
        self.assertGreater(len(wrong), len(texts) / 2)
        self.assertTrue(any(b"\xed\xa0\x80" in t for t in wrong))

    def test_utf8_parts(self):
        text = b"a\xe4\xb8A\xc3\xa9\xff\xfe"
        self.assertEqual(list(T.utf8_parts(text)), [("a", b"\xe4\xb8"), ("Aé", b"\xff"), ("", b"\xfe")])
        self.assertEqual(list(T.utf8_parts(b"")), [])

    def test_frames_come_back(self):
        texts = [(5, b"ab"), (0, b""), (2, b"\xff")]
        self.assertEqual(list(T.texts_in(T.frames(texts))), texts)

    def test_answers(self):
        data = (2).to_bytes(4, "little") + b"\1\0\0\0\2\0\0\0" + (0).to_bytes(4, "little")
        self.assertEqual(T.answers(data), [b"\1\0\0\0\2\0\0\0", b""])

    def test_merges_are_every_division(self):
        ranks = {bytes([b]): b for b in range(256)} | {b"ab": 256, b"bc": 257, b"abc": 258}
        self.assertEqual(vocabularies.merges_of(ranks), [(b"a", b"b"), (b"b", b"c"), (b"a", b"bc"), (b"ab", b"c")])


class Spans(unittest.TestCase):
    def equal(self, rules, text, ours, theirs):
        """(id, begin, end) of each token."""
        def flat(tokens):
            return T.frame_of_ids([t[0] for t in tokens] + [at for t in tokens for at in t[1:]])[4:]
        text = text.encode()
        return spans.common(rules, text, flat(ours), False) == spans.common(rules, text, flat(theirs), True)

    def test_a_token_inside_a_character_has_all_of_it(self):
        self.assertTrue(self.equal(spans.Rules(), "中a", [(1, 0, 1), (2, 1, 3), (3, 3, 4)], [(1, 0, 3), (2, 0, 3), (3, 3, 4)]))
        self.assertFalse(self.equal(spans.Rules(), "中a", [(1, 0, 1), (2, 1, 3), (3, 3, 4)], [(1, 0, 3), (2, 0, 3), (3, 0, 4)]))
        self.assertFalse(self.equal(spans.Rules(), "中a", [(1, 0, 3), (3, 3, 4)], [(1, 0, 3), (4, 3, 4)]))

    def test_of_what_was_composed_they_have_the_first(self):
        tokens = [(1, 0, 3), (2, 3, 4)], [(1, 0, 1), (2, 3, 4)]
        self.assertTrue(self.equal(spans.Rules(composes=True), "e\u0301a", *tokens))
        self.assertFalse(self.equal(spans.Rules(), "e\u0301a", *tokens))
        self.assertFalse(self.equal(spans.Rules(composes=True), "e\u0301a", [(1, 0, 3), (2, 3, 4)], [(1, 0, 1), (2, 1, 4)]))

    def test_trimmed(self):
        tokens = [(1, 0, 3), (2, 3, 4)], [(1, 1, 3), (2, 4, 4)]
        self.assertTrue(self.equal(spans.Rules(trims=True), " ab ", *tokens))
        self.assertFalse(self.equal(spans.Rules(), " ab ", *tokens))

    def test_a_space_put_in_front_is_nothing(self):
        rules = spans.Rules(prepended=7)
        self.assertTrue(self.equal(rules, "ab", [(7, 0, 0), (2, 0, 2)], [(7, 0, 1), (2, 0, 2)]))
        self.assertFalse(self.equal(rules, " ab", [(7, 0, 0), (2, 1, 3)], [(7, 0, 1), (2, 1, 3)]))


if __name__ == "__main__":
    unittest.main()
