"""Saved encoders: the names of older libraries, and the same embeddings in the current one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from miniature.encoder import build

import rankrefine
from rankrefine.encoders.opening import open_encoder
from rankrefine.encoders.saving import save

# sentence-transformers 3.0.1: classes in sentence_transformers.models, and what their constructors accept
POOLINGS = ("cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
OLD_CLASSES = {
    "Transformer": {"max_seq_length", "do_lower_case"},
    "Pooling": {"word_embedding_dimension", "include_prompt", *(f"pooling_mode_{name}" for name in POOLINGS)},
    "Dense": {"in_features", "out_features", "bias", "activation_function"},
    "Normalize": None,  # its folder is not read
}
OLD_TOKENIZERS = {"BertTokenizer", "PreTrainedTokenizerFast"}  # transformers 4
TEXTS = ["one two three", "A man is playing a guitar, slowly.", "no " * 90]


def content(folder: Path, name: str) -> dict | list:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def assert_old(folder: Path) -> None:
    """Check every name in the folder against the tables."""
    for module in content(folder, "modules.json"):
        package, _, name = module["type"].rpartition(".")
        assert package == "sentence_transformers.models"
        file = "config.json" if module["path"] else "sentence_bert_config.json"
        accepted = OLD_CLASSES[name]
        assert accepted is None or set(content(folder / module["path"], file)) <= accepted, name
    tokenizer = content(folder, "tokenizer_config.json")
    assert tokenizer["tokenizer_class"] in OLD_TOKENIZERS
    assert isinstance(tokenizer.get("extra_special_tokens", {}), dict)
    assert tokenizer["model_input_names"], "the default of transformers 4 has token_type_ids"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize

    folder = tmp_path_factory.mktemp("encoder")
    model = open_encoder(build(folder / "plain"))
    normalised = SentenceTransformer(modules=[*model, Normalize()], device="cpu")
    normalised.tokenizer.add_special_tokens({"extra_special_tokens": ["[SEP]", "[MASK]"]})
    normalised.save_pretrained(str(folder / "new"), create_model_card=False)
    return folder / "new"


@pytest.mark.parametrize("pooling", ["model", "mean", "cls", "cls_head", "cls_training_head"])
def test_a_saved_encoder_has_the_names_of_older_libraries_and_equal_embeddings(
    encoder: Path, tmp_path: Path, pooling: str
) -> None:
    with pytest.raises(AssertionError):
        assert_old(encoder)
    model = open_encoder(encoder, pooling, "query: ")
    save(model, tmp_path)
    assert_old(tmp_path)
    again = open_encoder(tmp_path)
    assert np.array_equal(again.encode(TEXTS), model.encode(TEXTS))
    assert [type(module) for module in again] == [type(module) for module in model]
    assert again.prompts[again.default_prompt_name] == "query: "
    assert again[0].get_config_dict() == model[0].get_config_dict()
    assert again.max_seq_length == model.max_seq_length == 64
    assert again.tokenizer.all_special_tokens == model.tokenizer.all_special_tokens
    assert (tmp_path / "sentence_bert_config.json").read_text(encoding="utf-8").count("64") == 1


def test_an_encoder_without_a_limit_stays_without(encoder: Path, tmp_path: Path) -> None:
    model = open_encoder(encoder)
    model.max_seq_length = 10**30
    save(model, tmp_path)
    assert content(tmp_path, "sentence_bert_config.json")["max_seq_length"] is None


def test_what_has_no_old_form_is_left_as_it_is(encoder: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense
    from sentence_transformers.sentence_transformer.modules import Pooling

    model = open_encoder(encoder)
    model[0].processing_kwargs = {"text": {"padding_side": "left"}}
    pooling = Pooling(32, pooling_mode=("mean", "cls"))  # older versions would put cls first
    dense = Dense(64, 8, module_output_name="projected")
    model = SentenceTransformer(modules=[model[0], pooling, dense, *list(model)[2:]], device="cpu")
    save(model, tmp_path)
    again = open_encoder(tmp_path)
    assert again[0].processing_kwargs == model[0].processing_kwargs
    assert again[1].pooling_mode == ("mean", "cls")
    assert again[2].module_output_name == "projected"
    assert np.array_equal(again.encode(TEXTS), model.encode(TEXTS))


def test_all_encoders_are_written_in_one_place() -> None:
    root = Path(rankrefine.__file__).parent
    writing = {
        file.relative_to(root).as_posix()
        for file in root.rglob("*.py")
        if re.search(r"\.save_pretrained\(", file.read_text(encoding="utf-8"))
    }
    assert writing == {"encoders/saving.py", "assets/convert.py"}, "language models are converted there"


def test_pooling_of_several_modes_in_the_old_order(encoder: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    model = SentenceTransformer(modules=[open_encoder(encoder)[0], Pooling(32, ("cls", "mean"))], device="cpu")
    save(model, tmp_path)
    assert_old(tmp_path)
    assert np.array_equal(open_encoder(tmp_path).encode(TEXTS), model.encode(TEXTS))
