"""Speed of generation, and the time that all of it would take."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rankrefine.generate import pace
from rankrefine.generate.recipes.recipe import COMPLETE, RUNNING, Draft, Recipe


@dataclass(frozen=True)
class Pace:
    """Speed of generation."""

    drafts: int  # number of drafts
    share: float  # finished part of their work, 0 to 1
    given_up: int  # drafts that ended early
    speed: float  # tokens per second, with those of rejected completions
    seconds: float  # elapsed time

    @classmethod
    def of(cls, drafts: Sequence[Draft], recipe: Recipe, seconds: float) -> "Pace":
        """Return the pace of drafts after `seconds`."""
        given_up = sum(draft.status not in (RUNNING, COMPLETE) for draft in drafts)
        return cls(len(drafts), pace.share(drafts, recipe), given_up, pace.speed(drafts, seconds), seconds)

    def hours(self, count: int) -> float:
        """Hours that `count` drafts would take at this pace; infinite if no work is finished yet."""
        return count / self.drafts * self.seconds / self.share / 3600 if self.share else float("inf")

    def sentence(self, count: int, key: str) -> str:
        """Speed, and the estimate for the value `count` of the config key `key`, in words."""
        return (
            f"{self.drafts} at the same time: {self.share:.0%} of their work in {self.seconds:.0f} s, "
            f"{self.speed:.0f} tokens/s, {self.given_up} given up.\n"
            f"All {count} ({key}) would take {_duration(self.hours(count))} on this machine, one shard after another."
        )


def _duration(hours: float) -> str:
    if math.isinf(hours):
        return "an unknown time (nothing was finished)"
    return f"about {hours:.1f} hours" if hours >= 1 else f"about {math.ceil(60 * hours)} min"
