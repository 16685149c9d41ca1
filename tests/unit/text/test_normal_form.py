"""Normal form."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from rankrefine.text.normal_form import normalise


@given(st.text())
def test_normal_form(text: str) -> None:
    found = normalise(text)
    assert normalise(found) == found == unicodedata.normalize("NFC", found)
    assert found == found.strip()
    assert not any(c.isspace() for c in found.replace(" ", ""))
    assert "  " not in found


def test_normal_form_by_example() -> None:
    assert normalise(" Cafe\u0301\u00a0 am\n\tEck ") == "Café am Eck"
