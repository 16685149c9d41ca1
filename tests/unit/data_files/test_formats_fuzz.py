"""Arbitrary bytes as a corpus give a pool or a one-line error, within bounded memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rankrefine.assets.manifest import write_manifest
from rankrefine.config import load as configuration
from rankrefine.data_files.formats import FORMATS
from rankrefine.errors import UserError
from rankrefine.io import read_json
from rankrefine.seeds import run as seeds

SRC = Path(seeds.__file__).parents[2]
OPEN = {"min_words": 1, "max_words": 1000, "require_pattern": "", "exclude_pattern": "", "decontaminate": []}
# text in which a reader, a regular expression or a hash could trip
CHARACTERS = ("\0", "\ufeff", "\u202e", "e\u0301", "\u2028", "\x85", "\r", "\n", "\t", '"', "'", ",", "😀", "שלום")
LINES = ("text", '{"text": "a b c"}', '{"text": "\\ud800"}', "[1]", "null", "{seed}", "$(touch x)", "PAR1", "a" * 2000)
PIECES = st.sampled_from(CHARACTERS + LINES)
TEXTS = st.lists(PIECES | st.text(max_size=10), max_size=20).map(lambda parts: "".join(parts).encode(errors="replace"))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.binary(max_size=200) | TEXTS, st.sampled_from(sorted(FORMATS)))
@example(b"text\n" + b"a" * 200_000, ".csv")
@example(b'{"text": ' + b"[" * 100_000, ".jsonl")
@example(b'{"text": ' + b"9" * 5000 + b"}", ".jsonl")
@example(b"text\n\0\n", ".csv")
@example(b"PAR1" + bytes(100) + b"PAR1", ".parquet")
def test_any_bytes_give_a_pool_or_one_sentence(tmp_path_factory, content: bytes, ending: str) -> None:
    folder = tmp_path_factory.mktemp("corpus")
    corpus, manifest, pool = folder / f"a{ending}", folder / "a.json", folder / "pool.parquet"
    corpus.write_bytes(content)
    write_manifest(manifest, source=str(corpus), kind="dataset", path=str(corpus))
    config = configuration.complete({"seeds": {"sources": [{"name": "a", "source": str(corpus)}], **OPEN}})
    try:
        seeds.run(config, [manifest], pool, folder / "pool.json")
    except UserError as error:
        assert str(error).isprintable() and len(str(error)) < 1500
        assert not pool.exists()
        return
    rows = pq.read_table(pool)["text"].to_pylist()
    assert rows and read_json(folder / "pool.json")["kept"] == len(rows)
    assert all(text == " ".join(text.split()) and text for text in rows)


LARGE = """
import re, sys
from pathlib import Path
from rankrefine.config import load as config
from rankrefine.seeds import run as seeds
from rankrefine.io import read_json
folder, corpus = Path(sys.argv[1]), sys.argv[2]
section = {"sources": [{"name": "a", "source": corpus}], "decontaminate": []}
seeds.run(config.complete({"seeds": section}), [folder / "a.json"], folder / "pool.parquet", folder / "pool.json")
# not getrusage: its maximum includes the parent process, which subprocess forks
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
print(read_json(folder / "pool.json")["dropped"]["too long"], peak)
"""


@pytest.mark.parametrize("ending", [".txt", ".jsonl"])
def test_a_line_of_100_mb_is_dropped_within_bounded_memory(tmp_path: Path, ending: str) -> None:
    corpus = tmp_path / f"large{ending}"
    before, after = ('{"text": "', '"}') if ending == ".jsonl" else ("", "")
    with corpus.open("w", encoding="utf-8") as stream:
        stream.write(f"{before}This sentence is kept as it is.{after}\n{before}")
        for _ in range(100):
            stream.write("a bc " * 200_000)
        stream.write(f"{after}\n")
    write_manifest(tmp_path / "a.json", source=str(corpus), kind="dataset", path=str(corpus))
    done = subprocess.run(
        [sys.executable, "-c", LARGE, tmp_path, corpus],
        env=os.environ | {"PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    dropped, peak = map(int, done.stdout.split())
    assert dropped == 1
    assert peak < 800_000  # KB; its words as Python objects alone would be 3 GB
    assert pq.read_table(tmp_path / "pool.parquet")["text"].to_pylist() == ["This sentence is kept as it is."]
