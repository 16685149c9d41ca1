"""Counts and examples."""

from __future__ import annotations

from rankrefine.text.normal_form import text_hash
from rankrefine.text.tally import EXAMPLES, Tally


def test_examples_are_few_and_do_not_depend_on_the_order() -> None:
    found = []
    for texts in (range(50), reversed(range(50))):
        tally = Tally(["a"], ["why"], rank=text_hash)
        for number in texts:
            tally.read("a")
            tally.drop("a", "why", f"text {number}")
            tally.drop("a", "why", f"text {number}")
        found.append(tally.record()["examples"]["why"])
    assert found[0] == found[1]
    assert len(set(found[0])) == EXAMPLES


def test_by_default_the_first_examples_of_each_reason_stay() -> None:
    tally = Tally(examples=2, length=3)
    for text in ("zebra", "", "yacht", "zebu", "apple"):  # the third one begins like the first
        tally.read("a")
        tally.drop("a", "why", text)
    assert tally.record()["examples"] == {"why": ["zeb", "yac"]}


def test_declared_sources_and_reasons_are_counted_even_where_nothing_is_dropped() -> None:
    tally = Tally(["a", "b"], ["rare", "known"])
    for reason in ("new", "known", None):
        tally.read("b")
        if reason:
            tally.drop("b", reason, "text")
    nothing = {"read": 0, "kept": 0, "dropped": {"rare": 0, "known": 0}}
    counts = {"read": 3, "kept": 1, "dropped": {"rare": 0, "known": 1, "new": 1}}
    assert tally.counts() == counts
    assert list(tally.counts()["dropped"]) == ["rare", "known", "new"]
    assert tally.record()["sources"] == {"a": nothing, "b": counts | {"dropped": {"rare": 0, "known": 1, "new": 1}}}
    assert str(tally) == "1 of 3 kept; dropped: 1 known, 1 new"
