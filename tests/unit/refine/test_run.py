"""Teacher and training with a tiny random encoder."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import torch
from miniature.encoder import build as build_encoder
from safetensors.torch import load_file

from rankrefine import io, progress
from rankrefine.assets.manifest import write_manifest
from rankrefine.config import load as config
from rankrefine.encoders.lengths import preprocessor
from rankrefine.encoders.opening import go_offline, open_encoder
from rankrefine.encoders.saving import save
from rankrefine.errors import UserError
from rankrefine.ranking_lists import teacher_embeddings
from rankrefine.ranking_lists.lists import read as read_lists
from rankrefine.refine import run, teacher
from rankrefine.refine.collator import ListCollator
from rankrefine.refine.losses import RankingLoss, similarity
from rankrefine.refine.targets import TARGETS, targets
from rankrefine.refine.train import ranking_loss
from rankrefine.training import distributed, lora
from rankrefine.training.best_step import BestStep
from rankrefine.training.development import evaluator, order_kept
from rankrefine.training.ranking_losses import LOSSES, list_mle
from rankrefine.training.trainer import Trainer

go_offline()
OTHER = {"model": "other", "revision": "1"}
WORDS = [
    "cat",
    "dog",
    "sits",
    "runs",
    "park",
    "house",
    "red",
    "blue",
    "old",
    "man",
    "sees",
    "eats",
    "fish",
    "bird",
    "sky",
]


def drifting(generator: random.Random, rewrites: int) -> list[str]:
    words = [generator.choice(WORDS) for _ in range(6)]
    chain = [" ".join(words)]
    for _ in range(rewrites):
        words[generator.randrange(6)] = generator.choice(WORDS) + generator.choice(WORDS)
        chain.append(" ".join(words))
    return chain


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with encoder, lists of 3 to 6 sentences, their teacher embeddings, and development data."""
    folder, generator = tmp_path_factory.mktemp("inputs"), random.Random(0)
    build_encoder(folder / "encoder")
    write_manifest(folder / "encoder.json", source="tiny", kind="model", path=folder / "encoder")
    lists = [drifting(generator, 2 + i % 4) for i in range(11)]
    names = [f"list{i}" for i in range(11)]
    io.write_table(folder / "lists.parquet", pa.table({"seed_id": names, "sentences": lists}))
    pairs = [drifting(generator, 1 + i % 5) for i in range(20)]
    columns = {"sentence1": [pair[0] for pair in pairs], "sentence2": [pair[-1] for pair in pairs]}
    scores = [float(5 - i % 5) for i in range(20)]
    io.write_table(folder / "data" / "validation.parquet", pa.table(columns | {"score": scores}))
    write_manifest(folder / "data.json", source="pairs", kind="dataset", path=folder / "data")
    embed(folder)
    return folder


def embed(folder: Path, **settings: object) -> tuple[Path, dict]:
    output, stats = folder / "teacher.safetensors", folder / "similarity.json"
    whole = config.complete({"refine": settings})
    teacher.run(whole, folder / "lists.parquet", folder / "encoder.json", 1, output, stats)
    return output, io.read_json(stats)


def refine(
    inputs: Path,
    output: Path,
    seed: int = 7,
    report_to: tuple[str, ...] = (),
    processes: int = 1,
    pooling: str = "model",
    development: bool = True,
    **settings: object,
) -> dict:
    """Train an encoder in the folder `output` and return its history."""
    chosen = {"learning_rate": 1e-3, "evaluate_every": 2, "batch_size": 2, "max_length": 16} | settings
    run.run(
        "refined",
        config.complete({"seed": seed, "refine": chosen, "base": {"pooling": pooling}}),
        lists=inputs / "lists.parquet",
        teacher_embeddings=[inputs / "teacher.safetensors"],
        weights=[1.0],
        model=inputs / "encoder.json",
        development=inputs / "data.json" if development else None,
        report_to=list(report_to),
        threads=1,
        processes=processes,
        code=[],
        output=output / "model",
        manifest=output / "model.json",
        history=output / "history.json",
    )
    return io.read_json(output / "history.json")


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def weights(folder: Path) -> torch.Tensor:
    return torch.cat([tensor.flatten() for _, tensor in sorted(load_file(folder / "model.safetensors").items())])


