"""The early check of models and development data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from miniature import chat

from rankrefine import check
from rankrefine.assets.manifest import write_manifest
from rankrefine.check import check_experiment, check_head, check_language_model, check_tokens
from rankrefine.config.load import complete
from rankrefine.config.views import for_rule
from rankrefine.errors import UserError
from rankrefine.llm import prompts

CHAT, PLAIN = prompts.load("few_shot"), prompts.load("plain_few_shot")


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
    check_language_model(model(tmp_path, template=template), CHAT)


def test_a_plain_prompt_needs_no_chat_template(tmp_path: Path) -> None:
    check_language_model(model(tmp_path, template="none"), PLAIN)
    with pytest.raises(UserError, match="has no tokenizer"):
        (tmp_path / "tokenizer_config.json").unlink()
        check_language_model(tmp_path, PLAIN)


@pytest.mark.parametrize(
    ("lacks", "sentence"),
    [
        ({"weights": False}, "has no .safetensors weights; convert the model first"),
        ({"tokenizer": False}, "has no tokenizer"),
        ({"template": "none"}, r"has no chat template, which generate.prompt \(few_shot\) needs; use an instr"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, lacks: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        check_language_model(model(tmp_path, **lacks), CHAT)


def test_a_gguf_file_in_a_folder_is_pointed_at(tmp_path: Path) -> None:
    (tmp_path / "small.gguf").touch()
    with pytest.raises(UserError, match=r"has no .safetensors weights; give the path of .*small.gguf itself\."):
        check_language_model(model(tmp_path, weights=False), CHAT)


@pytest.mark.parametrize("name", [*chat.TAKE_SYSTEM, *chat.TAKE_NO_SYSTEM])
def test_the_shipped_prompts_suit_a_model_with_or_without_a_system_role(tmp_path: Path, name: str) -> None:
    chat.build(tmp_path, (chat.TAKE_SYSTEM | chat.TAKE_NO_SYSTEM)[name])
    check_tokens(tmp_path, [prompts.load(prompt) for prompt in ("few_shot", "paper_like")])


def test_a_damaged_tokenizer_is_named(tmp_path: Path) -> None:
    (chat.build(tmp_path, chat.TAKE_SYSTEM["Qwen"]) / "tokenizer.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"generate.model: the tokenizer in .* cannot be opened: .+\.$"):
        check_tokens(tmp_path, [CHAT])


def test_a_chat_template_is_tried_with_the_prompt_of_the_run(tmp_path: Path) -> None:
    from miniature.encoder import build

    llm = model(chat.build(tmp_path / "llm", chat.TAKE_NO_SYSTEM["Gemma"]), template="none", tokenizer=False)
    mine = tmp_path / "mine.yaml"
    arguments = {"encoders": [], "poolings": [], "development": None, "output": tmp_path / "check.json"}
    for name, folder in (("model", build(tmp_path / "encoder")), ("llm", llm)):
        arguments[name] = tmp_path / f"{name}.json"
        write_manifest(arguments[name], source=name, kind="model", path=folder)
    config = complete({"generate": {"prompt": str(mine)}})
    mine.write_text("messages: [{role: system, content: Rewrite.}, {role: user, content: '{sentence}'}]")
    check.run(config, **arguments)
    mine.write_text("messages: [{role: user, content: Rewrite.}, {role: user, content: '{sentence}'}]")
    with pytest.raises(
        UserError, match=r"^generate.prompt: the chat template of generate.model refuses the .* must alternate"
    ):
        check.run(config, **arguments)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"layers": 9}, "refine.experiments.a: layers is 9, but the encoder has 6 layers"),
        ({"matryoshka": [64, 512]}, "refine.experiments.a: matryoshka has 512, but the encoder has 384 dimensions"),
        ({"report_to": ["wandb"]}, "refine.report_to: wandb is not installed; run: pip install wandb"),
    ],
)
def test_what_the_encoder_cannot_have_is_named_before_generation(
    tmp_path: Path, settings: dict, sentence: str
) -> None:
    fine = {"layers": 6, "matryoshka": [384], "report_to": []}
    (tmp_path / "config.json").write_text('{"num_hidden_layers": 6, "hidden_size": 384}', encoding="utf-8")
    check_experiment("a", fine, tmp_path)
    with pytest.raises(UserError, match=sentence):
        check_experiment("a", fine | settings, tmp_path)


def test_a_transformer_without_a_head_is_told_early(tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    save_file({"bert.embeddings.weight": np.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=r"has no head \(pooler.dense\), which pooling cls_head needs"):
        check_head(tmp_path)
    save_file({"bert.pooler.dense.weight": np.zeros(2)}, tmp_path / "model.safetensors")
    check_head(tmp_path)


def test_a_base_encoder_without_a_masked_lm_head_is_told_early(tmp_path: Path) -> None:
    from miniature.encoder import build

    write_manifest(tmp_path / "model.json", source="x", kind="model", path=build(tmp_path / "encoder"))
    config = complete({"base": {"objective": "simcse_unsup", "mlm": 0.1}})
    arguments = {"encoders": [], "poolings": [], "development": None, "llm": None, "output": tmp_path / "check.json"}
    with pytest.raises(UserError, match=r"^base.mlm: .*encoder has no masked-LM head \(its files lack cls\)"):
        check.run(config, tmp_path / "model.json", **arguments)
    assert not (tmp_path / "check.json").exists()
    config["base"]["mlm"] = 0.0
    check.run(config, tmp_path / "model.json", **arguments)


def a_run(folder: Path, config: dict, template: str) -> None:
    """Check a configuration with a language model of this chat template."""
    from miniature.encoder import build

    llm = model(chat.build(folder / "llm", template), template="none", tokenizer=False)
    arguments = {"encoders": [], "poolings": [], "development": None, "output": folder / "check.json"}
    for name, path in (("model", build(folder / "encoder")), ("llm", llm)):
        arguments[name] = folder / f"{name}.json"
        write_manifest(arguments[name], source=name, kind="model", path=path)
    whole = complete({"base": {"objective": "contrastive"}, **config})
    check.run(for_rule(whole, "check") | {"base": whole["base"], "refine": whole["refine"]}, **arguments)


RECIPE = """steps:
  positive: {instructions: [Say it again.], exemplars: [[a, b]], draw: 1, sets: 1, input: "{sentence}"}
