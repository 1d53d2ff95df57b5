#!/usr/bin/env python3
"""bench/tokenizer/report.py on planted figures: tables say them, the plot has a point for each, what was too slow is a dash."""
import pathlib
import sys
import unittest
import xml.etree.ElementTree as xml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench/tokenizer"))
import report  # noqa: E402

FACTS = {"date": "2026-01-02", "device": "a processor", "commit": "abc1234", "command": "bench/tokenizer/compare", "load_average": 0.5, "rounds": 3,
         "packages": ["tiktoken==1"], "compiler": "c++ 1"}


def planted():
    records = []
    for peer, rate in (("tenon", 120.0), ("tiktoken", 12.0), ("candidate", 60.0)):
        for text in ("english", "code"):
            for cell in report.RATES:
                records.append({"vocabulary": "gpt2", "text": text, "cell": cell, "peer": peer, "best": rate + 1, "median": rate, "rounds": [rate]})
        letter = None if peer == "tiktoken" else 5.0
        records.append({"vocabulary": "gpt2", "text": "", "cell": "letter", "peer": peer, "best": letter, "median": letter, "rounds": []})
    records.append({"vocabulary": "gpt2", "text": "english", "cell": "threads", "peer": "tenon", "best": 1.9, "median": 1.85, "rounds": [1.85]})
    return {"facts": FACTS, "instructions_per_byte": {"gpt2": {"english": (30.5, 20.25)}}, "records": records}


class Report(unittest.TestCase):
    def test_tables(self):
        page = report.page(planted())
        self.assertIn("| gpt2, english | 120 | 121 | 60.0 | 12.0 | 2.0 | 10.0 |", page)
        self.assertIn("| gpt2, 1 MB of one letter | 5.00 | 5.00 | - |", page)
        self.assertIn("| gpt2 | 30.5 / 20.2 | - | 1.85 |", page)
        self.assertIn("commit | abc1234", page)

    def test_plot(self):
        root = xml.fromstring(report.plot(planted()))
        titles = [t.text for t in root.iter("{http://www.w3.org/2000/svg}title")]
        self.assertEqual(len(titles), 2 * 3)
        self.assertIn("gpt2, code, tiktoken: 12.0 MB/s", titles)
        across = {c.find("{http://www.w3.org/2000/svg}title").text: float(c.get("cx"))
                  for c in root.iter("{http://www.w3.org/2000/svg}circle") if len(c)}
        self.assertLess(across["gpt2, code, tiktoken: 12.0 MB/s"], across["gpt2, code, tokenizers 1.0.0rc: 60.0 MB/s"])
        self.assertEqual(report.plot(planted()), report.plot(planted()))


if __name__ == "__main__":
    unittest.main()
