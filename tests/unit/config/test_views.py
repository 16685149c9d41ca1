"""Views: each rule receives the keys that the schema names for it, and no others."""

from __future__ import annotations

import json

import pytest

from rankrefine.config import views
from rankrefine.config.load import complete, load
from rankrefine.config.schema import leaves

RULES = sorted({rule for _, leaf in leaves() for rule in leaf.get("x-reads", ())})


def keys(part: dict) -> set[str]:
    """Dotted keys of a configuration or a part of one."""
    sections = {key for key, _ in leaves() if "." in key}
    return {
        f"{section}.{name}" if any(key.startswith(f"{section}.") for key in sections) else section
        for section, values in part.items()
        for name in (values if any(key.startswith(f"{section}.") for key in sections) else [""])
    }


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_receives_the_keys_that_the_schema_names(rule: str) -> None:
    config = complete({"base": {"objective": "simcse_unsup"}})
    assert keys(views.for_rule(config, rule)) == {key for key, leaf in leaves() if rule in leaf.get("x-reads", ())}


@pytest.mark.parametrize("rule", RULES)
def test_a_part_that_a_job_completes_gives_the_same_part(rule: str) -> None:
    """The job completes the inline JSON with defaults and takes its keys again."""
    config = complete({"seed": 3, "refine": {"omega": 1, "max_length": 16}, "base": {"pooling": "cls"}})
    part = views.for_rule(config, rule)
    assert views.for_rule(load(json.dumps(part)), rule) == part


def test_imported_lists_leave_the_keys_of_generation_out() -> None:
    config = complete({"lists": {"source": "import", "file": "lists.csv"}})
    assert keys(views.for_rule(config, "consolidate")) & {"seeds.count", "generate.shard_size"} == set()
    assert views.for_rule(config, "overlap")["seeds"].keys() == {"decontaminate", "overlap_ngram", "overlap_limit"}


def test_without_an_objective_its_settings_do_not_count() -> None:
    one, other = (complete({"base": {"pooling": "cls", "learning_rate": rate}}) for rate in (0.1, 0.2))
    assert views.for_rule(one, "base") == views.for_rule(other, "base")


def test_a_training_reads_the_keys_of_its_experiment() -> None:
    config = complete({"refine": {"omega": 1, "experiments": {"a": {}, "b": {"omega": 2}}}})
    part = views.training(config, "b", 7)
    assert (part["seed"], part["refine"]["omega"]) == (7, 2.0)
    assert "experiments" not in part["refine"] and "teacher" not in part["refine"]
    assert views.for_rule(load(json.dumps(part)), "refine") == part


def test_the_weights_of_several_guides_sum_to_one() -> None:
    assert views.guides(complete({})) == {}
    settings = {"objective": "rank_distillation", "guide": {"a": 1, "b": 3}}
    assert views.guides(complete({"base": settings})) == {"a": 0.25, "b": 0.75}
    assert views.guides(complete({"base": settings | {"guide": "a"}})) == {"a": 1.0}


def test_swapped_values_differ() -> None:
    one, other = (complete({"refine": {"tau": tau, "omega": 1 - tau}}) for tau in (0.1, 0.9))
    assert json.dumps(views.training(one, "refined", 1)) != json.dumps(views.training(other, "refined", 1))


def test_the_base_encoder_as_teacher_keeps_its_own_opening() -> None:
    config = complete({"refine": {"teacher": "base", "teacher_prompt": "query: "}})
    assert views.embedding(config, "base") == {"refine": {"max_length": 128}}
    assert views.embedding(config, "other")["refine"]["teacher_prompt"] == "query: "


@pytest.mark.parametrize(
    ("settings", "prepared"),
    [
        ({}, False),
        ({"learning_rate": 0.1}, False),
        ({"pooling": "last"}, True),
        ({"attention": "bidirectional"}, True),
        ({"prompt": ""}, True),
        ({"objective": "contrastive", "data": "x.csv"}, True),
    ],
    ids=str,
)
def test_a_job_prepares_the_base_encoder_if_a_key_changes_it(settings: dict, prepared: bool) -> None:
    assert views.is_prepared(complete({"base": settings})) is prepared


def test_the_first_teacher_of_the_preview_opens_as_the_stages_open_it() -> None:
    base = {"model": "m", "pooling": "cls_training_head", "prompt": "query: ", "attention": "bidirectional"}
    own = {"teacher_pooling": "cls", "teacher_prompt": "query: ", "attention": "bidirectional", "max_length": 128}
    assert views.first_teacher(complete({"base": base, "refine": {"teacher": "base"}})) == ("m", own)
    settings = {"teacher": "t", "teacher_pooling": "last"}
    other = {"teacher_pooling": "last", "teacher_prompt": None, "attention": "model", "max_length": 128}
    assert views.first_teacher(complete({"base": base, "refine": settings})) == ("t", other)
