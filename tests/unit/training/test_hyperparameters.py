"""Hyperparameters come from the config alone, for both sections that train."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict, replace

import pytest

from rankrefine.config import load as config
from rankrefine.training.hyperparameters import Hyperparameters


@pytest.mark.parametrize("section", ["base", "refine"])
def test_each_comes_from_the_section_and_has_no_other_default(section: str) -> None:
    settings = config.complete({})[section]
    hyperparameters = asdict(Hyperparameters.of(settings, 7))
    assert hyperparameters.pop("random_seed") == 7
    assert hyperparameters == {name: settings[name] for name in hyperparameters}
    for name in hyperparameters:
        with pytest.raises(KeyError, match=name):
            Hyperparameters.of({key: value for key, value in settings.items() if key != name}, 7)


def test_they_do_not_change() -> None:
    hyperparameters = Hyperparameters.of(config.complete({})["refine"], 7)
    with pytest.raises(FrozenInstanceError):
        hyperparameters.clip = 2.0
    assert replace(hyperparameters, clip=2.0).clip == 2.0
