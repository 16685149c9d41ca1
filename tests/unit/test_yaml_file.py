"""YAML and JSON as data: like the libraries, but a key that appears twice is refused."""

from __future__ import annotations

import json

import pytest
import yaml

from rankrefine.errors import UserError
from rankrefine.yaml_file import parse

FINE = [
    "",
    "a: 1\nb: {a: 2}\n",
    "a: [{a: 1}, {a: 2}]",
    "base: &base {x: 1, y: 2}\nfirst: {<<: *base, x: 3}\nsecond: {x: 4, <<: *base}\n",  # `<<` may be overridden
    "one: &one {x: 1}\ntwo: &two {<<: *one, x: 2}\nthree: {<<: [*two, *one], x: 3}\nfour: *two\n",
    "{1: a, '1': b, 1.5: c, 'true': d}",
    "=: 1\n",
    "&all {self: *all}",
]
TWICE = [
    ("seed: 1\n\nrefine: {}\nseeds: {}\nrefine: {}\n", "key 'refine' appears twice, in line 3 and line 5"),
    ("refine:\n  omega: 1\n  tau: 2\n  omega: 1\n", "key 'omega' appears twice, in line 2 and line 4"),
    ("a:\n- b: 1\n  c: 2\n- d: {e: 1,\n   e: 2}\n", "key 'e' appears twice, in line 4 and line 5"),
    ("{a: 1, a: 1}", "key 'a' appears twice, in line 1"),
    ("a: 1\n'a': 2\n\"\\x61\": 3\n", "key 'a' appears twice, in line 1 and line 2"),
    ("1: a\n1.0: b\n", "key '1.0' appears twice, in line 1 and line 2"),
    ("1: a\nyes: b\n", "key 'yes' appears twice, in line 1 and line 2"),
    ("null: a\n~: b\n", "key '~' appears twice, in line 1 and line 2"),
    ("? a\n: 1\nb: 2\n? a\n: 3\n", "key 'a' appears twice, in line 1 and line 4"),
    ("one: &one {x: 1}\nall:\n  <<: *one\n  <<: *one\n", "key '<<' appears twice, in line 3 and line 4"),
    ("one: &one {x: 1}\nall:\n  <<: *one\n  x: 2\n  x: 3\n", "key 'x' appears twice, in line 4 and line 5"),
    ("one: &one\n  x: 1\n  x: 2\nall: {<<: *one, x: 2}\n", "key 'x' appears twice, in line 2 and line 3"),
    ('{"a": 1,\n\t"b": {"c": 1,\n\t\t"c": 2}}', "key 'c' appears twice, in line 2 and line 3"),
    ('{"a\\/b": 1,\n "a/b": 1}', "key 'a/b' appears twice, in line 1 and line 2"),
]


@pytest.mark.parametrize("text", FINE)
def test_what_has_no_key_twice_is_read_as_by_the_library(text: str) -> None:
    assert repr(parse(text.encode(), "x")) == repr(yaml.safe_load(text))


@pytest.mark.parametrize(("text", "message"), TWICE)
def test_a_key_twice_is_refused_with_both_lines(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        parse(text.encode(), "my.yaml")
    assert str(error.value) == f"my.yaml: {message}; keep one."


def test_json_is_read_as_json() -> None:
    """As Snakemake does: YAML knows neither tabs nor exponents without a point."""
    text = '{\n\t"a": 2e-5,\n\t"b": "\\ud83d\\ude00"}'
    assert parse(text.encode(), "x") == json.loads(text) == {"a": 2e-5, "b": "\N{GRINNING FACE}"}


@pytest.mark.parametrize("text", ["? [a, b]\n: 1", "? {a: 1}\n: 1", "? !!seq a\n: 1", "? 2024-13-45\n: 1", "{[a]: 1}"])
def test_a_key_that_is_no_scalar_is_one_sentence(text: str) -> None:
    with pytest.raises(UserError, match=r"^my.yaml is not valid YAML: .+\.$"):
        parse(text.encode(), "my.yaml")
