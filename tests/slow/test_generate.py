"""Generation with the real language model: equal to the library's guided decoding, and reproducible."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest

from rankrefine import io
from rankrefine.assets.manifest import load_manifest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SEEDS = (
    "The committee will publish its report before the end of the year.",
    "My phone stopped working two days after I bought it.",
    "Rain is expected in the north of the country tomorrow.",
    "Nobody in the room understood what the speaker meant.",
    "They opened a small bakery near the railway station.",
    "Taxes on fuel have risen for the third time this year.",
)


@pytest.fixture(scope="module")
def shard(asset: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.Popen]:
    """Starts the command `generate` on the seed sentences above, with a name and config keys."""
    folder = tmp_path_factory.mktemp("generate")
    ids = [f"{i:016x}" for i in range(len(SEEDS))]
    io.write_table(folder / "pool.parquet", pa.table({"seed_id": ids, "text": SEEDS, "source": ["x"] * len(SEEDS)}))
    io.write_json(folder / "pool.json", {"dropped": {}})

    def start(name: str, rows: int = len(SEEDS), **keys: object) -> subprocess.Popen:
        config = {"seed": 1, "generate": {"rounds": 3, **keys}}
        command = [
            *(sys.executable, "-m", "rankrefine", "generate", "--config", json.dumps(config)),
            *("--pool", folder / "pool.parquet", "--pool-stats", folder / "pool.json"),
            *("--first", "0", "--rows", str(rows), "--budget", str(rows), "--threads", "2"),
            *("--llm", asset("smollm2-135m-instruct")),
            *("--output", folder / f"{name}.parquet", "--stats", folder / f"{name}.json"),
        ]
        return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT / "src")})

    start.folder = folder
    return start


def test_a_killed_shard_keeps_its_blocks_and_gives_the_same_bytes(shard) -> None:
    """bfloat16 where the processor has it: the default, in which results depend on the batch but not on the run."""
    keys = {"rounds": 5, "block_size": 3}
    assert shard("whole", **keys).wait() == 0
    killed, first_block = shard("killed", **keys), shard.folder / "killed.blocks" / "00000.parquet"
    while not first_block.exists() and killed.poll() is None:
        time.sleep(0.05)
    time.sleep(0.5)
    assert killed.poll() is None, "the shard was complete before it could be killed"
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert first_block.exists() and not (shard.folder / "killed.parquet").exists()
    made = first_block.stat().st_mtime_ns
    again = shard("killed", **keys)
    seen = set()
    while again.poll() is None:
        with suppress(FileNotFoundError):  # the journal goes when the shard is there
            seen.add(first_block.stat().st_mtime_ns)
        time.sleep(0.1)
    assert again.wait() == 0
    assert seen == {made}, "the finished block was regenerated"
    assert (shard.folder / "killed.parquet").read_bytes() == (shard.folder / "whole.parquet").read_bytes()
    lists = io.read_table(shard.folder / "whole.parquet").to_pylist()
    complete = [row for row in lists if row["status"] == "complete"]
    assert complete and all(len(row["sentences"]) == 6 for row in complete)


def test_in_float32_a_chain_does_not_depend_on_its_batch(shard) -> None:
    exact = {"dtype": "float32", "rounds": 2, "max_new_tokens": 32}
    assert shard("together", **exact).wait() == 0
    assert shard("two-at-a-time", **exact, block_size=2).wait() == 0
    assert shard("fewer", **exact, rows=3).wait() == 0
    together, two, fewer = (
        io.read_table(shard.folder / f"{name}.parquet")["sentences"].to_pylist()
        for name in ("together", "two-at-a-time", "fewer")
    )
    assert together == two
    assert together[:3] == fewer


def test_greedy_float32_equals_the_librarys_guided_generate(asset) -> None:
    """On prompts of sampled chains; the criteria are in the script (256 pairs by default)."""
    model = load_manifest(asset("smollm2-135m-instruct")).path
    command = [sys.executable, ROOT / "benchmarks/equality.py", "--model", model, "--pairs", "12"]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert "12 pairs: " in done.stdout


def test_memory_that_really_runs_out_halves_the_requests(asset) -> None:
    """The chains are the same (float32), with fewer of them at the same time."""
    command = [
        sys.executable,
        ROOT / "tests/slow/limited_memory.py",
        load_manifest(asset("smollm2-135m-instruct")).path,
    ]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "equal" in done.stdout
    assert "restarting with 12 of 24 requests" in done.stderr
