"""The sentence-transformers trainer as we use it: the best step is kept, a killed training goes on.

Import this only after `rankrefine.encoder.go_offline`.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from tqdm import tqdm
from transformers import PrinterCallback, TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import ExportableState
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from rankrefine import io
from rankrefine.errors import DeadEnd, DiskFull, UserError
from rankrefine.refine.collator import COLUMN
from rankrefine.training import distributed as processes
from rankrefine.training import lora
from rankrefine.training import work_folder as work
from rankrefine.training.development import METRIC

log = logging.getLogger(__name__)
LOGS = 50  # points of the loss curve


class BestStep(TrainerCallback, ExportableState):
    """Notes losses and development scores, and saves the model whenever its score is the best so far.

    Args:
        model: The student.
        folder: Where the best one goes, as `work.best`.
        patience: Scores without a new best after which the training stops; 0 never stops it.
        notes: Those of a checkpoint from which the training goes on.
    """

    def __init__(
        self, model: SentenceTransformer, folder: Path, patience: int = 0, notes: dict[str, Any] | None = None
    ) -> None:
        self.model, self.folder, self.patience = model, folder, patience
        self.losses: list[dict[str, float]] = notes["losses"] if notes else []
        self.scores: list[dict[str, float]] = notes["scores"] if notes else []

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of this."""
        return {"args": {}, "attributes": {"losses": self.losses, "scores": self.scores}}

    @property
    def best(self) -> dict[str, float]:
        """The best development score and its step; the earliest of equals."""
        return max(self.scores, key=lambda score: score["score"])

    def summary(self) -> dict[str, Any]:
        """What a history says of the training."""
        return {
            "base_development": self.scores[0]["score"],
            "best_step": self.best["step"],
            "best_development": self.best["score"],
            "improved": self.best["step"] > 0,
            "steps": self.losses,
            "development": self.scores,
        }

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Open the progress bar."""
        hidden = None if processes.is_first() else True  # None: hidden where nobody looks
        self.bar = tqdm(total=state.max_steps, initial=state.global_step, desc="train", unit="step", disable=hidden)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Have the last step logged, whatever the interval."""
        self.bar.update()
        control.should_log |= state.global_step == state.max_steps

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
        """Note the mean loss since the last note; other logs are evaluations."""
        if "loss" in logs:
            note = {"step": state.global_step, "loss": logs["loss"], "learning_rate": logs["learning_rate"]}
            self.losses.append(note)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **kwargs: Any) -> None:
        """Note the development score (x100); keep the model if it is the best."""
        if any(note["step"] == state.global_step for note in self.scores):
            return  # the trainer scores again where it goes on from a checkpoint, and what ends with a whole interval
        # of several processes the first one's score counts
        score = 100 * float(processes.agreed(metrics.get(f"eval_{METRIC}")))
        if score != score:
            raise DeadEnd(f"The development score at step {state.global_step} is not a number: all cosines are equal.")
        self.scores.append({"step": state.global_step, "score": score})
        log.info("step %d, development score %.2f", state.global_step, score)
        self.bar.set_postfix_str(f"development {score:.2f}")
        if self.best["step"] == state.global_step:
            if processes.is_first():
                with io.atomic(work.best(self.folder, state.global_step)) as aside:
                    lora.merged(self.model).save_pretrained(str(aside), create_model_card=False)
        elif self.patience:
            since = sum(note["step"] > self.best["step"] for note in self.scores)
            control.should_training_stop |= since >= self.patience

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Remove what was the best before; not until the checkpoint is there that knows of the new one."""
        for old in self.folder.glob("best-*"):
            if old != work.best(self.folder, int(self.best["step"])) and processes.is_first():
                shutil.rmtree(old)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Close the progress bar."""
        self.bar.close()


