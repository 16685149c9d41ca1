"""Callback that keeps the model of the best development score."""

import logging
import math
import shutil
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer
from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

from rankrefine import io
from rankrefine.encoders.saving import save
from rankrefine.errors import DeadEnd
from rankrefine.training import distributed, lora
from rankrefine.training.development import METRIC
from rankrefine.training.work_folder import best_model

log = logging.getLogger(__name__)


class BestStep(TrainerCallback, ExportableState):
    """Record losses and development scores, and save the model at each best score so far.

    Args:
        model: The encoder in training.
        folder: Work folder; the best model is saved in it as `best_model`.
        patience: Number of scores without a new best after which the training stops; 0 disables stopping.
        state: Losses and scores in the checkpoint from which the training resumes.
    """

    def __init__(self, model: SentenceTransformer, folder: Path, patience: int, state: dict[str, Any] | None) -> None:
        self.model, self.folder, self.patience = model, folder, patience
        self.losses: list[dict[str, float]] = state["losses"] if state else []
        self.scores: list[dict[str, float]] = state["scores"] if state else []

    def state(self) -> dict[str, Any]:
        """Return the state of this callback for a checkpoint."""
        return {"args": {}, "attributes": {"losses": self.losses, "scores": self.scores}}

    @property
    def best(self) -> dict[str, float]:
        """The best development score with its step; the earliest of equal scores."""
        return max(self.scores, key=lambda score: score["score"])

    def summary(self) -> dict[str, Any]:
        """Return the fields of a training history."""
        return {
            "base_development": self.scores[0]["score"],
            "best_step": self.best["step"],
            "best_development": self.best["score"],
            "improved": self.best["step"] > 0,
            "steps": self.losses,
            "development": self.scores,
        }

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Log the last step, whatever the interval."""
        control.should_log |= state.global_step == state.max_steps

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
        """Record the mean loss since the last log; logs of evaluations have none."""
        if "loss" in logs:
            entry = {"step": state.global_step, "loss": logs["loss"], "learning_rate": logs["learning_rate"]}
            self.losses.append(entry)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **kwargs: Any) -> None:
        """Record the development score (x 100), and save the model if the score is the best so far.

        Raises:
            DeadEnd: the score is not a number.
        """
        if any(entry["step"] == state.global_step for entry in self.scores):
            return  # the trainer evaluates twice on resume, and at the end of a training of whole intervals
        score = 100 * float(distributed.broadcast(metrics.get(f"eval_{METRIC}")))
        if math.isnan(score):
            raise DeadEnd(f"The development score at step {state.global_step} is not a number: all cosines are equal.")
        self.scores.append({"step": state.global_step, "score": score})
        log.info("step %d, development score %.2f", state.global_step, score)
        if self.best["step"] == state.global_step:
            if distributed.is_first():
                with io.atomic(best_model(self.folder, state.global_step)) as temporary:
                    save(lora.merged(self.model), temporary)
        elif self.patience:
            since = sum(entry["step"] > self.best["step"] for entry in self.scores)
            control.should_training_stop |= since >= self.patience

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Remove earlier best models, once a checkpoint records the new one."""
        for folder in self.folder.glob("best-*"):
            if folder != best_model(self.folder, int(self.best["step"])) and distributed.is_first():
                shutil.rmtree(folder)
