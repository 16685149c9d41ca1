"""Callback that shows the progress of a training."""

from typing import Any

from transformers import TrainerCallback

from rankrefine.progress import Progress
from rankrefine.training import distributed
from rankrefine.training.development import METRIC


class StepProgress(TrainerCallback):
    """Show steps, the last development score and the time that is left, in the first process of a training.

    Args:
        name: The training, such as `refine refined/1`.
    """

    def __init__(self, name: str) -> None:
        self.name, self.note = name, ""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin at the step of the checkpoint, or at 0."""
        steps, done = state.max_steps, state.global_step
        self.progress = Progress(self.name, steps, "step {done} of {total}", done, is_shown=distributed.is_first())

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Show the step."""
        self.progress.to(state.global_step, self.note)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **kwargs: Any) -> None:
        """Show the development score (x 100), which the first process alone has computed."""
        if distributed.is_first():
            self.note = f"development score {100 * metrics[f'eval_{METRIC}']:.2f}"
        self.progress.to(state.global_step, self.note)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End the bar."""
        self.progress.close()
