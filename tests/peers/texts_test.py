#!/usr/bin/env python3
"""The generated texts are the same for the same seed, and have what they are for; frames come back as they went."""
import hashlib
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
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

    def test_answers(self):
        data = (2).to_bytes(4, "little") + b"\1\0\0\0\2\0\0\0" + (0).to_bytes(4, "little")
        self.assertEqual(T.answers(data), [b"\1\0\0\0\2\0\0\0", b""])

    def test_merges_are_every_division(self):
        ranks = {bytes([b]): b for b in range(256)} | {b"ab": 256, b"bc": 257, b"abc": 258}
        self.assertEqual(vocabularies.merges_of(ranks), [(b"a", b"b"), (b"b", b"c"), (b"a", b"bc"), (b"ab", b"c")])


if __name__ == "__main__":
    unittest.main()
