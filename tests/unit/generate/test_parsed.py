"""A recipe whose parser finds nothing in what the language model writes ends the job."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from rankrefine.errors import UserError
from rankrefine.generate import run
from rankrefine.generate.recipes.recipe import Draft

RECIPE = SimpleNamespace(describe=lambda: {"prompt": "mine"})


def drafts(nothing: int, rejected: int, accepted: int) -> list[Draft]:
    """A draft with these numbers of completions of the step `extract`, and good ones of another step."""
    draft = Draft(0, "s", "A sentence.")
    for reason, count in (("not JSON", nothing), ("repeat", rejected)):
        for _ in range(count):
            draft.reject(reason, 99, "extract")
    for _ in range(accepted):
        draft.accept("extract")
    for _ in range(50):
        draft.accept("rewrite")
    return [draft]


def test_nine_of_ten_completions_without_an_answer_are_an_error_that_names_the_step() -> None:
    message = "mine: the parser of extract finds nothing in 18 of 20 completions; use a larger language model"
    with pytest.raises(UserError, match=message):
        run._check_parsed(drafts(18, 1, 1), RECIPE)


@pytest.mark.parametrize("counts", [(17, 0, 3), (17, 3, 0), (19, 0, 0), (0, 30, 0)], ids=str)
def test_fewer_and_other_rejections_are_none(counts: tuple[int, int, int]) -> None:
    run._check_parsed(drafts(*counts), RECIPE)