def copy(inputs: Path, folder: Path) -> Path:
    """A copy of the inputs to damage; its manifests point into the copy."""
    shutil.copytree(inputs, folder)
    write_manifest(folder / "encoder.json", source="tiny", kind="model", path=folder / "encoder")
    write_manifest(folder / "data.json", source="pairs", kind="dataset", path=folder / "data")
    return folder


def test_teacher_embeds_each_list_in_order(inputs: Path):
    output, stats = inputs / "teacher.safetensors", io.read_json(inputs / "similarity.json")
    teacher_file = load_file(output)
    lists = io.read_table(inputs / "lists.parquet")["sentences"].to_pylist()
    flat = [sentence for sentences in lists for sentence in sentences]
    expected = open_encoder(inputs / "encoder").encode(flat, normalize_embeddings=True, batch_size=1)
    assert torch.allclose(teacher_file["embeddings"], torch.from_numpy(expected), atol=1e-5)
    assert teacher_file["embeddings"].dtype == torch.float32
    assert teacher_file["sizes"].tolist() == [len(sentences) for sentences in lists]
    assert stats["lists"] == 11
    assert stats["sentences"] == len(expected)
    assert stats["by_rank"][0]["mean"] == pytest.approx(1)
    assert 0 < stats["in_order"] <= 1


