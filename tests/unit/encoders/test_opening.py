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


LONG = "no " * 200
SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def bare(folder: Path, kind: str, **settings: object) -> Path:
    """A random transformer with 66 positions, or none, and a tokenizer without a limit."""
    from miniature.encoder import _tokenizer
    from transformers import AutoConfig, AutoModel

    tokenizer = _tokenizer()
    tokens = dict.fromkeys(("pad_token_id", "cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id"), 1)
    settings = {"max_position_embeddings": 66, "vocab_size": len(tokenizer)} | SIZES | tokens | settings
    AutoModel.from_config(AutoConfig.for_model(kind, **settings)).save_pretrained(folder)
    tokenizer.model_max_length = 10**30
    tokenizer.save_pretrained(folder)
    return folder


def whole(folder: Path, kind: str, limit: int) -> Path:
    """A whole encoder whose own limit sentence-transformers does not compare with the positions."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    from rankrefine.encoders.saving import save

    body = Transformer(str(bare(folder / "bare", kind)), max_seq_length=limit)
    save(SentenceTransformer(modules=[body, Pooling(16)], device="cpu"), folder / "whole")
    return folder / "whole"


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        *((kind, 64) for kind in ("roberta", "xlm-roberta", "camembert", "mpnet")),
        *((kind, 66) for kind in ("bert", "distilbert", "electra", "albert", "opt")),
    ],
)
def test_texts_are_truncated_to_the_positions_and_no_shorter(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, limit: int
) -> None:
    folder = whole(tmp_path, kind, 512)
    model = open_encoder(folder, threads=1)
    assert model.max_seq_length == limit
    assert caplog.messages == [f"{folder} has positions for {limit} tokens only; longer texts are truncated."]
    assert model.encode([LONG, "no"]).shape == (2, 16)
    with pytest.raises((IndexError, RuntimeError)):
        model.encode([LONG], processing_kwargs={"text": {"max_length": limit + 1}})


def test_training_teacher_and_saved_encoder_have_the_same_limit(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    from rankrefine.encoders.embed import embed
    from rankrefine.encoders.lengths import preprocessor
    from rankrefine.encoders.saving import save

    model = open_encoder(bare(tmp_path / "bare", "roberta"), "mean", threads=1)
    assert model.max_seq_length == 64
    assert preprocessor(model, 128)([LONG])["input_ids"].shape == (1, 64)
    assert preprocessor(model, 8)([LONG])["input_ids"].shape == (1, 8)
    expected = torch.nn.functional.normalize(model.encode([LONG], convert_to_tensor=True).cpu(), dim=-1)
    assert torch.allclose(embed(model, [LONG], 128), expected, atol=1e-6)
    save(model, tmp_path / "saved")
    saved = SentenceTransformer(str(tmp_path / "saved"), device="cpu", local_files_only=True)
    assert saved.max_seq_length == 64
    assert torch.equal(saved.encode([LONG], convert_to_tensor=True), model.encode([LONG], convert_to_tensor=True))


@pytest.mark.parametrize("kind", ["modernbert", "t5"])
def test_a_transformer_without_absolute_positions_keeps_its_limit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    model = open_encoder(whole(tmp_path, kind, 300), threads=1)
    assert model.max_seq_length == 300
    assert len(model.encode([LONG])) == 1
    assert not caplog.messages


def test_an_encoder_without_transformer_opens(tmp_path: Path) -> None:
    from miniature.encoder import _tokenizer
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    words = StaticEmbedding(_tokenizer(), embedding_dim=4)
    SentenceTransformer(modules=[words], device="cpu").save(str(tmp_path))
    assert open_encoder(tmp_path).encode([LONG]).shape == (1, 4)


def test_a_transformer_without_a_limit_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sentence_transformers.base.modules import Transformer

    chosen: list[int] = []
    monkeypatch.setattr(Transformer, "max_seq_length", property(lambda _: None, lambda _, limit: chosen.append(limit)))
    open_encoder(bare(tmp_path / "bare", "roberta"), "mean")
    assert chosen == [64]
