"""Files of genres and topics: what is accepted, and the sentence for everything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rankrefine.errors import UserError
from rankrefine.generate.recipes import genre_file

GENRE = {"instructions": ["Ask."], "exemplars": [["cats", "Why?"], ["dogs", "Where?"]], "draw": 1, "sets": 2}
RECIPE = {"genres": {"questions": GENRE}, "topics": ["a", "b"], "topics_per_request": 2, "sentences_per_request": 1}


def changed(**keys: Any) -> dict[str, Any]:
    """The recipe with other keys in its genre; None removes one."""
    return RECIPE | {
        "genres": {"questions": {key: value for key, value in (GENRE | keys).items() if value is not None}}
    }


def test_a_recipe_that_fits() -> None:
    assert genre_file.check(RECIPE, Path("r.yaml")) == RECIPE


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (
            3,
            r"^r\.yaml is not a recipe of seed sentences: it must have the keys genres, topics, topics_per_re",
        ),
        (RECIPE | {"model": "x"}, r"^r\.yaml is not a recipe of seed sentences: .* and no others"),
        (RECIPE | {"genres": []}, "genres must be a mapping with at least one genre"),
        (RECIPE | {"genres": {}}, "genres must be a mapping with at least one genre"),
        (RECIPE | {"genres": {"a b": GENRE}}, "a genre cannot be called 'a b'; use letters, digits and _"),
        (RECIPE | {"genres": {True: GENRE}}, "a genre cannot be called True"),
        (
            RECIPE | {"genres": {"news": "x"}},
            "genres.news must have the keys draw, exemplars, instructions, sets, and",
        ),
        (changed(sets=None), "genres.questions must have the keys draw, exemplars, instructions, sets, and no others"),
        (
            changed(mask=[0.5]),
            "genres.questions must have the keys draw, exemplars, instructions, sets, and no others",
        ),
        (changed(draw=3), "genres.questions has draw 3, but must draw 0 to 2 of its 2 exemplars"),
        (changed(instructions=[]), "genres.questions needs instructions: a list of texts"),
        (RECIPE | {"topics": []}, "topics must be a list of different texts"),
        (RECIPE | {"topics": "cats"}, "topics must be a list of different texts"),
        (RECIPE | {"topics": ["a", 3]}, "topics must be a list of different texts"),
        (RECIPE | {"topics": ["a", "a"]}, "topics must be a list of different texts"),
        (RECIPE | {"topics_per_request": 3}, "topics_per_request is 3, but must be 1 to 2"),
        (RECIPE | {"topics_per_request": True}, "topics_per_request is True, but must be 1 to 2"),
        (RECIPE | {"sentences_per_request": 0}, "sentences_per_request is 0, but must be 1 to 100"),
        (RECIPE | {"sentences_per_request": "1"}, "sentences_per_request is '1', but must be 1 to 100"),
    ],
)
def test_other_files_are_refused(recipe: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        genre_file.check(recipe, Path("r.yaml"))


def test_a_file_that_is_not_yaml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("topics: [", encoding="utf-8")
    with pytest.raises(UserError, match=r"r\.yaml is not valid YAML"):
        genre_file.read(str(tmp_path / "r.yaml"))


@pytest.mark.parametrize("name", ["syncse_partial", "nowhere/mine.yaml", "a\0b"])
def test_an_unknown_recipe_names_those_there_are(name: str) -> None:
    with pytest.raises(UserError, match=r"^write\.recipe: .* '.*'; use scratch, or the path of a \.yaml file\.$"):
        genre_file.find(name)


@pytest.mark.parametrize("file", sorted(genre_file.FOLDER.glob("*.yaml")), ids=lambda file: file.stem)
def test_shipped_recipes_fit(file: Path) -> None:
    fields, digest = genre_file.read(file.stem)
    assert len(digest) == 64 and digest == genre_file.digest(str(file))
    answers = [answer for genre in fields["genres"].values() for _, answer in genre["exemplars"]]
    assert len(set(answers)) == len(answers)
    assert all(answer.count("\n") < fields["sentences_per_request"] for answer in answers)
