"""Preparation of the encoder to refine: poolings, prompts, training by each objective."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from miniature.build import pairs, sentences
from miniature.encoder import build as build_encoder
from miniature.llm import build as build_llm
from torch.nn.functional import normalize

from rankrefine import io
from rankrefine.assets.manifest import load_manifest, write_manifest
from rankrefine.config import load as config
from rankrefine.encoders.opening import check_encoder, go_offline, open_encoder
from rankrefine.errors import UserError

go_offline()
TEXTS = ["One small cat.", "Two dogs run in the park today.", "No."]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with encoders, a bare transformer, sentences, pairs, triplets and development data."""
    import pyarrow as pa

    folder = tmp_path_factory.mktemp("inputs")
    build_encoder(folder / "encoder")
    open_encoder(folder / "encoder")[0].save(str(folder / "bare"))
    (folder / "bare" / "sentence_bert_config.json").unlink()
    build_encoder(folder / "other", seed=1)
    save_masked_lm(folder / "bare", folder / "lm")
    for name in ("encoder", "other", "bare", "lm"):
        write_manifest(folder / f"{name}.json", source=name, kind="model", path=folder / name)
    io.write_table(folder / "sts" / "validation.parquet", pairs(40, 10))
    write_manifest(folder / "sts.json", source="pairs", kind="dataset", path=folder / "sts")
    texts = sentences(40, 3)
    io.write_table(folder / "pool.parquet", pa.table({"seed_id": texts, "text": texts}))
    triplets = {"anchor": texts[:20], "positive": texts[1:21], "negative": texts[20:]}
    io.write_table(folder / "nli" / "train.parquet", pa.table(triplets))
    scored = triplets | {"negative": [None, *texts[21:]], "score": [i % 5 / 4 for i in range(20)]}
    io.write_table(folder / "pairs" / "train.parquet", pa.table(scored))
    for name in ("nli", "pairs"):
        write_manifest(folder / f"{name}.json", source=name, kind="dataset", path=folder / name)
    return folder


def save_masked_lm(bare: Path, folder: Path) -> None:
    """Write a bare transformer with a masked-LM head, of the architecture of another one."""
    from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer

    with torch.random.fork_rng():
        torch.manual_seed(2)
        AutoModelForMaskedLM.from_config(AutoConfig.from_pretrained(bare)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(bare).save_pretrained(folder)


def make(
    inputs: Path,
    output: Path,
    model: str = "bare",
    examples: str | None = None,
    guides: tuple[str, ...] = (),
    **settings: object,
) -> dict:
    """Prepare an encoder in the folder `output` and return its record."""
    from rankrefine.base import run

    chosen = {"batch_size": 8, "evaluate_every": 2, "learning_rate": 1e-3} | settings
    chosen |= ({"data": "x"} if examples else {}) | ({"guide": "x"} if guides else {})
    run.run(
        config.complete({"seed": 3, "base": chosen}),
        model=inputs / f"{model}.json",
        examples=inputs / examples if examples else None,
        development=inputs / "sts.json",
        threads=1,
        code=[],
        output=output / "model",
        manifest=output / "model.json",
        history=output / "history.json",
        guides=[inputs / f"{name}.json" for name in guides],
        guide_weights=[1 / len(guides) for _ in guides],
    )
    return io.read_json(output / "history.json")


def token_vectors(folder: Path, text: str) -> tuple[torch.Tensor, torch.nn.Module]:
    """The last layer's vectors of one text, and the transformer's pooler."""
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        return model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0], model.pooler


@pytest.mark.parametrize("pooling", ["mean", "cls", "cls_training_head", "cls_head"])
def test_poolings_of_a_bare_transformer(inputs: Path, tmp_path: Path, pooling: str):
    make(inputs, tmp_path, pooling=pooling)
    vectors = open_encoder(tmp_path / "model").encode(TEXTS, convert_to_tensor=True)
    for text, vector in zip(TEXTS, vectors, strict=True):
        tokens, pooler = token_vectors(inputs / "bare", text)
        cls = tokens[0]
        with torch.no_grad():
            expected = {"mean": tokens.mean(0), "cls_head": torch.tanh(pooler.dense(cls))}.get(pooling, cls)
        assert torch.allclose(vector, expected, atol=1e-5)


