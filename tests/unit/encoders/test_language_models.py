"""Language models as encoders: the vectors of their last tokens or of all, however sentences are padded."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from miniature.llm import WORDS
from miniature.llm import build as build_llm

from rankrefine.encoders.attention import set_bidirectional
from rankrefine.encoders.embed import embed
from rankrefine.encoders.opening import go_offline, open_encoder
from rankrefine.errors import UserError

go_offline()
TEXTS = [
    "the old man sees a red boat",
    "cat",
    "two dog and one bird , but never a young child under the house .",
    "a cat",
]


def edit(file: Path, **values: object) -> None:
    """Change entries of a JSON file; None removes one."""
    content = json.loads(file.read_text(encoding="utf-8")) | values
    file.write_text(json.dumps({key: value for key, value in content.items() if value is not None}), encoding="utf-8")


@pytest.fixture(params=["llama", "gpt2"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A causal language model, with relative or with absolute positions."""
    build_llm(tmp_path, spread=0.2)
    if request.param == "gpt2":
        from transformers import GPT2Config, GPT2LMHeadModel

        sizes = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 256, "initializer_range": 0.2}
        vocabulary = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["vocab_size"]
        config = GPT2Config(vocab_size=vocabulary, bos_token_id=0, eos_token_id=0, **sizes)
        GPT2LMHeadModel(config).save_pretrained(tmp_path)
    return tmp_path


def token_vectors(folder: Path, text: str, bidirectional: bool = False) -> torch.Tensor:
    """The last layer's vectors of one text, by the library alone; all tokens see each other if the mask hides none."""
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(folder).eval()
    ids = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")["input_ids"]
    mask = torch.zeros(1, 1, ids.shape[1], ids.shape[1]) if bidirectional else None
    with torch.inference_mode():
        return model(ids, attention_mask=mask).last_hidden_state[0]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("padding", ["</s>", None])
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_embeddings_are_the_librarys_in_any_batch(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, pooling: str, padding: str | None, side: str
) -> None:
    """Also without the chat template, in which sentence-transformers would wrap them, and in a saved folder."""
    from sentence_transformers import SentenceTransformer

    edit(folder / "tokenizer_config.json", padding_side=side, pad_token=padding)
    vectors = [token_vectors(folder, text) for text in TEXTS]
    expected = torch.stack([tokens[-1] if pooling == "last" else tokens.mean(0) for tokens in vectors])
    model = open_encoder(folder, pooling)
    model.save_pretrained(str(saved := tmp_path_factory.mktemp("saved")), create_model_card=False)
    for opened in (model, open_encoder(saved), SentenceTransformer(str(saved), device="cpu")):
        together = opened.encode(TEXTS, convert_to_tensor=True)
        torch.testing.assert_close(together, expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(opened.encode(TEXTS[::-1], convert_to_tensor=True).flip(0), together)
        alone = [opened.encode(text, convert_to_tensor=True) for text in TEXTS]
        torch.testing.assert_close(torch.stack(alone), together, rtol=0, atol=1e-5)
    assert (expected[0] - expected[1]).abs().max() > 0.1


def test_long_sentences_are_cut_to_the_models_positions(folder: Path) -> None:
    model = open_encoder(folder, "last")
    assert model.max_seq_length == 256
    long = [" ".join((WORDS * 10)[start : start + 300]) for start in (0, 1)]
    assert embed(model, long, 1000).isfinite().all()
    torch.testing.assert_close(embed(model, long, 1000), embed(model, [" ".join(t.split()[:256]) for t in long], 1000))


def test_without_any_token_to_pad_with_an_encoder_is_refused(folder: Path) -> None:
    edit(folder / "tokenizer_config.json", pad_token=None, eos_token=None)
    with pytest.raises(UserError, match=r"has no padding token; set pad_token in its tokenizer_config\.json\.$"):
        open_encoder(folder, "last")


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_bidirectional_attention_is_that_without_a_mask_and_stays_with_the_folder(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, pooling: str
) -> None:
    from sentence_transformers import SentenceTransformer

    vectors = [token_vectors(folder, text, bidirectional=True) for text in TEXTS]
    expected = torch.stack([tokens[-1] if pooling == "last" else tokens.mean(0) for tokens in vectors])
    model = open_encoder(folder, pooling, attention="bidirectional")
    model.save_pretrained(str(saved := tmp_path_factory.mktemp("saved")), create_model_card=False)
    for opened in (model, open_encoder(saved), SentenceTransformer(str(saved), device="cpu")):
        together = opened.encode(TEXTS, convert_to_tensor=True)
        torch.testing.assert_close(together, expected, rtol=0, atol=1e-5)
        alone = [opened.encode(text, convert_to_tensor=True) for text in TEXTS]
        torch.testing.assert_close(torch.stack(alone), together, rtol=0, atol=1e-5)
    causal = open_encoder(folder, pooling).encode(TEXTS, convert_to_tensor=True)
    assert (causal - expected).abs().max() > 0.01


def test_a_transformer_that_ignores_the_switch_is_refused() -> None:
    from transformers import GPTNeoConfig, GPTNeoModel

    sizes = {"hidden_size": 8, "num_layers": 1, "num_heads": 2, "attention_types": [[["global"], 1]]}
    transformer = GPTNeoModel(GPTNeoConfig(vocab_size=9, bos_token_id=0, eos_token_id=0, **sizes)).eval()
    with pytest.raises(
        UserError, match=r"^base\.attention: this transformer \(gpt_neo\) has no bidirectional attention"
    ):
        set_bidirectional([SimpleNamespace(auto_model=transformer)])