def test_teacher_and_training_say_how_far_they_are(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(progress, "EVERY", 0.0)  # a line for each step
    caplog.set_level("INFO", logger="rankrefine")
    lists = io.read_table(inputs / "lists.parquet")["sentences"].to_pylist()
    count = len({sentence for sentences in lists for sentence in sentences})
    embed(copy(inputs, tmp_path / "copy"))
    lines = [message for message in caplog.messages if message.startswith("teacher:") and "of" in message]
    assert lines[-1] == f"teacher: {count} of {count} sentences"
    assert lines[0].startswith(f"teacher: 32 of {count} sentences")
    caplog.clear()
    history = refine(inputs, tmp_path / "out")
    lines = [message for message in caplog.messages if message.startswith("refine refined/7: step")]
    scores = {int(score["step"]): f"development score {score['score']:.2f}" for score in history["development"]}
    assert [step for step in range(7) if any(line.split()[3] == str(step) for line in lines)] == list(range(7))
    for line in lines:
        step, total, *notes = line.removeprefix("refine refined/7: step ").replace(" of 6", ", 6").split(", ")
        # of the last score, which belongs to this step or to one of the two before it
        assert total == "6" and notes[0] in [scores.get(int(step) - back) for back in range(3)], line
    assert any(line.endswith("less than 1 min left") for line in lines)


def test_teacher_cuts_sentences_and_writes_the_same_bytes_again(inputs: Path, tmp_path: Path):
    folder = copy(inputs, tmp_path / "copy")
    assert embed(folder)[0].read_bytes() == (inputs / "teacher.safetensors").read_bytes()
    assert embed(folder, max_length=4)[0].read_bytes() != (inputs / "teacher.safetensors").read_bytes()


def test_collator_makes_passes_of_ragged_lists(inputs: Path):
    """The passes contain the tokenised sentences, and `order` restores their order."""
    model = open_encoder(inputs / "encoder")
    lists = [["one two", "three"], ["four", "five six seven eight", "nine", "ten"], ["no", "part", "of it"]]
    embeddings = [torch.nn.functional.normalize(torch.rand(len(each), 5), dim=-1) for each in lists]
    target = partial(targets, tau=0.05, omega=2.0, target="paper")
    collator = ListCollator(preprocessor(model, 12), ["a", "b", "c"], lists, embeddings, target, embeddings, 0)
    features, label = Trainer.collect_features(None, collator([{"list": 1}, {"list": 0}]))
    widths = [feature["input_ids"].shape[1] for feature in features]
    assert len(features) > 1 and widths == sorted(set(widths)) and widths[-1] == 12  # cut to 12 tokens
    assert all(feature["attention_mask"].all() for feature in features)  # passes that cost nothing leave no padding
    rows = [row.tolist() for feature in features for row in feature["input_ids"]]
    whole = model.tokenizer(lists[1] + lists[0], truncation=True, max_length=12)
    assert [rows[place] for place in label["order"]] == whole["input_ids"]
    target = label["target"]
    assert torch.equal(label["base"], torch.cat([embeddings[1], embeddings[0]]))
    assert ((target[0] > -torch.inf).sum(), (target[1] > -torch.inf).sum()) == (16, 4)
    assert torch.equal(target[1, :2, :2], collator([{"list": 0}])["label"]["target"][0])
    assert model.max_seq_length == 64


def test_passes_change_neither_loss_nor_gradients(inputs: Path):
    lists = read_lists(inputs / "lists.parquet")
    embeddings = list(load_file(inputs / "teacher.safetensors")["embeddings"].split(lists.sizes))
    results = []
    for cost in (0, 10, 10**6):
        model = open_encoder(inputs / "encoder")
        target = partial(targets, tau=0.05, omega=2.0, target="paper")
        collator = ListCollator(preprocessor(model, 64), lists.ids, lists.sentences, embeddings, target, None, cost)
        features, label = Trainer.collect_features(None, collator([{"list": i} for i in range(11)]))
        loss = RankingLoss(model, 0.05)(features, label)
        loss.backward()
        grads = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        results.append((len(features), loss.detach(), torch.cat(grads)))
    assert results[0][0] > results[1][0] > results[2][0] == 1
    for _, loss, grads in results[:2]:
        assert torch.allclose(loss, results[2][1], atol=1e-5)
        assert torch.allclose(grads, results[2][2], atol=1e-4)


def test_collator_puts_the_default_prompt_before_each_sentence(inputs: Path):
    model = open_encoder(inputs / "encoder")
    model.prompts["search"], model.default_prompt_name = "find: ", "search"
    tokens = preprocessor(model, 64)(["a cat"])["input_ids"]
    assert torch.equal(tokens, model.tokenizer(["find: a cat"], return_tensors="pt")["input_ids"])


def test_refine_writes_model_manifest_and_history(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    history = refine(inputs, tmp_path / "out", epochs=2)
    assert list(empty.iterdir()) == []
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["history.json", "model", "model.json"]
    # 11 lists, 2 a step, 2 epochs: 12 steps; the first, every second, the last
    assert [each["step"] for each in history["development"]] == [0, 2, 4, 6, 8, 10, 12]
    assert [each["step"] for each in history["steps"]] == list(range(1, 13))
    assert [each["learning_rate"] for each in history["steps"]] == pytest.approx(
        [1e-3 * i / 12 for i in range(12, 0, -1)]
    )
    assert history["base_development"] == history["development"][0]["score"]
    assert history["best_development"] == max(each["score"] for each in history["development"])
    assert history["development"][history["best_step"] // 2]["score"] == history["best_development"]
    assert (history["name"], history["seed"], history["lists"], history["sentences"]) == ("refined", 7, 11, 48)
    manifest = io.read_json(tmp_path / "out" / "model.json")
    assert manifest["source"] == "refined:refined/7"
    assert manifest["files"] == digests(tmp_path / "out" / "model")
    assert "README.md" not in manifest["files"]


def test_the_last_step_is_scored_and_logged_between_intervals(inputs: Path, tmp_path: Path):
    history = refine(inputs, tmp_path, evaluate_every=4)
    assert [each["step"] for each in history["development"]] == [0, 4, 6]
    history = refine(inputs, tmp_path, batch_size=1, epochs=11, evaluate_every=1000)
    assert [each["step"] for each in history["steps"]] == [*range(2, 121, 2), 121]  # some 50 points and the end


def test_the_kept_model_is_that_of_the_best_step(inputs: Path, tmp_path: Path):
    history = refine(inputs, tmp_path, epochs=2)
    model = open_encoder(tmp_path / "model")
    score = 100 * evaluator(inputs / "data")(model)["spearman_cosine"]
    assert score == pytest.approx(history["best_development"], abs=1e-9)
    assert model.max_seq_length == 64  # not the 16 of the training


@pytest.mark.parametrize("settings", [{}, {"lora": 4, "learning_rate": 2e-2}], ids=str)
def test_training_lowers_the_loss(inputs: Path, tmp_path: Path, settings: dict):
    settings = {"batch_size": 11, "epochs": 25, "evaluate_every": 25, "learning_rate": 5e-3} | settings
    history = refine(inputs, tmp_path, **settings)
    first, last = history["steps"][0]["loss"], history["steps"][-1]["loss"]
    assert last < 0.8 * first


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(inputs: Path, tmp_path: Path):
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        refine(inputs, tmp_path / name, seed)
    assert digests(tmp_path / "a" / "model") == digests(tmp_path / "b" / "model")
    one, same, other = (io.read_json(tmp_path / name / "history.json")["steps"] for name in "abc")
    assert one == same
    assert [each["loss"] for each in one] != [each["loss"] for each in other]  # other order, other dropout


def test_when_no_step_beats_the_base_its_weights_are_kept(
    inputs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    folder = copy(inputs, tmp_path / "copy")
    file = folder / "data" / "validation.parquet"
    table = io.read_table(file)
    model = open_encoder(folder / "encoder")
    first, second = (
        model.encode(table[name].to_pylist(), normalize_embeddings=True) for name in table.column_names[:2]
    )
    scores = pa.array((first * second).sum(-1).astype("float64"))  # the base's own cosines: it cannot be beaten
    io.write_table(file, table.set_column(2, "score", scores))
    with caplog.at_level("INFO", logger="rankrefine"):
        history = refine(folder, tmp_path / "out")
    assert history["improved"] is False
    assert history["best_step"] == 0
    assert history["base_development"] == history["best_development"] == pytest.approx(100)
    assert torch.equal(weights(tmp_path / "out" / "model"), weights(folder / "encoder"))
    assert "no step improves the development score of 100.00" in caplog.text


def test_a_loss_that_is_not_finite_stops_with_step_and_lists(inputs: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"The loss at step 1 \(lists list\d+, list\d+\) is not finite; lower"):
        refine(inputs, tmp_path / "out", tau=1e-40)
    assert list((tmp_path / "out").iterdir()) == []


class Killed(Exception):
    """In place of SIGKILL."""


@pytest.mark.parametrize("settings", [{}, {"accumulation": 2, "warmup": 0.3, "schedule": "cosine"}], ids=str)
def test_a_killed_training_resumes_and_ends_with_the_same_weights(
    inputs: Path, tmp_path: Path, settings: dict, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Killed in the middle of an interval, of an epoch, and while a checkpoint was written."""
    whole = refine(inputs, tmp_path / "whole", epochs=4, **settings)
    ended = BestStep.on_step_end
    for step in (5, 7):

        def killing(self, args, state, control, step=step, **kwargs):
            ended(self, args, state, control, **kwargs)
            if state.global_step == step:
                raise Killed

        monkeypatch.setattr(BestStep, "on_step_end", killing)
        with pytest.raises(Killed):
            refine(inputs, tmp_path / "killed", epochs=4, **settings)
        monkeypatch.setattr(BestStep, "on_step_end", ended)
    state = sorted((tmp_path / "killed" / ".work").glob("checkpoint-*/trainer_state.json"))[-1]
    state.write_text(state.read_text()[:100])
    steps = []
    computed = Trainer.compute_loss
    monkeypatch.setattr(
        Trainer,
        "compute_loss",
        lambda self, *a, **k: steps.append(self.state.global_step) or computed(self, *a, **k),
    )
    with caplog.at_level("INFO", logger="rankrefine"):
        again = refine(inputs, tmp_path / "killed", epochs=4, **settings)
    assert "resuming from checkpoint-4" in caplog.text
    assert min(steps) == 4
    assert digests(tmp_path / "killed" / "model") == digests(tmp_path / "whole" / "model")
    assert again["development"] == whole["development"]
    assert not (tmp_path / "killed" / ".work").exists()


def start(inputs: Path, folder: Path, processes: int = 1) -> subprocess.Popen:
    """Start the command of a training with many checkpoints."""
    settings = {"batch_size": 2, "max_length": 16, "epochs": 20, "evaluate_every": 2, "learning_rate": 1e-3}
    command = [
        *(
            sys.executable,
            "-m",
            "rankrefine",
            "refine",
            "--name",
            "refined",
            "--config",
            json.dumps({"refine": settings}),
        ),
        *(
            "--lists",
            inputs / "lists.parquet",
            "--teacher-embeddings",
            inputs / "teacher.safetensors",
            "--weights",
            "1",
        ),
        *("--model", inputs / "encoder.json", "--development", inputs / "data.json", "--threads", "1"),
        *("--processes", str(processes), "--output", folder / "model", "--manifest", folder / "model.json"),
        *("--history", folder / "history.json", "--log", folder.with_suffix(".log")),
    ]
    environment = os.environ | {"PYTHONPATH": str(Path(io.__file__).parents[1])}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_second_training_in_a_work_folder_is_refused_and_one_after_a_kill_goes_on(
    inputs: Path, tmp_path: Path, processes: int
):
    folder, work = tmp_path / "out", tmp_path / "out" / ".work"
    first = start(inputs, folder, processes)
    while not any(work.glob("checkpoint-*/trainer_state.json")):
        assert first.poll() is None
        time.sleep(0.01)
    second = start(inputs, folder, processes)
    _, printed = second.communicate()
    assert second.returncode == 1
    assert printed.splitlines()[-1].startswith(f"rankrefine: error: {work} is in use by process {first.pid} on ")
    assert "Traceback" not in printed
    assert first.poll() is None
    first.kill()
    first.wait()
    again = start(inputs, folder, processes)
    _, printed = again.communicate()
    assert again.returncode == 0, printed
    assert "resuming from checkpoint-" in folder.with_suffix(".log").read_text(encoding="utf-8")
    assert sorted(path.name for path in folder.iterdir()) == ["history.json", "model", "model.json"]


def test_a_training_does_not_resume_with_other_settings(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def killing(self, args, state, control, **kwargs):
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(BestStep, "on_train_end", killing)
        refine(inputs, tmp_path / "a")
    refine(inputs, tmp_path / "a", omega=1)
    refine(inputs, tmp_path / "b", omega=1)
    assert digests(tmp_path / "a" / "model") == digests(tmp_path / "b" / "model")


def test_the_interval_of_scores_may_be_a_part_of_the_training(inputs: Path, tmp_path: Path):
    history = refine(inputs, tmp_path, evaluate_every=0.3, batch_size=1)
    assert [score["step"] for score in history["development"]] == [0, 4, 8, 11]  # 0.3 x 11 = 3.3 steps


def test_patience_stops_a_training_that_no_longer_gains(inputs: Path, tmp_path: Path):
    history = refine(inputs, tmp_path, epochs=20, learning_rate=0.5, patience=2)
    last = history["development"][-1]["step"]
    assert last - history["best_step"] == 4  # two scores, every second step
    assert last < 120


def test_fewer_layers_make_a_smaller_encoder_that_opens_again(inputs: Path, tmp_path: Path):
    refine(inputs, tmp_path, layers=1)
    model = open_encoder(tmp_path / "model")
    assert model[0].auto_model.config.num_hidden_layers == len(model[0].auto_model.encoder.layer) == 1
    with pytest.raises(UserError, match=r"refine.layers is 9 but the encoder has \d layers"):
        refine(inputs, tmp_path / "none", layers=9)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("loss", LOSSES)
def test_all_targets_and_losses_train(inputs: Path, tmp_path: Path, target: str, loss: str):
    history = refine(inputs, tmp_path, target=target, loss=loss, contrastive=0.5, anchor=0.5)
    assert all(step["loss"] > 0 for step in history["steps"])


def test_a_tracker_that_is_not_installed_is_named(inputs: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"^refine\.report_to: wandb is not installed; run: pip install wandb$"):
        refine(inputs, tmp_path, report_to=("wandb",))


def test_tensorboard_logs_are_kept_beside_the_model(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorBoard's callback reads the folder from the environment when it is created."""
    from transformers.integrations import integration_utils

    folders = []

    class SummaryWriter:
        def __init__(self, log_dir: str) -> None:
            folders.append(log_dir)

        def __getattr__(self, name: str) -> Any:
            return lambda *args, **kwargs: None

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=SummaryWriter))
    monkeypatch.setattr(integration_utils, "is_tensorboard_available", lambda: True)
    monkeypatch.setattr(run, "find_spec", lambda name: name)
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "")
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR")
    refine(inputs, tmp_path, report_to=("tensorboard",))
    assert folders == [str(tmp_path / "tensorboard")]


def test_an_unrelated_work_folder_is_removed(inputs: Path, tmp_path: Path):
    stale = tmp_path / ".work" / "best-0"
    stale.mkdir(parents=True)
    (stale / "half").write_text("written")
    refine(inputs, tmp_path)
    assert not (tmp_path / "model" / "half").exists()
    assert not list(tmp_path.glob(".work*"))


def test_unusable_models_are_refused(inputs: Path, tmp_path: Path):
    folder = copy(inputs, tmp_path / "copy")
    encoder = folder / "encoder"
    for name, message in (("modules.json", "bare transformer"), ("config.json", "not a sentence-transformers model")):
        (encoder / name).unlink()
        write_manifest(folder / "encoder.json", source="tiny", kind="model", path=encoder)
        with pytest.raises(UserError, match=message):
            embed(folder)
        with pytest.raises(UserError, match=message):
            refine(folder, tmp_path / "out")
    shutil.rmtree(encoder)
    with pytest.raises(UserError, match="does not exist"):
        refine(folder, tmp_path / "out")
    assert not (tmp_path / "out" / "model").exists()


def test_embeddings_of_other_lists_are_refused(inputs: Path, tmp_path: Path):
    folder = copy(inputs, tmp_path / "copy")
    table = io.read_table(folder / "lists.parquet")
    io.write_table(folder / "lists.parquet", table.slice(0, 5))
    with pytest.raises(UserError, match=r"48 sentences in 11 lists, but the ranking lists have .* in 5; run"):
        refine(folder, tmp_path / "out")


def test_adapters_are_merged_into_a_plain_encoder(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The saved folder gives the vectors of the encoder in training, and its embeddings of words have not moved."""
    model = open_encoder(inputs / "encoder")
    before = model.encode(["one two"], convert_to_tensor=True)
    lora.add(model, 2)
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    assert trained and all("lora_" in name for name in trained)
    assert torch.allclose(model.encode(["one two"], convert_to_tensor=True), before, atol=1e-6)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name in trained:
                value.add_(0.1)
    changed = model.encode(["one two"], convert_to_tensor=True)
    assert not torch.allclose(changed, before, atol=1e-2)
    whole = lora.merged(model)
    save(whole, tmp_path / "merged")
    assert torch.allclose(
        open_encoder(tmp_path / "merged").encode(["one two"], convert_to_tensor=True), changed, atol=1e-5
    )
    assert not list((tmp_path / "merged").rglob("adapter*"))
    assert lora.merged(whole) is whole


@pytest.mark.parametrize("layers", [0, 1])
def test_adapters_train_resume_after_a_kill_and_leave_a_plain_folder(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layers: int
):
    settings = {"lora": 4, "learning_rate": 0.003, "epochs": 4, "layers": layers}
    history = refine(inputs, tmp_path / "whole", **settings)
    assert sorted(digests(tmp_path / "whole" / "model")) == sorted(digests(inputs / "encoder"))
    ended = BestStep.on_step_end

    def killing(self, args, state, control, **kwargs):
        ended(self, args, state, control, **kwargs)
        if state.global_step == 5:
            raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(BestStep, "on_step_end", killing)
        refine(inputs, tmp_path / "killed", **settings)
    again = refine(inputs, tmp_path / "killed", **settings)
    assert again["steps"] == history["steps"]
    assert again["development"] == history["development"]
    assert digests(tmp_path / "killed" / "model") == digests(tmp_path / "whole" / "model")


def test_bf16_trains_on_a_processor_and_keeps_float32_weights(inputs: Path, tmp_path: Path):
    exact, rounded = (refine(inputs, tmp_path / str(bf16), bf16=bf16) for bf16 in (False, True))
    assert exact["steps"] != rounded["steps"]
    assert rounded["steps"][0]["loss"] == pytest.approx(exact["steps"][0]["loss"], rel=0.05)
    assert weights(tmp_path / "True" / "model").dtype == torch.float32


def test_a_full_disk_keeps_what_is_finished(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """If the output cannot be written, a second attempt repeats no step."""

    def full(*args, **kwargs):
        raise UserError("No space is left.")

    with monkeypatch.context() as patched, pytest.raises(UserError, match="No space"):
        patched.setattr(run, "write_manifest", full)
        refine(inputs, tmp_path)
    monkeypatch.setattr(Trainer, "training_step", full)
    assert refine(inputs, tmp_path)["steps"]
    assert not (tmp_path / ".work").exists()


def test_a_smaller_student_is_compared_with_the_whole_base(inputs: Path, tmp_path: Path):
    whole, cut = (refine(inputs, tmp_path / str(layers), layers=layers) for layers in (0, 1))
    assert cut["base_development"] == pytest.approx(whole["base_development"])
    assert cut["development"][0]["score"] != pytest.approx(whole["base_development"])


@pytest.mark.parametrize("names", ["other", "same"])
def test_a_training_does_not_resume_with_other_embeddings(
    inputs: Path, tmp_path: Path, names: str, monkeypatch: pytest.MonkeyPatch
):
    """A killed training whose teacher has changed restarts, even if the teacher has the same name."""
    folder = copy(inputs, tmp_path / "copy")

    def killing(self, args, state, control, **kwargs):
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(BestStep, "on_train_end", killing)
        refine(folder, tmp_path / "a")
    file = folder / "teacher.safetensors"
    if names == "other":
        embed(folder, teacher_prompt="query: ")
    else:
        lists = read_lists(folder / "lists.parquet")
        embeddings, record = teacher_embeddings.read(file, lists)
        teacher_embeddings.write(file, torch.cat(embeddings).flip(0), lists, record)
    refine(folder, tmp_path / "a")
    refine(folder, tmp_path / "b")
    assert digests(tmp_path / "a" / "model") == digests(tmp_path / "b" / "model")


@pytest.mark.parametrize("processes", [1, 2])
def test_each_process_reads_teacher_embeddings_once(
    inputs: Path, tmp_path: Path, processes: int, monkeypatch: pytest.MonkeyPatch
):
    """They are hashed in memory; with one process the training uses the tensors that were hashed."""
    folder = copy(inputs, tmp_path / "copy")
    file = folder / "teacher.safetensors"
    counts, opening, hashing = Counter(), teacher_embeddings.safe_open, io.sha256
    monkeypatch.setattr(
        teacher_embeddings, "safe_open", lambda path, **options: counts.update([path]) or opening(path, **options)
    )
    monkeypatch.setattr(io, "sha256", lambda path: counts.update([path]) or hashing(path))

    def launch(count: int, function, *arguments: object) -> object:
        """Call the function `count` times, one after the other, in place of processes."""
        assert count == processes
        results = [function(*arguments) for _ in range(count)]
        return results[0]

    monkeypatch.setattr(distributed, "launch", launch)
    refine(folder, tmp_path / "out", processes=processes)
    assert counts[file] == {1: 1, 2: 1 + 2}[processes]


def test_matryoshka_ranks_with_cut_embeddings(inputs: Path, tmp_path: Path):
    """Its loss is the sum of those of embeddings cut to each of the dimensions and renormalised."""
    model, lists = open_encoder(inputs / "encoder"), read_lists(inputs / "lists.parquet")
    embeddings = list(load_file(inputs / "teacher.safetensors")["embeddings"].split(lists.sizes))
    target, features = targets(embeddings, tau=0.05, omega=2.0, target="paper"), model.preprocess(lists.flat)
    vectors = model(dict(features))["sentence_embedding"]
    expected = sum(list_mle(similarity(vectors[:, :dim], lists.sizes, 0.1), target) for dim in (32, 8, 4))
    settings = config.complete({"refine": {"matryoshka": [4, 8], "tau": 0.1}})["refine"]
    result = ranking_loss(model, settings)([features], {"target": target, "order": torch.arange(len(lists.flat))})
    assert torch.allclose(result, expected, atol=1e-4)
    assert refine(inputs, tmp_path, matryoshka=[8])["steps"]
    with pytest.raises(UserError, match=r"refine.matryoshka: 64 exceeds the 32 dimensions of the encoder"):
        refine(inputs, tmp_path / "wide", matryoshka=[64])


@pytest.mark.parametrize("pooling", ["model", "cls_training_head"])
def test_two_processes_train_as_one(inputs: Path, tmp_path: Path, pooling: str):
    """A shared batch gives the losses and scores of the whole one, without dropout and with full batches."""
    folder = copy(inputs, tmp_path / "copy")
    io.write_table(folder / "lists.parquet", io.read_table(folder / "lists.parquet").slice(0, 10))
    settings = io.read_json(folder / "encoder" / "config.json")
    io.write_json(
        folder / "encoder" / "config.json",
        settings | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
    )
    write_manifest(folder / "encoder.json", source="tiny", kind="model", path=folder / "encoder")
    embed(folder)
    one, two = (refine(folder, tmp_path / str(n), epochs=2, processes=n, pooling=pooling) for n in (1, 2))
    for notes, value in (("development", "score"), ("steps", "loss")):
        first, second = ([(note["step"], note[value]) for note in each[notes]] for each in (one, two))
        assert len(first) == len(second)
        assert all(a == (b[0], pytest.approx(b[1], abs=1e-2)) for a, b in zip(first, second, strict=True))
    # AdamW makes whole steps of gradients that are nearly nothing, so single weights may differ more
    assert (weights(tmp_path / "1" / "model") - weights(tmp_path / "2" / "model")).abs().mean() < 1e-4


def test_processes_that_cannot_share_a_batch_are_refused(inputs: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"contrastive needs at least 2 lists per process, but refine.batch_size is 2"):
        refine(inputs, tmp_path, processes=2, contrastive=1)
    with pytest.raises(UserError, match=r"batch_size \(12\) exceeds the number of ranking lists \(11\); lower it"):
        refine(inputs, tmp_path, processes=2, batch_size=12)
    with pytest.raises(UserError, match=r"batch_size \(2\) must be a multiple of the number of processes \(3\)"):
        refine(inputs, tmp_path, processes=3)
    with pytest.raises(UserError, match=r"number of processes \(0\) must be at least 1"):
        refine(inputs, tmp_path, processes=0)


def test_an_error_in_one_of_several_processes_is_reported(inputs: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"^The loss at step 1 \(lists list\d+\) is not finite; lower learn"):
        refine(inputs, tmp_path / "out", processes=2, tau=1e-40)
    assert list((tmp_path / "out").iterdir()) == []


def test_teacher_and_student_of_different_families(inputs: Path, tmp_path: Path):
    """Another width and another vocabulary: only the order of similarities passes between them."""
    folder = copy(inputs, tmp_path / "copy")
    embeddings = load_file(folder / "teacher.safetensors")["embeddings"]
    wide = torch.nn.functional.normalize(embeddings @ torch.rand(32, 50), dim=-1)
    teacher_embeddings.write(folder / "teacher.safetensors", wide, read_lists(folder / "lists.parquet"), OTHER)
    assert refine(folder, tmp_path / "out")["teachers"] == [OTHER | {"weight": 1.0}]


def test_without_development_data_lists_are_held_out(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    seen: set[int] = set()
    collate = ListCollator.__call__
    monkeypatch.setattr(
        ListCollator, "__call__", lambda self, rows: seen.update(row["list"] for row in rows) or collate(self, rows)
    )
    with caplog.at_level("INFO", logger="rankrefine"):
        history = refine(inputs, tmp_path / "out", development=False, batch_size=1, max_length=128)
    assert seen == {*range(11)} - {9}
    assert history["development_data"]["source"] == "held-out lists"
    assert "using the generated order of 1 held-out lists instead" in caplog.text
    vectors = load_file(inputs / "teacher.safetensors")["embeddings"]  # the base's
    sizes = read_lists(inputs / "lists.parquet").sizes
    rows = vectors.split(sizes)[9].numpy()
    assert history["base_development"] == pytest.approx(100 * order_kept(rows @ rows.T), abs=1e-3)
    assert history["development_data"]["lists"] == 1


@pytest.mark.parametrize(("lists", "sentences", "ordered"), [(9, 9, 9), (11, 2, 0)])
def test_too_few_lists_with_an_order_are_refused_before_anything_else(
    inputs: Path, tmp_path: Path, lists: int, sentences: int, ordered: int
):
    folder = copy(inputs, tmp_path / "copy")
    table = io.read_table(folder / "lists.parquet").slice(0, lists)
    shortened = [each[:sentences] for each in table["sentences"].to_pylist()]
    io.write_table(folder / "lists.parquet", table.set_column(1, "sentences", pa.array(shortened)))
    (folder / "teacher.safetensors").unlink()
    message = rf"refine.development is null, .* but there are only {ordered} such lists; set refine.dev"
    with pytest.raises(UserError, match=message):
        refine(folder, tmp_path / "few", development=False)
    assert not (tmp_path / "few").exists()


def test_lists_of_three_sentences_choose_a_trained_step(inputs: Path, tmp_path: Path):
    """Their middle sentence has no order, which must not hide that of the others."""
    folder, generator = copy(inputs, tmp_path / "copy"), random.Random(1)
    lists = [drifting(generator, 8)[::4] for _ in range(40)]
    columns = {"seed_id": [f"list{i}" for i in range(40)], "sentences": lists}
    io.write_table(folder / "lists.parquet", pa.table(columns))
    embed(folder)
    history = refine(folder, tmp_path / "out", development=False, target="generated", epochs=4)
    assert history["improved"] and history["best_development"] > history["base_development"]


def test_out_of_memory_names_the_lists(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(self, features, label):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.")

    monkeypatch.setattr(RankingLoss, "forward", full)
    with pytest.raises(UserError, match=r"Out of memory at step 1 \(lists list\d+, list\d+\); lower batch_size"):
        refine(inputs, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
