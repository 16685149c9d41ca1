"""The first lines of a run: processor, dtype, and the expected minutes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from miniature.encoder import build as build_encoder
from miniature.llm import build as build_llm

from rankrefine.config.load import complete
from rankrefine.llm.transformers import precision
from rankrefine.machine import cost, run, weights

SPEEDS = cost.Speeds("float32", 160e9, 160e9)
MINILM, SMOLLM = "embedded:all-minilm-l6-v2", "embedded:smollm2-135m-instruct"


def parts(speeds: cost.Speeds = SPEEDS, known: bool = True, **settings: Any) -> dict[str, float | None]:
    config = complete(settings)
    encoders = weights.encoders(config) if known else {}
    return cost.seconds(config, weights.language_model(config) if known else None, encoders, speeds)


@pytest.fixture(autouse=True)
def _no_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_default_run_is_generation_for_the_most_part() -> None:
    found = parts()
    assert set(found) == {cost.LISTS, cost.REFINED, cost.EVALUATION, cost.REST}
    assert found[cost.LISTS] > found[cost.REFINED] > found[cost.EVALUATION] > 0
    assert 300 < sum(found.values()) < 1800  # seconds, where two cores reach 160 GFLOP/s


def test_the_expected_time_follows_the_work_and_the_speed() -> None:
    lists = {"seeds": {"count": 320}}
    plain = parts(**lists, generate={"rounds": 8})
    assert parts(seeds={"count": 640}, generate={"rounds": 8})[cost.LISTS] == pytest.approx(2 * plain[cost.LISTS])
    assert parts(**lists, generate={"rounds": 16})[cost.LISTS] == pytest.approx(2 * plain[cost.LISTS])
    assert parts(**lists, generate={"rounds": 8, "guidance_scale": 1})[cost.LISTS] < plain[cost.LISTS]
    fast = parts(cost.Speeds("bfloat16", 480e9, 160e9), **lists)
    assert fast[cost.LISTS] < plain[cost.LISTS] / 2
    assert fast[cost.REFINED] == plain[cost.REFINED]
    twice = parts(cost.Speeds("float32", 160e9, 320e9), **lists)
    assert twice[cost.REFINED] == pytest.approx(plain[cost.REFINED] / 2)
    assert parts(seeds={"count": 640})[cost.REFINED] > 1.4 * plain[cost.REFINED]
    more = parts(**lists, refine={"seeds": [1, 2, 3], "experiments": {"one": {}, "two": {"epochs": 2}}})
    assert more[cost.REFINED] > 6 * plain[cost.REFINED]
    assert more[cost.EVALUATION] == pytest.approx(plain[cost.EVALUATION] * 7 / 2)  # base and 1, base and 6
    scored = parts(**lists, refine={"evaluate_every": 1})[cost.REFINED]  # at each step
    assert scored > 3 * plain[cost.REFINED]


def test_what_the_language_model_writes_besides_lists_counts() -> None:
    own = {"sources": [{"name": "own", "source": "written"}]}
    found = parts(
        seeds=own, examples={"recipe": "syncse_partial"}, base={"objective": "contrastive", "pooling": "mean"}
    )
    assert found[cost.BASE] is None  # the number of its examples is known later
    assert found[cost.LISTS] > found[cost.EXAMPLES] > 0 and found[cost.SENTENCES] > 0
    twice = parts(seeds=own, write={"count": 1280})
    assert twice[cost.SENTENCES] == pytest.approx(2 * found[cost.SENTENCES])


def test_what_is_unknown_has_no_time() -> None:
    unknown = parts(known=False)
    assert [part for part, seconds in unknown.items() if seconds is None] == [
        *(cost.LISTS, cost.REFINED, cost.EVALUATION)
    ]
    assert parts(evaluate={"suites": ["sts"]})[cost.EVALUATION] is None
    lists = parts(lists={"source": "import", "file": "lists.jsonl"})
    assert cost.LISTS not in lists and lists[cost.REFINED] is None


def test_weights_are_those_of_products(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModelForCausalLM

    def products(model: torch.nn.Module) -> int:
        return sum(layer.weight.numel() for layer in model.modules() if isinstance(layer, torch.nn.Linear))

    model = AutoModelForCausalLM.from_pretrained(build_llm(tmp_path / "llm"))
    assert weights.count(tmp_path / "llm", has_head=True) == products(model)
    assert weights.count(tmp_path / "llm", has_head=False) == products(model.model)
    encoder = SentenceTransformer(str(build_encoder(tmp_path / "encoder")), device="cpu")
    assert weights.count(tmp_path / "encoder", has_head=False) == products(encoder)


def test_weights_come_from_files_a_table_or_are_unknown(tmp_path: Path) -> None:
    config = complete({"base": {"model": SMOLLM, "pooling": "mean"}})
    assert weights.encoders(config) == {SMOLLM: 106_168_320, MINILM: 10_764_288}
    assert weights.language_model(config) == 134_479_872
    build_encoder(tmp_path / "mine")
    own = complete({"base": {"model": "mine"}, "refine": {"teacher": {"base": 1, "gone": 1}}})
    assert weights.encoders(own) == {"mine": weights.count(tmp_path / "mine", has_head=False)}
    assert weights.language_model(complete({"generate": {"model": "hub:ORG/NAME@1"}})) is None
    (tmp_path / "mine" / "model.safetensors").write_bytes(b"damaged")
    assert weights.encoders(own) == {}


def lines(capsys: pytest.CaptureFixture, **settings: Any) -> list[str]:
    run.run(complete(settings), threads=1)
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[torch.dtype]:
    """The dtypes whose speed has been measured."""
    found = []
    monkeypatch.setattr(run, "speed", lambda dtype: found.append(dtype) or 160e9)
    return found


def test_the_first_lines_name_processor_dtype_minutes_and_logs(
    capsys: pytest.CaptureFixture, measured: list[torch.dtype]
) -> None:
    machine, minutes, progress = lines(capsys, generate={"dtype": "float32"})
    assert re.fullmatch(r"Machine: .+, 1 thread; the language model runs in float32\.", machine)
    assert re.match(r"A run from nothing takes about \d+ min \(ranking lists \d+ min, refinement \d+ min", minutes)
    assert "results/logs/" in progress
    assert measured == [torch.float32]
    measured.clear()
    machine, _, _ = lines(capsys, generate={"dtype": "bfloat16"})
    assert machine.endswith("the language model runs in bfloat16.")
    assert measured == [torch.float32, torch.bfloat16]


@pytest.mark.parametrize(
    "settings",
    [
        {"generate": {"engine": "fake"}},
        {"generate": {"engine": "vllm"}},
        {"generate": {"model": "hub:ORG/NAME@1"}, "base": {"model": "hub:ORG/NAME@1", "pooling": "mean"}},
        {"lists": {"source": "import", "file": "lists.jsonl"}},
    ],
)
def test_no_minutes_where_they_cannot_be_told(
    settings: dict, capsys: pytest.CaptureFixture, measured: list[torch.dtype]
) -> None:
    machine, progress = lines(capsys, **settings)
    assert machine.startswith("Machine: ") and progress.startswith("Progress: ")
    assert ("language model" in machine) == ("model" in settings.get("generate", {}))


def test_no_minutes_on_a_gpu(
    capsys: pytest.CaptureFixture, measured: list[torch.dtype], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H200")
    assert lines(capsys)[:-1] == ["Machine: NVIDIA H200; the language model runs in bfloat16."]
    assert measured == []
    assert len(lines(capsys, generate={"device": "cpu"})) == 3


def test_parts_that_are_unknown_are_named() -> None:
    found = {cost.LISTS: 600.0, cost.BASE: None, cost.REFINED: 90.0, cost.EVALUATION: 20.0, cost.REST: 80.0}
    expected = "A run from nothing takes about 13 min (ranking lists 10 min, refinement 2 min, the rest 1 min)."
    assert run.estimate(found) == f"{expected} Not counted: base encoder."
    assert run.estimate({cost.LISTS: 1e5, cost.REST: 80.0}).startswith("A run from nothing takes about 28 hours (")
    assert run.estimate({cost.LISTS: None, cost.REFINED: None, cost.EVALUATION: 20.0, cost.REST: 80.0}) == ""


def test_the_measured_speed_is_that_of_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "BATCH", 0.02)
    assert 1e8 < run.speed(torch.float32, seconds=0.05) < 1e13 * torch.get_num_threads()


@pytest.mark.parametrize(
    ("units", "capability", "expected"),
    [
        ({}, "AVX2", ["AVX2"]),
        ({"mkldnn", "bf16"}, "AVX512", ["AVX512-BF16"]),
        ({"bf16"}, "AVX2", ["AVX2"]),  # units that the library does not use
        ({"mkldnn", "bf16", "amx"}, "AVX512", ["AMX"]),
        ({}, "DEFAULT", []),
    ],
)
def test_instructions_and_dtype_agree(
    units: set[str], capability: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: "mkldnn" in units)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: "bf16" in units)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: "amx" in units)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert precision.instructions() == expected
    has_units = "mkldnn" in units
    chosen = precision.choose_dtype("auto", torch.device("cpu"))
    assert chosen == (torch.bfloat16 if has_units else torch.float32)
