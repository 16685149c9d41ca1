"""The early check of models and development data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rankrefine.check import check_language_model
from rankrefine.errors import UserError


def model(folder: Path, *, weights: bool = True, tokenizer: bool = True, template: str = "file") -> Path:
    if weights:
        (folder / "model.safetensors").touch()
    if tokenizer:
        settings = {"chat_template": "{{ messages }}"} if template == "key" else {}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    if template == "file":
        (folder / "chat_template.jinja").touch()
    return folder


@pytest.mark.parametrize("template", ["file", "key"])
def test_a_complete_model_passes(tmp_path: Path, template: str) -> None:
    check_language_model(model(tmp_path, template=template))


@pytest.mark.parametrize(
    ("lacks", "sentence"),
    [
        ({"weights": False}, "holds no .safetensors weights; convert the model first"),
        ({"tokenizer": False}, "has no tokenizer"),
        ({"template": "none"}, "has no chat template; take an instruction-tuned model"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, lacks: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        check_language_model(model(tmp_path, **lacks))
