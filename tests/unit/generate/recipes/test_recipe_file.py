"""Recipe files: what is accepted, and the sentence for everything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rankrefine.errors import UserError
from rankrefine.generate.recipes import recipe_file

STEP = {"instructions": ["Rewrite."], "exemplars": [["A cat.", "A feline."], ["B.", "C."]], "draw": 1, "sets": 2}
RECIPE = {"steps": {"same": STEP}, "columns": {"anchor": "sentence", "positive": "same"}}


def parse(recipe: Any) -> dict[str, Any]:
    """Parse a recipe as if it had been read from r.yaml."""
    return recipe_file.parse(yaml.safe_dump(recipe).encode(), Path("r.yaml"))


def changed(**keys: Any) -> dict[str, Any]:
    """The recipe with other keys in its step."""
    return RECIPE | {"steps": {"same": {key: value for key, value in (STEP | keys).items() if value is not None}}}


def test_a_recipe_that_fits() -> None:
    assert parse(RECIPE) == RECIPE


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ([], "r.yaml is not a recipe: it must have the keys steps and columns"),
        (RECIPE | {"model": "x"}, "r.yaml is not a recipe: it must have the keys steps and columns, and no others"),
        (RECIPE | {"steps": {}}, "steps must be a mapping with at least one step"),
        (RECIPE | {"steps": {"sentence": STEP}}, "a step cannot be called 'sentence'"),
        (RECIPE | {"steps": {"a b": STEP}}, "a step cannot be called 'a b'; use letters, digits and _"),
        (changed(sets=None), "steps.same must have the keys draw, exemplars, instructions, sets, and no others"),
        (changed(temperature=1), "steps.same must have the keys"),
        (changed(instructions="Rewrite."), "steps.same needs instructions: a list of texts"),
        (changed(instructions=[]), "steps.same needs instructions"),
        (changed(exemplars=[["A cat."]]), r"steps.same needs exemplars: a list of pairs \[sentence, answer\]"),
        (changed(exemplars=[["A cat.", 3]]), "steps.same needs exemplars"),
        (changed(instructions=["Rewrite {sentence}"]), r"steps.same must not contain \{sentence\}"),
        (changed(draw=3), "steps.same has draw 3, but must draw 0 to 2 of its 2 exemplars"),
        (changed(sets=0), "steps.same has sets 0, but must have 1 to 100"),
        (RECIPE | {"columns": {"anchor": "sentence"}}, "columns must name anchor and positive, and may name negative"),
        (
            RECIPE | {"columns": {"anchor": "sentence", "positive": "other"}},
            "columns.positive is 'other', but must",
        ),
        (RECIPE | {"columns": {"anchor": "same", "positive": "same"}}, "two columns have the same values"),
    ],
)
def test_other_files_are_refused(recipe: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(recipe)


def test_a_step_that_appears_twice_is_refused() -> None:
    with pytest.raises(UserError, match=r"r\.yaml: key 'a' appears twice, in line 2 and line 3"):
        recipe_file.parse(b"steps:\n  a: 1\n  a: 2\n", Path("r.yaml"))


def test_an_unknown_recipe_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"no recipe 'syncse'; use none, import, syncse_partial, or the path of a \.yaml"
    ):
        recipe_file.find("syncse")
    with pytest.raises(UserError, match=r"examples\.recipe: there is no recipe"):
        recipe_file.find(str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize("file", sorted(recipe_file.FOLDER.glob("*.yaml")), ids=lambda file: file.stem)
def test_shipped_recipes_fit(file: Path) -> None:
    steps = recipe_file.parse(file.read_bytes(), file)["steps"]
    for step in steps.values():
        sentences = [sentence for sentence, _ in step["exemplars"]]
        assert len(set(sentences)) == len(sentences)