def test_the_training_head_applies_in_training_only(inputs: Path, tmp_path: Path):
    from rankrefine.encoders.pooling import add_training_head

    make(inputs, tmp_path, pooling="cls_training_head")
    model = open_encoder(tmp_path / "model")
    add_training_head(model)
    features = model.preprocess(TEXTS)
    plain = model(dict(features))["sentence_embedding"]
    for module in model.modules():
        module.training = isinstance(module, type(model[1]))  # the pooling alone, so that nothing is dropped
    headed = model(dict(features))["sentence_embedding"]
    assert torch.allclose(headed, torch.tanh(model[0].auto_model.pooler.dense(plain)), atol=1e-6)
    model.train()
    assert torch.allclose(model.encode(TEXTS, convert_to_tensor=True), plain, atol=1e-6)


def test_normalisation_is_kept_when_the_pooling_changes(inputs: Path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize

    from rankrefine.encoders.pooling import with_pooling

    model = open_encoder(inputs / "encoder")
    assert with_pooling(model, "model") is model
    changed = with_pooling(SentenceTransformer(modules=[*model, Normalize()], device="cpu"), "cls")
    assert changed[1].pooling_mode == "cls"
    assert torch.allclose(changed.encode(TEXTS, convert_to_tensor=True).norm(dim=-1), torch.ones(3), atol=1e-5)


def test_a_transformer_without_a_head_is_named(inputs: Path):
    from rankrefine.encoders.pooling import with_pooling

    model = open_encoder(inputs / "encoder")
    model[0].auto_model.pooler = None
    with pytest.raises(UserError, match=r"base.pooling: this encoder \(bert\) has no head on \[CLS\]; use cls or"):
        with_pooling(model, "cls_head")


def test_a_bare_transformer_needs_a_pooling(inputs: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"bare transformer .* set its pooling with base.pooling"):
        make(inputs, tmp_path, prompt="x")
    check_encoder(inputs / "bare", "mean")
    assert list(tmp_path.iterdir()) == []


def test_a_prompt_is_the_same_in_training_teacher_and_evaluation(inputs: Path, tmp_path: Path):
    from rankrefine.encoders.embed import embed
    from rankrefine.encoders.lengths import preprocessor
    from rankrefine.evaluate import run, task

    make(inputs, tmp_path, model="encoder", prompt="query: ")
    model, plain = open_encoder(tmp_path / "model"), open_encoder(inputs / "encoder")
    expected = plain.encode([f"query: {text}" for text in TEXTS], convert_to_tensor=True)
    assert torch.allclose(model.encode(TEXTS, convert_to_tensor=True), expected, atol=1e-6)
    assert torch.allclose(model(preprocessor(model, 64)(TEXTS))["sentence_embedding"], expected, atol=1e-5)
    assert torch.allclose(embed(model, TEXTS, 64), normalize(expected, dim=-1), atol=1e-5)
    teacher = open_encoder(inputs / "encoder", prompt="query: ", threads=1)
    assert torch.allclose(embed(teacher, TEXTS, 64), normalize(expected, dim=-1), atol=1e-5)
    bare = open_encoder(inputs / "bare", "mean", "query: ")
    assert torch.allclose(embed(bare, TEXTS, 64), normalize(expected, dim=-1), atol=1e-5)
    own = open_encoder(tmp_path / "model", prompt="")
    assert not torch.allclose(embed(own, TEXTS, 64), normalize(expected, dim=-1), atol=1e-2)
    table = pairs(40, 20)
    io.write_table(tmp_path / "sts" / "test.parquet", table)
    write_manifest(tmp_path / "sts.json", source="pairs", kind="dataset", path=tmp_path / "sts")
    task.run("STSBenchmark", tmp_path / "sts.json", tmp_path / "task.json")
    run.run(tmp_path / "task.json", tmp_path / "model.json", "base", 1, tmp_path / "result.json")
    cosines = io.read_json(tmp_path / "result.json")["metrics"][0]["predicted"]
    first, second = (
        plain.encode([f"query: {text}" for text in table[column].to_pylist()], normalize_embeddings=True)
        for column in ("sentence1", "sentence2")
    )
    assert cosines == pytest.approx((first * second).sum(-1).tolist(), abs=1e-5)
    make(inputs, tmp_path / "none", model="encoder", prompt="")
    assert open_encoder(tmp_path / "none" / "model").default_prompt_name is None


CASES = {
    "simcse_unsup": {"examples": "pool.parquet", "pooling": "cls_training_head"},
    "contrastive": {"examples": "nli.json", "pooling": "cls_head"},
    "masked_contrastive": {"examples": "pairs.json", "guides": ("other",), "phi": 0.97},
    "masked_contrastive_released": {"examples": "pairs.json", "guides": ("other",), "phi": 0.97, "bf16": True},
    "decayed_contrastive": {"examples": "nli.json", "guides": ("bare",), "guide_pooling": "mean", "sigma": 2.0},
    "soft_contrastive": {"examples": "pairs.json"},
    "smoothed_contrastive": {"examples": "pairs.json"},
    "cosine": {"examples": "pairs.json"},
    "rank_distillation": {"examples": "pool.parquet", "guides": ("encoder", "other")},
}
MASKED_LM = {"objective": "contrastive", "examples": "pairs.json", "model": "lm", "mlm": 1.0}


def test_every_objective_has_a_case():
    from rankrefine.base.objectives import OBJECTIVES

    assert [*CASES] == [*OBJECTIVES]


@pytest.mark.parametrize("case", [*CASES, "masked_lm"])
def test_a_training_lowers_its_loss_and_ends_with_the_same_bytes(
    inputs: Path, tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
):
    from rankrefine.training.best_step import BestStep

    settings = {"objective": case, "pooling": "mean", "epochs": 6} | CASES.get(case, MASKED_LM)
    monkeypatch.setattr(BestStep, "best", property(lambda callback: callback.scores[-1]))  # keep the last step
    history = make(inputs, tmp_path / "whole", **settings)
    losses = [step["loss"] for step in history["steps"]]
    assert sum(losses[-3:]) < sum(losses[:3])
    assert history["examples"] == (40 if settings["examples"] == "pool.parquet" else 20)
    assert [guide["model"] for guide in history["guides"]] == [*settings.get("guides", ())]
    assert load_manifest(tmp_path / "whole" / "model.json").source.startswith("base:")

    def killing(self, args, state, control, **kwargs):
        if state.global_step == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(BestStep, "on_step_end", killing)
        make(inputs, tmp_path / "killed", **settings)
    assert (tmp_path / "killed" / ".work" / "checkpoint-4").is_dir()
    with monkeypatch.context() as patched:
        patched.setattr("rankrefine.base.guide._embed", None)  # the embeddings are in the work folder
        again = make(inputs, tmp_path / "killed", **settings)
    assert again["development"] == history["development"]
    file = Path("model", "model.safetensors")
    assert (tmp_path / "killed" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


@pytest.mark.parametrize(
    "settings", [{}, {"objective": "contrastive", "examples": "nli.json"}], ids=["kept", "trained"]
)
def test_a_language_model_becomes_an_encoder_that_opens_by_itself(inputs: Path, tmp_path: Path, settings: dict):
    """With the attention of the training: later tokens change the vector of the first one."""
    from sentence_transformers import SentenceTransformer

    build_llm(tmp_path / "llm")
    write_manifest(tmp_path / "llm.json", source="llm", kind="model", path=tmp_path / "llm")
    make(inputs, tmp_path, model=tmp_path / "llm", pooling="mean", attention="bidirectional", **settings)
    opened, plain = open_encoder(tmp_path / "model"), SentenceTransformer(str(tmp_path / "model"), device="cpu")
    texts = ["cat sees dog", "cat sees a", "cat"]
    vectors = [opened.encode(texts, output_value="token_embeddings")[i][0] for i in (0, 1)]
    assert (vectors[0] - vectors[1]).abs().max() > 0.01
    assert torch.allclose(plain.encode(texts, convert_to_tensor=True), opened.encode(texts, convert_to_tensor=True))
    assert list(plain[0].modality_config) == ["text"]


def test_equal_views_of_a_sentence_are_reported_without_dropout(inputs: Path, tmp_path: Path, caplog):
    from rankrefine.base.train import has_dropout

    build_llm(tmp_path / "llm")
    write_manifest(tmp_path / "llm.json", source="llm", kind="model", path=tmp_path / "llm")
    settings = {"objective": "simcse_unsup", "examples": "pool.parquet", "pooling": "mean"}
    make(inputs, tmp_path / "one", model=tmp_path / "llm", **settings)
    assert "no dropout, so that both views of a sentence are equal in 40 of 40 examples" in caplog.text
    caplog.clear()
    settings |= {"objective": "contrastive", "examples": "nli.json"}
    make(inputs, tmp_path / "other", model=tmp_path / "llm", **settings)
    assert "no dropout" not in caplog.text
    model = open_encoder(tmp_path / "llm", "mean")
    assert not has_dropout(model) and has_dropout(open_encoder(inputs / "encoder"))
    model[0].auto_model.config.attention_dropout = 0.1
    assert has_dropout(model)


def test_unusable_training_data_are_named(inputs: Path, tmp_path: Path):
    from rankrefine.base.examples import read as examples

    def table(rows: str) -> Path:
        (tmp_path / "t.csv").write_text("anchor,positive,negative\n" + rows, encoding="utf-8")
        return tmp_path / "t.csv"

    with pytest.raises(UserError, match=r"base.data: .*t.csv, line 3: column positive is empty; complete"):
        examples("contrastive", table("a,b,c\nd,,f\n"))
    with pytest.raises(UserError, match="1 usable rows; a batch needs at least 2"):
        examples("contrastive", table("a,b,c\n"))
    with pytest.raises(UserError, match="no column 'text'"):
        examples("simcse_unsup", table("a,b,c\n"))
    (tmp_path / "plain.txt").write_text("One.\n\nTwo.\nOne.\n", encoding="utf-8")
    assert examples("simcse_unsup", tmp_path / "plain.txt") == {
        "anchor": ["One.", "Two."],
        "positive": ["One.", "Two."],
    }


def test_columns_are_those_of_the_objective(inputs: Path, tmp_path: Path):
    from rankrefine.base.examples import read

    triplets = read("masked_contrastive", inputs / "pairs")
    assert [*triplets] == ["anchor", "positive", "negative"] and triplets["negative"][:1] == [None]
    assert [*read("soft_contrastive", inputs / "pairs")] == ["anchor", "positive", "score", "negative"]
    assert [*read("cosine", inputs / "pairs")] == ["anchor", "positive", "score"]
    assert [*read("rank_distillation", inputs / "pool.parquet")] == ["anchor", "positive"]
    (tmp_path / "pairs.csv").write_text("anchor,positive\na,b\nc,d\n", encoding="utf-8")
    assert read("contrastive", tmp_path / "pairs.csv") == {"anchor": ["a", "c"], "positive": ["b", "d"]}


@pytest.mark.parametrize(
    ("objective", "rows", "message"),
    [
        ("cosine", "anchor,positive\na,b\n", r"t.csv has no column 'score'"),
        (
            "cosine",
            "anchor,positive,score\na,b,0.5\nc,d,4.5\n",
            r"t.csv, line 3: the value of 'score' is 4.5, but must be",
        ),
        (
            "cosine",
            "anchor,positive,score\na,b,-0.1\n",
            r"line 2: the value of 'score' is -0.1, but must be from 0 to 1;",
        ),
        ("soft_contrastive", "anchor,positive,score\na,b,\n", r"line 2: column score is empty; complete or remove"),
        ("decayed_contrastive", "anchor,positive,negative\na,b,\n", r"line 2: column negative is empty; complete"),
        ("decayed_contrastive", "anchor,positive\na,b\n", r"t.csv has no column 'negative'"),
        ("masked_contrastive", "anchor,positive,negative\na,b,' '\nc,,e\n", r"line 3: column positive is empty"),
    ],
)
def test_data_that_an_objective_cannot_use_are_named_with_their_row(
    tmp_path: Path, objective: str, rows: str, message: str
):
    from rankrefine.base.examples import read

    (tmp_path / "t.csv").write_text(rows, encoding="utf-8")
    with pytest.raises(UserError, match=rf"^base.data: .*{message}"):
        read(objective, tmp_path / "t.csv")


def test_a_batch_has_all_positives_and_the_negatives_that_exist():
    from rankrefine.base.batches import Collator

    rows = [
        {"anchor": "a", "positive": "b", "negative": None, "score": 0.5},
        {"anchor": "c", "positive": "d", "negative": "e", "score": 1.0},
    ]
    batch = Collator(lambda sentences: {"input_ids": sentences})(rows)
    assert batch["anchor_input_ids"] == ["a", "c"]
    assert batch["candidate_input_ids"] == ["b", "d", "e"]
    assert batch["label"]["score"].tolist() == [0.5, 1.0]


def test_a_guide_averages_the_cosines_of_encoders_of_any_width(tmp_path: Path):
    import numpy as np

    from rankrefine.base.guide import Guide

    narrow, wide = np.eye(3, 2, dtype=np.float32), np.eye(3, 7, dtype=np.float32)
    wide[2] = wide[0]
    cosines = Guide({"a": 0, "b": 1, "c": 2}, [narrow, wide], [0.25, 0.75]).cosines(["a", "b"], ["a", "b", "c"])
    assert cosines.tolist() == [[1, 0, 0.75], [0, 1, 0]]


def test_a_guide_embeds_each_sentence_once_in_evaluation_mode(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from rankrefine.base import guide
    from rankrefine.encoders.embed import embed

    monkeypatch.setattr(guide, "CHUNK", 2)
    columns = {"anchor": TEXTS, "positive": [*TEXTS[:2], "Three birds."], "score": [0.1, 0.2, 0.3]}
    settings = {"guide_pooling": "model", "max_length": 64}
    loaded = guide.load([(inputs / "other", 1.0)], columns, settings, 1, tmp_path)
    vectors = embed(open_encoder(inputs / "other"), [*TEXTS, "Three birds."], 64)
    assert len(loaded.embeddings[0]) == 4
    assert torch.allclose(loaded.cosines(TEXTS, ["Three birds."]), vectors[:3] @ vectors[3:].T, atol=1e-5)


def test_guides_that_cannot_be_used_are_named(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = {"objective": "rank_distillation", "examples": "pool.parquet", "pooling": "mean"}
    with pytest.raises(UserError, match=r"bare transformer .* set its pooling with base.pooling, base.guide_pooling"):
        make(inputs, tmp_path, guides=("bare",), **settings)
    with pytest.raises(UserError, match=r"^base.objective rank_distillation requires --guides\."):
        make(inputs, tmp_path, **settings | {"guide": "x"})
    broken = lambda *_: torch.full((40, 4), torch.nan)  # noqa: E731
    monkeypatch.setattr("rankrefine.base.guide.embed", broken)
    with pytest.raises(UserError, match=r"^The guide .*other gives embeddings that are not finite; choose another"):
        make(inputs, tmp_path, guides=("other",), **settings)
    assert list(tmp_path.iterdir()) == []


def test_masked_lm_trains_the_encoder_and_its_own_head(inputs: Path, monkeypatch: pytest.MonkeyPatch):
    from transformers import AutoModelForMaskedLM

    from rankrefine.base.masked_lm import MaskedLM
    from rankrefine.encoders.lengths import preprocessor

    encoder = open_encoder(inputs / "lm", "mean")
    term = MaskedLM(encoder, inputs / "lm", bf16=False)
    features = [preprocessor(encoder, 32)(texts) for texts in (TEXTS[:1], TEXTS)]
    whole = AutoModelForMaskedLM.from_pretrained(inputs / "lm").eval()
    mask, total, count = encoder.tokenizer.mask_token_id, 0.0, 0

    def last_token(tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mask the token in place 2 of each sentence."""
        masked, labels = tokens.clone(), torch.full_like(tokens, -100)
        masked[:, 2], labels[:, 2] = mask, tokens[:, 2]
        return masked, labels

    for batch in features:
        masked, labels = last_token(batch["input_ids"])
        output = whole(input_ids=masked, attention_mask=batch["attention_mask"], labels=labels)
        total, count = total + len(masked) * output.loss, count + len(masked)
    monkeypatch.setattr(term.mask, "torch_mask_tokens", last_token)
    loss = term(features)
    assert torch.allclose(loss, total / count, atol=1e-5)
    loss.backward()
    transformer, head = encoder[0].auto_model, term.model.cls.predictions
    assert head.decoder.weight is transformer.embeddings.word_embeddings.weight
    for value in (transformer.encoder.layer[0].output.dense.weight, head.transform.dense.weight):
        assert value.grad.abs().sum() > 0
    monkeypatch.setattr(term.mask, "torch_mask_tokens", lambda tokens: (tokens, torch.full_like(tokens, -100)))
    assert term(features) == 0


def test_the_tokens_to_predict_are_drawn_anew_and_are_no_special_tokens(inputs: Path):
    from rankrefine.base.masked_lm import MaskedLM

    encoder = open_encoder(inputs / "lm", "mean")
    term = MaskedLM(encoder, inputs / "lm", bf16=False)
    tokens = encoder.preprocess(TEXTS * 40)["input_ids"]
    torch.manual_seed(0)
    first, second = (term.mask.torch_mask_tokens(tokens.clone())[1] for _ in range(2))
    assert not torch.equal(first, second)
    special = torch.isin(tokens, torch.tensor(encoder.tokenizer.all_special_ids))
    assert (first[special] == -100).all()
    assert 0.12 < (first[~special] != -100).float().mean() < 0.18


def test_an_encoder_without_a_masked_lm_head_is_named(inputs: Path, tmp_path: Path):
    from transformers import AutoTokenizer, T5Config

    from rankrefine.base.masked_lm import check

    check(inputs / "lm")
    settings = MASKED_LM | {"pooling": "mean", "model": "bare"}
    message = (
        r"^base.mlm: .*{} has no masked-LM head \({}\); start from a pre-trained transformer with one, or set base"
    )
    with pytest.raises(UserError, match=message.format("bare", "its files lack cls")):
        make(inputs, tmp_path, **settings)
    with pytest.raises(UserError, match=message.format("encoder", "its files lack cls")):
        check(inputs / "encoder")
    T5Config().save_pretrained(tmp_path / "t5")
    with pytest.raises(UserError, match=message.format("t5", "there is none for the architecture t5")):
        check(tmp_path / "t5")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "config.json").write_text('{"model_type": "x", "auto_map": {"AutoConfig": "x.X"}}')
    with pytest.raises(UserError, match=message.format("code", "it requires custom code, which is never run")):
        check(tmp_path / "code")
    save_masked_lm(inputs / "bare", tmp_path / "silent")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "silent")
    tokenizer.mask_token = None
    tokenizer.save_pretrained(tmp_path / "silent")
    write_manifest(tmp_path / "silent.json", source="x", kind="model", path=tmp_path / "silent")
    with pytest.raises(UserError, match=message.format("silent", "its tokenizer has no mask token")):
        make(inputs, tmp_path / "out", **settings | {"model": str(tmp_path / "silent")})