class Trainer(SentenceTransformerTrainer):
    """Stops at a loss that is no number, and gathers nothing for a model card."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._lists: list[str] | None = None
        self.remove_callback(PrinterCallback)  # it prints every log to stdout

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """None: it would ask the hub about the base model."""

    def compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """The loss of a batch.

        Raises:
            DeadEnd: the loss is not finite.
        """
        self._lists = inputs.pop(COLUMN, None)
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        if not torch.isfinite(loss):
            raise DeadEnd(f"The loss{self._where()} is not a finite number; lower the learning rate or raise tau.")
        return loss

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """One step, forward and backward.

        Raises:
            UserError: memory ran out.
        """
        try:
            return super().training_step(*args, **kwargs)
        except RuntimeError as error:  # torch.OutOfMemoryError is one, too
            if "out of memory" not in str(error) and "not enough memory" not in str(error):
                raise
            raise UserError(
                f"Memory ran out{self._where()}; lower batch_size (accumulation makes up for it) or max_length, or "
                "set bf16."
            ) from error

    def _where(self) -> str:
        lists = f" (lists {', '.join(self._lists)})" if self._lists else ""
        return f" at step {self.state.global_step + 1}{lists}"

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        """A checkpoint; none where the disk is full.

        Raises:
            DiskFull: it is.
        """
        checkpoint = Path(self.args.output_dir, f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}")
        try:
            with io.writing(checkpoint):
                super()._save_checkpoint(model, trial)
        except DiskFull:
            shutil.rmtree(checkpoint, ignore_errors=True)
            raise

    def _load_from_checkpoint(self, checkpoint_path: str) -> None:
        """The weights of a checkpoint; the library's own way would put adapters on the encoder as it was fetched."""
        if not lora.load(self.model, Path(checkpoint_path)):
            super()._load_from_checkpoint(checkpoint_path)


def build(
    model: SentenceTransformer,
    examples: Dataset,
    loss: torch.nn.Module,
    evaluator: Any,
    settings: dict[str, Any],
    folder: Path,
    collator: Callable[[list[Any]], dict[str, Any]],
    report_to: list[str],
) -> tuple[Trainer, BestStep, str | None]:
    """A trainer that writes only below `folder` (the best model as `work.best`), the callback with its notes, and the
    checkpoint from which to go on.

    Args:
        model: The encoder in training.
        examples: What it trains on.
        loss: Module that holds the encoder.
        evaluator: Gives the development score.
        settings: A section of the config with learning rate and all, and its `seed`.
        folder: A private one; of a training that was killed, its own.
        collator: Makes batches of the examples.
        report_to: Trackers.
    """
    batches = -(-len(examples) // settings["batch_size"])
    steps = -(-batches // settings["accumulation"]) * settings["epochs"]
    checkpoint, notes = last_checkpoint(folder)
    watch = BestStep(model, folder, settings["patience"], notes)
    trainer = Trainer(
        model=model,
        args=arguments(settings, folder, steps, report_to),
        train_dataset=examples,
        loss=loss,
        data_collator=collator,
        evaluator=evaluator,
        callbacks=[watch],
    )
    return trainer, watch, checkpoint


def last_checkpoint(folder: Path) -> tuple[str | None, dict[str, Any] | None]:
    """The newest checkpoint in `folder` that is whole, and the notes of `BestStep` in it; None if there is none."""
    for path in sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.rpartition("-")[2])):
        try:  # the trainer writes this file last
            state = json.loads((path / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
            return str(path), state["stateful_callbacks"][BestStep.__name__]["attributes"]
        except (OSError, ValueError, KeyError):
            continue
    return None, None


def arguments(
    settings: dict[str, Any], folder: Path, steps: int, report_to: list[str]
) -> SentenceTransformerTrainingArguments:
    """AdamW as the settings have it, a checkpoint and a development score every `evaluate_every` of the `steps`.

    Several processes share out each batch; a last one that is not full is then left out, which is the library's way.

    Args:
        settings: As for `build`.
        folder: Where checkpoints go.
        steps: Of the whole training.
        report_to: Trackers.
    """
    every = settings["evaluate_every"]
    interval = math.ceil(every * steps) if every < 1 else round(every)
    found = SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        seed=settings["seed"],
        num_train_epochs=settings["epochs"],
        per_device_train_batch_size=settings["batch_size"] // processes.count(),
        gradient_accumulation_steps=settings["accumulation"],
        learning_rate=settings["learning_rate"],
        lr_scheduler_type=settings["schedule"],
        warmup_steps=round(settings["warmup"] * steps),
        weight_decay=settings["weight_decay"],
        max_grad_norm=settings["clip"],
        bf16=settings["bf16"],
        use_cpu=not torch.cuda.is_available(),  # said, or bf16 is refused and processes do not find each other
        eval_strategy="steps",
        eval_steps=interval,
        eval_on_start=True,
        logging_steps=max(1, steps // LOGS),
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=interval,
        save_total_limit=2,  # the last one may be half written
        report_to=report_to or "none",
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    if found.n_gpu > 1:
        found._n_gpu = 1  # else it splits batches over the GPUs, in the middle of lists
    return found
