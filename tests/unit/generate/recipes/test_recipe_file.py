"""Recipe files: what is accepted, and the sentence for everything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rankrefine.config import load as config
from rankrefine.errors import UserError
from rankrefine.generate.recipes import recipe_file, steps
from rankrefine.generate.recipes.recipe import schema

STEP = {"instructions": ["Rewrite."], "exemplars": [["A cat.", "A feline."], ["B.", "C."]], "draw": 1, "sets": 2}
RECIPE = {"steps": {"same": STEP}, "columns": {"anchor": "sentence", "positive": "same"}}


NAMES = {"names": ["Ann", "Bob"]}


def parse(recipe: Any) -> dict[str, Any]:
    """Check a recipe as if it had been read from r.yaml."""
    return recipe_file.check(recipe, Path("r.yaml"))


def two(**keys: Any) -> dict[str, Any]:
    """The recipe with a second step that has other keys."""
    return RECIPE | {"steps": {"same": STEP, "other": STEP | keys}}


def changed(**keys: Any) -> dict[str, Any]:
    """The recipe with other keys in its step."""
    return RECIPE | {"steps": {"same": {key: value for key, value in (STEP | keys).items() if value is not None}}}


def test_a_recipe_that_fits() -> None:
    parsed = parse(RECIPE)
    assert parsed == {"steps": {"same": recipe_file.DEFAULTS | STEP}, "columns": [RECIPE["columns"]]}
    assert parse(RECIPE | {"columns": parsed["columns"]}) == parsed
    assert parse(two(against="same", guidance_scale=2))["steps"]["other"]["against"] == "same"
    assert parse(two(input="{sentence} {same}"))["steps"]["other"]["input"] == "{sentence} {same}"
    assert parse(RECIPE | {"steps": {"same": STEP, "other": NAMES}})["steps"]["other"] == NAMES


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ([], "r.yaml is not a recipe: it must have the keys steps and columns"),
        (RECIPE | {"model": "x"}, "r.yaml is not a recipe: it must have the keys steps and columns, and no others"),
        (RECIPE | {"steps": {}}, "steps must be a mapping with at least one step"),
        (RECIPE | {"steps": {"sentence": STEP}}, "a step cannot be called 'sentence'"),
        (RECIPE | {"steps": {"tokens": STEP}}, "a step cannot be called 'tokens'; use .* but none of .*, tokens"),
        (RECIPE | {"steps": {"a b": STEP}}, "a step cannot be called 'a b'; use letters, digits and _"),
        (changed(sets=None), "steps.same must have the keys draw, exemplars, instructions, sets, and no others but"),
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
        (RECIPE | {"columns": {"anchor": "same", "positive": "same"}}, "columns: two roles have the same step"),
        (RECIPE | {"columns": []}, "columns must name anchor and positive"),
        (changed(parser="json"), "columns.positive is 'same', but must be one of sentence"),
        (RECIPE | {"columns": [RECIPE["columns"], {}]}, r"columns\[1\] must name anchor and positive"),
        (RECIPE | {"steps": {"same": NAMES}}, "steps must have one that asks the language model"),
        (RECIPE | {"steps": {"same": STEP, "other": NAMES | STEP}}, "steps.other has names, so it replaces names"),
        (RECIPE | {"steps": {"same": STEP, "other": {"names": ["Ann", "Ann"]}}}, "other needs names: a list of two"),
        (changed(parser="xml"), "steps.same has parser 'xml', but must have one of sentence, json"),
        (changed(mask=0.5), "steps.same needs mask: a list of shares of words above 0 and up to 1"),
        (changed(mask=[0]), "steps.same needs mask"),
        (
            changed(mask=[0.1, 0.101], input="{masked}"),
            "steps.same has two rates in mask that are the same percentage",
        ),
        (changed(mask=[0.1]), r"steps.same has mask, but no \{masked\} in its input"),
        (
            {"steps": {"a": STEP | {"mask": [0.1], "input": "{masked}"}, "a_10": STEP}} | {"columns": {}},
            "steps.a_10 has the name of a repeat of steps.a; rename it",
        ),
        (changed(guidance_scale=-1), "steps.same has guidance_scale -1, but must have 0 to 100"),
        (changed(input="x"), r"steps.same needs input: a text with \{sentence\}"),
        (changed(input="{masked}"), r"steps.same has \{masked\} in its input, but only \{sentence\} exist there"),
        (two(input="{later}"), r"steps.other has \{later\} in its input, but only \{sentence\}, \{same\} exist"),
        (changed(against="same"), "steps.same has against 'same', but must name another step"),
        (two(against="none"), "steps.other has against 'none', but must name another step"),
        (two(against="same", input="{same}"), "steps.other needs the input of same, which it is against"),
    ],
)
def test_other_files_are_refused(recipe: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(recipe)


def read(folder: Path, text: str) -> tuple[dict[str, Any], str]:
    """Read a recipe with this text."""
    (folder / "r.yaml").write_text(text, encoding="utf-8")
    return recipe_file.read(str(folder / "r.yaml"))


def test_a_recipe_takes_what_it_does_not_say_from_the_one_that_it_is_like(tmp_path: Path) -> None:
    shipped, digest = recipe_file.read("syncse_partial")
    own, other = read(tmp_path, "like: syncse_partial\ncolumns: {anchor: sentence, positive: negative}\n")
    assert own["steps"] == shipped["steps"] and own["columns"] == [{"anchor": "sentence", "positive": "negative"}]
    assert digest != other and other == recipe_file.digest(str(tmp_path / "r.yaml"))
    with pytest.raises(UserError, match="there is no recipe 'nothing'"):
        read(tmp_path, "like: nothing\n")
    with pytest.raises(UserError, match=r"like names syncse_scratch, which is like syncse_partial; name that one"):
        read(tmp_path, "like: syncse_scratch\n")
    with pytest.raises(UserError, match=r"r\.yaml: like must be the name of a recipe"):
        read(tmp_path, "like: 3\n")


def test_no_step_has_the_name_of_another_column_of_a_shard() -> None:
    recipe = steps.load(config.complete({"examples": {"recipe": "claif"}, "base": {"objective": "contrastive"}}))
    assert {field.name for field in schema(recipe.columns)} - set(recipe.steps) <= set(recipe_file.TAKEN)


def test_a_step_that_appears_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"r\.yaml: key 'a' appears twice, in line 2 and line 3"):
        read(tmp_path, "steps:\n  a: 1\n  a: 2\n")


def test_an_unknown_recipe_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        UserError,
        match=r"no recipe 'syncse'; use none, import, .*syncse_partial, syncse_scratch, or the path of a \.yaml",
    ):
        recipe_file.find("syncse")
    with pytest.raises(UserError, match=r"examples\.recipe: there is no recipe"):
        recipe_file.find(str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize("file", sorted(recipe_file.FOLDER.glob("*.yaml")), ids=lambda file: file.stem)
def test_shipped_recipes_fit(file: Path) -> None:
    for step in recipe_file.read(file.stem)[0]["steps"].values():
        sentences = [sentence for sentence, _ in step.get("exemplars", ())]
        assert len(set(sentences)) == len(sentences)
