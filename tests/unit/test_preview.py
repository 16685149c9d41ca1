"""The preview: its output and estimate, its time limit, and the inputs that it lets the workflow make."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from miniature.encoder import build as build_encoder

from rankrefine import sources
from rankrefine.assets.manifest import write_manifest
from rankrefine.cli import main as cli
from rankrefine.config import load as config
from rankrefine.errors import UserError
from rankrefine.generate import blocks
from rankrefine.generate.recipes import ranking, steps
from rankrefine.generate.recipes.ranking import Chain, Ranking
from rankrefine.llm.interface import Completion, OutOfMemory, Request
from rankrefine.preview import run as preview
from rankrefine.preview import shown
from rankrefine.preview.pace import Pace

TEXTS = [f"The {adjective} boat left the harbour." for adjective in ("old", "red", "slow", "small", "last", "blue")]


def ended(sentences: list[str], status: str, tokens: int = 0) -> Chain:
    chain = Chain(0, "id", sentences[0], status=status, tokens=tokens, accepted=len(sentences) - 1)
    chain.sentences = sentences
    return chain


def test_chains_are_shown_with_similarities_and_why_they_ended() -> None:
    chains = [
        ended(["Seed one.", "First.", "Second."], "complete"),
        ended(["Seed two.", "Third."], "repeat"),
        ended(["Seed three."], "running"),
    ]
    values = {"First.": 0.914, "Second.": 0.5, "Third.": -0.2}
    assert shown.chains(chains, recipe(2), lambda _, texts: [values[text] for text in texts]).splitlines() == [
        "",
        "      Seed one.",
        " 0.91 First.",
        " 0.50 Second.",
        "",
        "      Seed two.",
        "-0.20 Third.",
        "      (given up: repeat)",
        "",
        "      Seed three.",
        "      (stopped: time limit)",
    ]


def test_the_hours_follow_from_the_work_that_is_done() -> None:
    done = [ended(["s", "a", "b", "c", "d"], "complete", 30), ended(["s", "a"], "repeat", 10)]
    half = [ended(["s", "a", "b"], "running", 15), ended(["s", "a", "b"], "running", 15)]
    whole = Pace.of(done, recipe(4), seconds=36)
    assert whole.share == 1  # a chain that was given up takes no more time
    assert whole.hours(2000) == pytest.approx(10)
    assert Pace.of(half, recipe(4), seconds=18).hours(2000) == pytest.approx(10)
    assert Pace.of(half, recipe(4), seconds=36).hours(2000) == pytest.approx(20)
    nothing = Pace.of([ended(["s"], "running")], recipe(4), seconds=9)
    assert nothing.hours(5) == float("inf")
    assert "would take an unknown time (nothing was finished) on this machine" in nothing.sentence(5, "seeds.count")
    sentence = whole.sentence(2000, "seeds.count")
    assert "100% of their work in 36 s, 1 tokens/s, 1 given up" in sentence
    assert "All 2000 (seeds.count) would take about 10.0 hours on this machine" in sentence
    assert "about 3 min on" in whole.sentence(10, "seeds.count")


class Slow:
    """An engine that answers one request a step; a step takes one second of `clock`."""

    def __init__(self, clock: SimpleNamespace, max_running: int, most: int = 99) -> None:
        self.clock, self.max_running, self.most = clock, max_running, most
        self.resets: list[int] = []

    def reset(self, max_running: int | None = None) -> None:
        self.waiting: list[Request] = []
        self.max_running = max_running or self.max_running
        self.resets.append(self.max_running)

    def add(self, request: Request) -> None:
        self.waiting.append(request)

    def step(self) -> list[Completion]:
        self.clock.now += 1
        if len(self.waiting) > self.most:
            raise OutOfMemory("full")
        request = self.waiting.pop(0)
        return [Completion(request.id, f"Rewrite {self.clock.now} of it.", (1, 2), "end")]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    time = SimpleNamespace(now=0)
    monkeypatch.setattr(blocks.time, "monotonic", lambda: time.now)
    return time


@pytest.fixture
def seeds() -> pa.Table:
    return pa.table({"seed_id": list("abcdef"), "text": TEXTS, "source": ["x"] * len(TEXTS)})


def recipe(rounds: int) -> Ranking:
    return ranking.load(config.complete({"generate": {"rounds": rounds}}))


def test_a_block_that_ends_in_time_is_whole(clock: SimpleNamespace, seeds: pa.Table) -> None:
    chains, seconds = preview._timed(seeds, Slow(clock, max_running=4), recipe(rounds=2), limit=100)
    assert [chain.status for chain in chains] == ["complete"] * 6
    assert seconds == 12


def test_it_stops_when_the_time_is_up_and_keeps_what_there_is(clock: SimpleNamespace, seeds: pa.Table) -> None:
    chains, seconds = preview._timed(seeds, Slow(clock, max_running=4), recipe(rounds=2), limit=7)
    assert 7 <= seconds <= 8
    assert sum(len(chain.sentences) - 1 for chain in chains) == seconds
    assert {chain.status for chain in chains} == {"complete", "running"}


def test_however_slow_something_is_shown(clock: SimpleNamespace, seeds: pa.Table) -> None:
    chains, _ = preview._timed(seeds, Slow(clock, max_running=4), recipe(rounds=2), limit=0)
    assert sum(len(chain.sentences) - 1 for chain in chains) == 1


def test_it_goes_on_with_fewer_chains_when_memory_runs_out(clock: SimpleNamespace, seeds: pa.Table) -> None:
    engine = Slow(clock, max_running=6, most=2)
    chains, seconds = preview._timed(seeds, engine, recipe(rounds=2), limit=100)
    assert engine.resets == [6, 3, 3, 1, 1] and [chain.status for chain in chains] == ["complete"] * 6
    assert seconds == 12  # not those that were lost
    with pytest.raises(UserError, match="Out of memory with a single request"):
        preview._timed(seeds, Slow(clock, max_running=2, most=0), recipe(rounds=2))


def test_what_is_missing_or_old_is_made_by_the_workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    there, gone = Path("there.json"), Path("results/assets/gone.json")
    there.touch()
    with pytest.raises(
        UserError, match=r"results/assets/gone.json is missing; run this in the folder with the Snakefile"
    ):
        preview._make({}, [there, gone])
    preview._make({}, [there])
    Path("Snakefile").touch()
    calls = []

    def run(command: list[str], **_: object) -> SimpleNamespace:
        given = Path(command[command.index("--configfile") + 1])
        calls.append((command, json.loads(given.read_text(encoding="utf-8"))))
        return SimpleNamespace(returncode=len(calls) - 1)

    monkeypatch.setattr(subprocess, "run", run)
    preview._make({}, [])
    preview._make({"seed": 3}, [there, gone])
    ((command, given),) = calls
    assert "results/assets/gone.json" in command and "there.json" in command  # which may be of another configuration
    assert given == {"seed": 3}
    with pytest.raises(UserError, match=r"Snakemake could not make results/assets/gone.json; see its messages above"):
        preview._make({}, [gone])


def test_an_engine_with_an_environment_of_its_own_previews_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def run(command: list[str], env: dict[str, str]) -> SimpleNamespace:
        given = json.loads(Path(command[command.index("--config") + 1]).read_text(encoding="utf-8"))
        calls.append((command, given, env))
        return SimpleNamespace(returncode=len(calls) - 1)

    monkeypatch.setattr(subprocess, "run", run)
    config = {"generate": {"python": "other/bin/python", "rounds": 3}}
    preview._run_in_environment(config, "examples", 5, 2)
    ((command, given, env),) = calls
    assert command[:8] == ["other/bin/python", "-m", "rankrefine", "preview", "--of", "examples", "--count", "5"]
    assert command[-2:] == ["--threads", "2"]
    assert given == {"generate": {"python": "", "rounds": 3}}
    assert (Path(env["PYTHONPATH"]) / "rankrefine").is_dir()
    with pytest.raises(UserError, match="The preview failed in the environment of other/bin/python"):
        preview._run_in_environment(config, "examples", 5, None)
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"generate\.python: cannot start other/bin/python"):
        preview._run_in_environment(config, "examples", 5, None)


@pytest.mark.parametrize("teacher", ["encoder", {"encoder": 2, "other": 1}, "base"], ids=str)
def test_the_verb_shows_chains_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, seeds: pa.Table, teacher: object
) -> None:
    monkeypatch.chdir(tmp_path)
    build_encoder(Path("encoder"))
    Path("results/seeds").mkdir(parents=True)
    pq.write_table(seeds, Path("results/seeds/pool.parquet"))
    slug = sources.parse("encoder", "model", "key").slug
    write_manifest(f"results/assets/{slug}.json", source="encoder", kind="model", path="encoder")
    before = sorted(tmp_path.rglob("*"))
    settings = {"generate": {"engine": "fake", "rounds": 2}, "refine": {"teacher": teacher}, "seeds": {"count": 50}}
    settings["base"] = {"model": "encoder", "pooling": "cls_training_head"}
    assert cli.main(["preview", "--config", json.dumps(settings), "--count", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = [line.strip() for line in lines if line.startswith(" ")]
    assert shown[0] == TEXTS[0] and shown[3] == TEXTS[1] and len(shown) == 6
    assert all(-1 <= float(shown[i].split()[0]) <= 1 for i in (1, 2, 4, 5))
    assert lines[-3] == "Cosines by encoder."
    assert lines[-2].startswith("6 at the same time: 100% of their work")
    assert lines[-1].startswith("All 50 (seeds.count) would take about 1 min on")
    settings |= {"examples": {"recipe": "syncse_partial", "count": 40, "scorer": "encoder"}}
    settings["base"] |= {"objective": "contrastive"}
    assert cli.main(["preview", "--of", "examples", "--config", json.dumps(settings), "--count", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    texts = [line.strip() for line in lines if line.startswith(" ")]
    assert texts == TEXTS[:2]
    assert [line.split()[0] for line in lines if line.startswith(("pos", "neg"))] == ["positive", "negative"] * 2
    assert all(-1 <= float(line.split()[1]) <= 1 for line in lines if line.startswith(("pos", "neg")))
    assert lines[-1].startswith("All 40 (examples.count) would take about 1 min on")
    assert sorted(tmp_path.rglob("*")) == before
    Path("results/seeds").rename("results/lists")
    settings |= {"lists": {"source": "import", "file": "lists.jsonl"}}
    assert cli.main(["preview", "--of", "examples", "--config", json.dumps(settings), "--count", "2"]) == 0
    assert TEXTS[0] in capsys.readouterr().out


def test_an_example_that_was_given_up_says_why(tmp_path: Path) -> None:
    section = {"recipe": "claif"}
    recipe = steps.load(config.complete({"examples": section, "base": {"objective": "contrastive"}}))
    draft = recipe.start(0, "s", "A cat sleeps on the mat.")
    draft.sentences |= {"paraphrase": "A feline rests.", "fill_30": "A dog sleeps on the bed."}
    lost = recipe.start(1, "t", "A dog barks.")
    lost.status = "paraphrase: empty"
    lines = shown.examples([draft, lost], recipe, lambda _, texts: [0.5 for _ in texts]).splitlines()
    assert [line.strip() for line in lines if line] == [
        "A cat sleeps on the mat.",
        "positive  0.50 A feline rests.",
        "positive  0.50 A dog sleeps on the bed.",
        "(stopped: time limit)",
        "A dog barks.",
        "(given up: paraphrase: empty)",
    ]


def test_generate_needs_all_flags_and_preview_none(capsys: pytest.CaptureFixture, caplog) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["generate", "--first", "0", "--rows", "3"])
    assert stop.value.code == 2
    assert "required: --output, --stats" in capsys.readouterr().err
    config_, outputs = {"generate": {"engine": "fake"}}, ["--output", "a.parquet", "--stats", "a.json"]
    code = cli.main(["generate", "--config", json.dumps(config_), "--first", "0", "--rows", "3", *outputs])
    assert code == 1
    assert "generate requires --pool, --pool-stats and --budget." in caplog.text
    with pytest.raises(SystemExit):
        cli.main(["preview", "--count", "none"])
    assert "'none'" in capsys.readouterr().err
    with pytest.raises(UserError, match="--count is 0 but must be at least 1"):
        preview.run({}, count=0)


def test_imported_lists_have_no_preview() -> None:
    with pytest.raises(UserError, match=r"^preview shows generated lists, but lists\.source is import;"):
        preview.run(config.complete({"lists": {"source": "import", "file": "lists.jsonl"}}))


def test_without_a_recipe_there_are_no_examples_to_preview() -> None:
    with pytest.raises(
        UserError, match=r"^preview --of examples shows written examples, but examples\.recipe is none"
    ):
        preview.run(config.complete({}), of="examples")
    with pytest.raises(UserError, match=r"^preview --of sentences shows written seed sentences, but no source in"):
        preview.run(config.complete({}), of="sentences")


def test_written_sentences_are_shown_with_genre_and_topics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    build_encoder(Path("encoder"))
    settings = {"generate": {"engine": "fake"}, "refine": {"teacher": "encoder"}, "write": {"count": 30}}
    settings["seeds"] = {"sources": [{"name": "own", "source": "written"}]}
    assert cli.main(["preview", "--of", "sentences", "--config", json.dumps(settings), "--count", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = [line.strip() for line in lines if line.startswith(" ")]
    assert len(heads) == 3 and len({head.split(":")[0] for head in heads}) == 3
    assert lines[-1].startswith("All 30 (write.count) would take about 1 min on")


def test_another_recipe_has_no_preview() -> None:
    settings = config.complete({})
    settings["generate"]["recipe"] = "pairs"
    with pytest.raises(UserError, match=r"^preview shows ranking lists, but generate\.recipe is pairs;"):
        preview.run(settings)
