"""Hyperparameters that all trainings share."""

from dataclasses import dataclass, fields
from typing import Any, Self


@dataclass(frozen=True)
class Hyperparameters:
    """Hyperparameters of one training; docs/configuration.md describes each under its config key."""

    random_seed: int  # config keys `seed` and `refine.seeds`
    learning_rate: float
    schedule: str
    warmup: float
    weight_decay: float
    clip: float
    epochs: int
    batch_size: int
    accumulation: int
    bf16: bool
    max_length: int
    evaluate_every: float
    patience: int

    @classmethod
    def of(cls, section: dict[str, Any], random_seed: int) -> Self:
        """Take the hyperparameters from a config section (`base` or `refine`), which may have further keys."""
        names = {field.name for field in fields(cls)} - {"random_seed"}
        return cls(random_seed=random_seed, **{name: section[name] for name in names})
