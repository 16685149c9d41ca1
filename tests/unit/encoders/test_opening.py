"""Folders that open as an encoder, and errors for others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from rankrefine.encoders.opening import check_encoder, open_encoder
from rankrefine.errors import UserError

PREFIX = "sentence_transformers.sentence_transformer.modules."


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    """A tiny BERT with pooling, saved in bfloat16."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    bare = tmp_path / "bare"
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "one", "two"]))
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=7, **sizes)).to(torch.bfloat16).save_pretrained(bare)
    BertTokenizerFast(str(vocabulary)).save_pretrained(bare)
    body = Transformer(str(bare))
    SentenceTransformer(modules=[body, Pooling(8)], device="cpu").save(str(tmp_path / "whole"))
    return tmp_path / "whole"


def test_a_whole_encoder_opens_in_float32(bert: Path) -> None:
    model = open_encoder(bert, threads=1)
    assert model.dtype == torch.float32
    assert not model.training
    assert model.encode(["one", "two two"]).shape == (2, 8)
    assert torch.get_num_threads() == 1


def test_a_bare_transformer_is_refused(bert: Path) -> None:
    with pytest.raises(UserError, match=r"is a bare transformer \(it has no modules\.json\)"):
        open_encoder(bert.parent / "bare")


def test_truncated_weights(bert: Path) -> None:
    weights = bert / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UserError, match="cannot be opened as a sentence-transformers model: "):
        open_encoder(bert)


def test_pickled_weights_are_not_read(bert: Path) -> None:
    (bert / "model.safetensors").unlink()
    torch.save({}, bert / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"no file named model\.safetensors"):
        open_encoder(bert)


def test_a_missing_tokenizer(bert: Path) -> None:
    for name in ("tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json"):
        (bert / name).unlink(missing_ok=True)
    with pytest.raises(UserError, match="has no vocabulary: its tokenizer files are missing"):
        open_encoder(bert)


def test_code_of_the_model_is_never_run(bert: Path) -> None:
    (bert / "evil.py").write_text("raise SystemExit('this ran')")
    modules = json.loads((bert / "modules.json").read_text())
    modules.append({"idx": 2, "name": "2", "path": "", "type": "evil.Normalize"})
    (bert / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(UserError, match="requires custom code, which is never run"):
        open_encoder(bert)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "is not a sentence-transformers model: it has no modules.json"),
        ({"modules.json": "{"}, "modules.json is not valid JSON"),
        ({"modules.json": "{}"}, "modules.json must contain a JSON list"),
        ({"modules.json": f'[{{"type": "{PREFIX}Transformer"}}]'}, r"no pooling among its modules \(Transformer\)"),
        (
            {"modules.json": "[]", "config_sentence_transformers.json": '{"model_type": "CrossEncoder"}'},
            "is a CrossEncoder",
        ),
    ],
)
def test_other_folders(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        check_encoder(tmp_path)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Model folder .* does not exist"):
        check_encoder(tmp_path / "nowhere")
