"""Repository ids in source strings."""

from __future__ import annotations

import pytest

from rankrefine import hub_names


@pytest.mark.parametrize(
    ("source", "repository"),
    [
        ("hub:org/name@0123abcd", "org/name"),
        ("hub:name@v1.0", "name"),
        ("hub:org/data-set_2@refs/pr/3#sub-set", "org/data-set_2"),
        ("base:hub:org/name@v1", "org/name"),
        ("base:embedded:all-minilm-l6-v2", None),
        ("hub:org/name", None),
        ("mteb:STS12", None),
        ("some/hub:org/name@v1", None),
    ],
)
def test_repository_of_a_source(source: str, repository: str | None) -> None:
    assert hub_names.repository(source) == repository
