"""Mutated configurations: each is accepted, or refused in one sentence that names the key."""

from __future__ import annotations

import copy
import datetime
import json
from collections.abc import Iterator
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rankrefine import sources
from rankrefine.config import load as config
from rankrefine.config import views
from rankrefine.config.schema import leaves
from rankrefine.errors import UserError, printable
from rankrefine.evaluate import catalogue
from rankrefine.llm import prompts
from rankrefine.ranking_lists import shards

REFERENCE = config.complete({})
RULES = sorted({rule for _, leaf in leaves() for rule in leaf.get("x-reads", ())})
ODD = [
    *("", " ", "null", "2e-5", "ä", "a\nb", "a\x00b", "\u202eabc", "e\u0301", "\ud800", "😀" * 300, "x" * 5000),
    *("{seed}", "$(touch hacked)", "'; touch hacked; '", "hub:a/b", "hub:a/b@main", "embedded:nothing"),
    *("mteb:", "(", "(" * 500, "a{99999999999}", "(?P<a>x)(?P<a>y)", "[[:alpha:]]", "\\"),
    *(0, -1, 1, 2**31, 2**63, 10**400, -(10**400), 0.5, -0.0, 1e308, 5e-324, float("nan"), float("inf")),
    *(None, True, False, [], {}, [[]], [None], [{}], {"a": {}}, {None: 1}, {1: 2}, {"": ""}, {"a\nb": 1}),
    *(datetime.date(2024, 2, 30 - 1), datetime.datetime(2024, 1, 1), b"\xff\x00", {"a", "b"}, (1, 2)),
]
# `/` and the like would be read whole
TEXT = st.text(max_size=20).filter(lambda text: not set(text) <= set("./ "))
VALUES = st.one_of(
    st.sampled_from(ODD),
    st.sampled_from(ODD),
    st.sampled_from(ODD),
    TEXT,
    st.integers(),
    st.integers(-(10**350), 10**350),
    st.floats(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | st.integers(), inner, max_size=3),
        max_leaves=8,
    ),
)


def places(node: Any, path: tuple = ()) -> Iterator[tuple]:
    """Paths to everything inside a configuration, sections included."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from places(child, (*path, key))


PLACES = sorted(places(REFERENCE), key=str)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[Any, tuple]:
    """A configuration with one change, and the path to what was changed."""
    mutant = copy.deepcopy(REFERENCE)
    *parents, last = path = draw(st.sampled_from(PLACES))
    node = mutant
    for key in parents:
        node = node[key]
    how = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add", "rename", "alone"]))
    if how == "replace":
        node[last] = draw(VALUES)
    elif how == "remove":
        del node[last]
    elif how == "alone":  # all other sections are missing
        mutant = {path[0]: mutant[path[0]]}
    elif isinstance(node, list):
        node.append(draw(VALUES))
    else:
        new = draw(TEXT | st.sampled_from([key for key in ODD if isinstance(key, str | int | None)]))
        node[new] = node.pop(last) if how == "rename" else draw(VALUES)
        path = (*parents, new)
    return mutant, path


def plan(whole: dict[str, Any]) -> None:
    """Do what the workflow does with a configuration before any job runs."""
    for rule in RULES:
        part = views.for_rule(whole, rule)
        text = json.dumps(part, sort_keys=True)
        assert views.for_rule(config.load(text), rule) == part
        text.encode()
    shards.declared(whole)
    prompts.digest(whole["generate"]["prompt"])
    found = [("seeds.sources", one["source"], "dataset") for one in whole["seeds"]["sources"]]
    found += [("seeds.decontaminate", source, "dataset") for source in whole["seeds"]["decontaminate"]]
    found += [("evaluate.tasks", source, "dataset") for source in catalogue.tasks(whole["evaluate"]).values()]
    found += [(key, source, "model") for _, key, source, _, _ in views.other_encoders(whole)]
    found += [("generate.model", whole["generate"]["model"], "model"), ("base.model", whole["base"]["model"], "model")]
    for key, source, kind in found:
        sources.parse(source, kind, key)


def is_sentence_about(message: str, path: tuple) -> bool:
    """Whether a refusal is one line that can be printed, and names the section or a key of the path."""
    names = [printable(text[:50].strip("'")) for key in path for text in (str(key), repr(key))]
    return message.isprintable() and len(message) < 1500 and any(name in message for name in names)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(mutated())
def test_a_mutation_is_accepted_or_refused_in_one_sentence(tmp_path_factory, mutation: tuple[Any, tuple]) -> None:
    mutant, path = mutation
    try:
        plan(config.complete(mutant))
    except UserError as error:
        assert is_sentence_about(str(error), path), (path, str(error))
    file = tmp_path_factory.mktemp("config") / "mine.yaml"  # the same from a file, as far as YAML can hold it
    try:
        text = yaml.safe_dump(mutant, allow_unicode=True)
        file.write_text(text, encoding="utf-8")
    except (yaml.YAMLError, UnicodeEncodeError, ValueError):
        return
    try:
        config.load(str(file))
    except UserError as error:
        assert str(error).isprintable(), (path, str(error))
