"""Hyperparameters that all trainings share."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Hyperparameters:
    """Hyperparameters of one training; docs/configuration.md describes each under the key of its name.

    `random_seed` is the random seed of this training, which the config keys `seed` and `refine.seeds` set.
    """

    random_seed: int
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
    def of(cls, section: dict[str, Any], random_seed: int) -> Hyperparameters:
        """Take the hyperparameters from a config section (`base` or `refine`), which may have further keys."""
        names = [field.name for field in fields(cls)]
        return cls(**{name: section[name] for name in names if name != "random_seed"}, random_seed=random_seed)
