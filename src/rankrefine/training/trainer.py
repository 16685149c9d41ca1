"""The sentence-transformers trainer, with resume after a kill and the model of the best development score.

Import this module only after `rankrefine.encoders.opening.go_offline`.
"""

import json
import logging
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from transformers import PrinterCallback
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from rankrefine import io
from rankrefine.errors import DeadEnd, DiskFull, UserError
from rankrefine.training import distributed, lora
from rankrefine.training.best_step import BestStep
from rankrefine.training.hyperparameters import Hyperparameters
from rankrefine.training.step_progress import StepProgress

log = logging.getLogger(__name__)
LOGS = 50  # points of the loss curve
LOSS = "loss.safetensors"  # of a checkpoint


class Trainer(SentenceTransformerTrainer):
    """Trainer that stops at a loss that is not finite, and collects no data for a model card.

    A batch may have a key `lists` with the names of its ranking lists, which error messages quote.
    """

    _lists: list[str] | None = None  # of the current batch

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Add no callback: it would ask the hub for the base model."""

    def compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Compute the loss of a batch.

        Raises:
            DeadEnd: the loss is not finite.
        """
        self._lists = inputs.pop("lists", None)
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        if not torch.isfinite(loss):
            raise DeadEnd(f"The loss{self._where()} is not finite; lower learning_rate or raise tau.")
        return loss

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """Run the forward and backward pass of a batch.

        Raises:
            UserError: out of memory.
        """
        try:
            return super().training_step(*args, **kwargs)
        except RuntimeError as error:  # the base class of torch.OutOfMemoryError
            if "out of memory" not in str(error) and "not enough memory" not in str(error):
                raise
            raise UserError(
                f"Out of memory{self._where()}; lower batch_size (and raise accumulation) or max_length, or set bf16."
            ) from error

    def _where(self) -> str:
        lists = f" (lists {', '.join(self._lists)})" if self._lists else ""
        return f" at step {self.state.global_step + 1}{lists}"

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        """Save a checkpoint; if the disk is full, remove the incomplete one and raise `DiskFull`."""
        checkpoint = Path(self.args.output_dir, f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}")
        try:
            with io.writing(checkpoint):
                if (own := self._parameters_of_the_loss()) and self.args.should_save:
                    checkpoint.mkdir(parents=True, exist_ok=True)
                    save_file({name: value.detach().contiguous() for name, value in own.items()}, checkpoint / LOSS)
                super()._save_checkpoint(model, trial)
        except DiskFull:
            shutil.rmtree(checkpoint, ignore_errors=True)
            raise

    def _load_from_checkpoint(self, checkpoint_path: str) -> None:
        """Load the weights of a checkpoint; the library would put adapters on the original encoder."""
        if not lora.load(self.model, Path(checkpoint_path)):
            super()._load_from_checkpoint(checkpoint_path)
        if own := self._parameters_of_the_loss():
            saved = load_file(Path(checkpoint_path, LOSS))
            for name, value in own.items():
                value.data.copy_(saved[name])

    def _parameters_of_the_loss(self) -> dict[str, torch.Tensor]:
        """Return the parameters that the loss has beside the encoder's, which the library would not save."""
        encoder = {id(value) for value in self.model.parameters()}
        return {name: value for name, value in self.loss.named_parameters() if id(value) not in encoder}


def train(
    model: SentenceTransformer,
    examples: Dataset,
    loss: torch.nn.Module,
    evaluator: Any,
    hyperparameters: Hyperparameters,
    folder: Path,
    collator: Callable[[list[Any]], dict[str, Any]],
    name: str,
    report_to: list[str] | None = None,
) -> dict[str, Any]:
    """Train an encoder and save its best model in the work folder, as `best_model`.

    Args:
        model: The encoder to train.
        examples: Training data.
        loss: Loss module that contains the encoder.
        evaluator: Computes the development score.
        hyperparameters: Hyperparameters of the training.
        folder: Work folder of the training. If it has a checkpoint, the training resumes from it.
        collator: Builds a batch from a list of examples.
        name: Name of the training in messages about its progress.
        report_to: Experiment trackers (default: none).

    Returns:
        Losses, development scores and the best step.
    """
    batches = math.ceil(len(examples) / hyperparameters.batch_size)
    steps = math.ceil(batches / hyperparameters.accumulation) * hyperparameters.epochs
    checkpoint, state = last_checkpoint(folder)
    best_step = BestStep(model, folder, hyperparameters.patience, state)
    trainer = Trainer(
        model=model,
        args=arguments(hyperparameters, folder, steps, report_to),
        train_dataset=examples,
        loss=loss,
        data_collator=collator,
        evaluator=evaluator,
        callbacks=[best_step, StepProgress(name)],
    )
    trainer.remove_callback(PrinterCallback)  # it prints every log to stdout
    if checkpoint:
        log.info("resuming from %s", Path(checkpoint).name)
    trainer.train(resume_from_checkpoint=checkpoint)
    return best_step.summary()


def last_checkpoint(folder: Path) -> tuple[str | None, dict[str, Any] | None]:
    """Return the newest complete checkpoint in `folder` and the state of its `BestStep`; None if there is none."""
    for path in sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.rpartition("-")[2])):
        try:  # the trainer writes this file last
            state = json.loads((path / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
            return str(path), state["stateful_callbacks"][BestStep.__name__]["attributes"]
        except (OSError, ValueError, KeyError):
            continue
    return None, None


def arguments(
    hyperparameters: Hyperparameters, folder: Path, steps: int, report_to: list[str] | None
) -> SentenceTransformerTrainingArguments:
    """Build training arguments: AdamW, with a checkpoint and a development score every `evaluate_every` steps.

    `steps` is the number of steps of the whole training. With several processes, the library drops a last batch that
    is not full.
    """
    every = hyperparameters.evaluate_every
    interval = math.ceil(every * steps) if every < 1 else round(every)
    training_arguments = SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        seed=hyperparameters.random_seed,
        num_train_epochs=hyperparameters.epochs,
        per_device_train_batch_size=hyperparameters.batch_size // distributed.world_size(),
        gradient_accumulation_steps=hyperparameters.accumulation,
        learning_rate=hyperparameters.learning_rate,
        lr_scheduler_type=hyperparameters.schedule,
        warmup_steps=round(hyperparameters.warmup * steps),
        weight_decay=hyperparameters.weight_decay,
        max_grad_norm=hyperparameters.clip,
        bf16=hyperparameters.bf16,
        use_cpu=not torch.cuda.is_available(),  # otherwise bf16 is refused and processes do not find each other
        eval_strategy="steps",
        eval_steps=interval,
        eval_on_start=True,
        logging_steps=max(1, steps // LOGS),
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=interval,
        save_total_limit=2,  # the last one may be incomplete
        report_to=report_to or "none",
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    if training_arguments.n_gpu > 1:
        training_arguments._n_gpu = 1  # otherwise batches are split over the GPUs, in the middle of lists
    return training_arguments