columns: {anchor: sentence, positive: positive}
"""
ODD = "{% if messages | length > 2 %}{{ raise_exception('too long') }}{% endif %}" + chat.TAKE_SYSTEM["Zephyr"]


def test_a_recipe_without_negatives_is_refused_where_the_objective_needs_them(tmp_path: Path) -> None:
    base = {"objective": "decayed_contrastive", "guide": "x"}
    config = {"base": base, "generate": {"prompt": "plain_few_shot"}, "examples": {"recipe": "gcse"}}
    a_run(tmp_path, config, chat.TAKE_NO_SYSTEM["Gemma"])
    config["examples"] = {"recipe": "claif"}
    with pytest.raises(UserError, match=r"^examples\.recipe: base\.objective decayed_contrastive needs .* and claif"):
        a_run(tmp_path, config, chat.TAKE_NO_SYSTEM["Gemma"])


def test_recipes_are_tried_with_the_chat_template(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(RECIPE, encoding="utf-8")
    config = {"examples": {"recipe": str(tmp_path / "mine.yaml")}, "generate": {"prompt": "plain_few_shot"}}
    a_run(tmp_path, config, chat.TAKE_NO_SYSTEM["Gemma"])
    with pytest.raises(
        UserError, match=r"^examples.recipe: the chat template of generate.model refuses .* \(too long\)"
    ):
        a_run(tmp_path, config, ODD)
    written = {"seeds": {"sources": [{"name": "a", "source": "written"}]}, "generate": {"prompt": "plain_few_shot"}}
    with pytest.raises(UserError, match=r"^write.recipe: the chat template of generate.model refuses .* \(too long\)"):
        a_run(tmp_path, written | {"base": {}}, ODD)
    (tmp_path / "mine.yaml").write_text("steps: {}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"mine.yaml is not a recipe"):
        a_run(tmp_path, config, ODD)


def test_the_labels_of_the_scoring_prompt_are_tried_with_the_tokenizer(tmp_path: Path) -> None:
    scoring = tmp_path / "mine.yaml"
    scoring.write_text("text: '{first} {second}:'\nlabels: {'0': 0, '10': 1}\n", encoding="utf-8")
    examples = {"recipe": "import", "file": "a.csv", "scorer": "likelihood"}
    lists = {"source": "import", "file": "b.csv"}  # so that no other prompt is used
    a_run(tmp_path, {"examples": examples, "lists": lists}, ODD)
    with pytest.raises(
        UserError, match=r"^examples.scoring_prompt: Label '10' is not a token of its own after the prompt"
    ):
        a_run(tmp_path, {"examples": examples | {"scoring_prompt": str(scoring)}, "lists": lists}, ODD)
    scoring.write_text("text: '{first}'\nlabels: {'0': 0, '1': 1}\n", encoding="utf-8")
    with pytest.raises(
        UserError, match=r"^examples.scoring_prompt: .*mine.yaml: `text` must be a string that contains"
    ):
        a_run(tmp_path, {"examples": examples | {"scoring_prompt": str(scoring)}, "lists": lists}, ODD)
