"""Training on a GPU: as on the processor, resumed as if never interrupted, and in bfloat16."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any

import pytest
import torch
from gpu import trainings
from safetensors.torch import load_file
from torch.nn.modules.module import register_module_forward_hook

from rankrefine.assets.manifest import load_manifest
from rankrefine.encoders.opening import go_offline, open_encoder
from rankrefine.training.best_step import BestStep
from rankrefine.training.trainer import Trainer

go_offline()
pytestmark = pytest.mark.gpu
CLOSE = 0.02  # mean difference of two trainings' weights, as a share of the mean change by one of them


@pytest.fixture(scope="module")
def inputs(size, device, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    trainings.prepare(folder, size.encoder, device, size.lists)
    trainings.embed(folder, folder / "teacher.safetensors")
    return folder


def distance(one: Path, other: Path) -> float:
    """Mean difference of the final weights of two trainings, as a share of the mean change by the first."""
    start, first, second = (
        load_file(path) for path in (one / "start.safetensors", one / "end.safetensors", other / "end.safetensors")
    )
    names = [name for name, value in first.items() if value.is_floating_point()]
    changed = sum((first[name] - start[name]).abs().sum() for name in names)
    return float(sum((first[name] - second[name]).abs().sum() for name in names) / changed)


def losses(history: dict[str, Any]) -> list[float]:
    return [step["loss"] for step in history["steps"]]


def scores(history: dict[str, Any]) -> list[float]:
    return [each["score"] for each in history["development"]]


def test_encoders_are_on_the_device(inputs, device) -> None:
    assert open_encoder(load_manifest(inputs / "steady.json").path).device.type == device


def test_training_equals_that_on_the_processor(inputs, note, size, tmp_path: Path) -> None:
    """Teacher embeddings, too; both trainings use those of the device, as a near-tie would change a target."""
    history = trainings.refine(inputs, tmp_path / "device")
    reference = trainings.refine_without_gpu(inputs, tmp_path / "processor")
    files = [folder / "teacher.safetensors" for folder in (inputs, tmp_path / "processor")]
    embeddings = [load_file(file)["embeddings"] for file in files]
    part = distance(tmp_path / "device", tmp_path / "processor")
    apart = max(abs(a - b) / b for a, b in zip(losses(history), losses(reference), strict=True))
    note(
        f"{size.encoder}, {len(losses(history))} steps: losses differ by {apart:.1e}, weights by {part:.1e} of their "
        f"change, teacher embeddings by {float((embeddings[0] - embeddings[1]).abs().max()):.1e}"
    )
    assert torch.allclose(*embeddings, atol=1e-4)
    assert losses(history) == pytest.approx(losses(reference), rel=1e-3)
    assert scores(history) == pytest.approx(scores(reference), abs=0.5)
    assert part < CLOSE


class Killed(Exception):
    """In place of SIGKILL."""


def interrupted(inputs: Path, output: Path, **settings: object) -> None:
    """Train, and stop between two checkpoints."""
    ended = BestStep.on_step_end

    def killing(self: BestStep, args: Any, state: Any, control: Any, **keywords: Any) -> None:
        ended(self, args, state, control, **keywords)
        if state.global_step == 3:  # after the checkpoint of step 2
            raise Killed

    with pytest.MonkeyPatch.context() as patched, pytest.raises(Killed):
        patched.setattr(BestStep, "on_step_end", killing)
        trainings.refine(inputs, output, **settings)


@pytest.mark.parametrize("settings", [{}, {"lora": 8, "learning_rate": 1e-3}], ids=["all weights", "LoRA"])
def test_a_killed_training_resumes_and_ends_with_the_same_weights(
    inputs, note, tmp_path: Path, settings: dict, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With dropout, whose random state must be restored. A GPU need not give the same bytes twice."""
    settings = {"model": trainings.DROPPING, "epochs": 2, **settings}
    whole = trainings.refine(inputs, tmp_path / "whole", **settings)
    trainings.refine(inputs, tmp_path / "again", **settings)
    interrupted(inputs, tmp_path / "resumed", **settings)
    with caplog.at_level("INFO", logger="rankrefine"):
        history = trainings.refine(inputs, tmp_path / "resumed", **settings)
    assert "resuming from checkpoint-2" in caplog.text
    interrupted(inputs, tmp_path / "other", **settings)
    monkeypatch.setattr(Trainer, "_load_rng_state", lambda self, checkpoint: None)
    trainings.refine(inputs, tmp_path / "other", **settings)
    again, resumed, other = (distance(tmp_path / "whole", tmp_path / name) for name in ("again", "resumed", "other"))
    note(
        f"weights differ by {resumed:.1e} of their change after a resume, by {again:.1e} between equal trainings, and "
        f"by {other:.1e} after a resume with another random state"
    )
    assert resumed < CLOSE
    assert other > 5 * CLOSE, "a wrong resume would not be noticed"
    assert losses(history) == pytest.approx(losses(whole), rel=1e-2)


@contextmanager
def linear_outputs() -> Iterator[set[torch.dtype]]:
    """Collect the dtypes that linear layers compute in while they train."""
    dtypes: set[torch.dtype] = set()

    def collect(module: torch.nn.Module, _: Any, output: torch.Tensor) -> None:
        if isinstance(module, torch.nn.Linear) and module.training:
            dtypes.add(output.dtype)

    hook = register_module_forward_hook(collect)
    yield dtypes
    hook.remove()


def test_bfloat16_trains(inputs, device, size, note, tmp_path: Path) -> None:
    if device == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        pytest.skip("this GPU has no bfloat16")
    settings = {"batch_size": size.lists, "epochs": 10, "evaluate_every": 10}
    exact = losses(trainings.refine(inputs, tmp_path / "float32", **settings))
    with linear_outputs() as dtypes:
        low = losses(trainings.refine(inputs, tmp_path / "bfloat16", bf16=True, **settings))
    ends = [f"loss {loss[0]:.3f} -> {loss[-1]:.3f}" for loss in (low, exact)]
    note(f"{size.encoder}: {ends[0]} in bfloat16, {ends[1]} in float32")
    assert dtypes == {torch.bfloat16}
    assert low[0] == pytest.approx(exact[0], rel=0.03)
    assert low[-1] < low[0] and exact[-1] < exact[0]
    weights = load_file(tmp_path / "bfloat16" / "end.safetensors")
    assert {value.dtype for value in weights.values() if value.is_floating_point()} == {torch.float32}


def test_a_base_encoder_trains_with_guide_and_masked_language_model(
    inputs, device, size, note, tmp_path: Path
) -> None:
    """From a bare transformer. Guide and masked words must be on the device of the encoder."""
    settings = {"objective": "rank_distillation", "mlm": 0.1, "bf16": False, "epochs": 2}
    history = trainings.prepare_base(inputs, tmp_path, **settings)
    note(f"{size.encoder}: losses {', '.join(f'{loss:.2f}' for loss in losses(history))}")
    assert len(losses(history)) == 2 * size.lists * trainings.SENTENCES // trainings.BATCH
    assert all(map(isfinite, losses(history)))
    assert open_encoder(tmp_path / "model").device.type == device
