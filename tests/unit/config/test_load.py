"""The configuration: defaults, refusals, reference files in step with the schema."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from rankrefine.config import load as config
from rankrefine.config import reference, views
from rankrefine.config.schema import leaves, reruns, schema
from rankrefine.errors import UserError

ROOT = Path(__file__).parents[3]
WRITTEN = {"name": "scratch", "source": "written"}
RULES = {
    "synthesize",
    "examples",
    "write",
    *("seeds", "generate", "import_lists", "consolidate", "base", "teacher", "refine", "rate", "likelihood", "curate"),
    *("task", "overlap", "evaluate", "scores", "report"),
}


def test_an_empty_config_is_the_reference() -> None:
    assert config.complete({}) == config.load(str(ROOT / "config.yaml"))


def test_the_defaults_alone_are_the_completed_empty_config() -> None:
    assert config.defaults() == config.complete({})


def test_the_reference_files_are_written_from_the_schema() -> None:
    hint = "run `make reference`"
    assert (ROOT / "config.yaml").read_text(encoding="utf-8") == reference.as_yaml(), hint
    assert reference.as_markdown() in (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8"), hint


def test_every_leaf_has_a_default_a_description_and_the_rules_it_plans() -> None:
    found = dict(leaves())
    assert len(found) > 40
    for key, leaf in found.items():
        assert "default" in leaf, key
        assert {"x-reads", "x-plans"} & leaf.keys(), key
        assert leaf["description"].endswith("."), key
        assert set(reruns(leaf)) <= RULES, key
        assert set(leaf.get("x-reads", [])) <= {*RULES, "check"}, key


def test_no_unknown_keys_at_any_level() -> None:
    def objects(node):
        if isinstance(node, dict):
            if "properties" in node:
                yield node
            for child in node.values():
                yield from objects(child)

    found = list(objects(schema()))
    assert len(found) >= 8
    assert all(node["additionalProperties"] is False for node in found)


def test_numbers_have_one_form() -> None:
    one = config.complete({"refine": {"omega": 2}, "seeds": {"count": 20.0}})
    other = config.complete({"refine": {"omega": 2.0}, "seeds": {"count": 20}})
    assert one == other and repr(one) == repr(other)
    assert isinstance(one["seeds"]["count"], int)
    scales = [config.complete({"generate": {"guidance_scale": scale}}) for scale in (2, 2.0, [1, 2], [1.0, 2.0])]
    texts = [json.dumps(each) for each in scales]
    assert texts[0] == texts[1] != texts[2] == texts[3]
    with pytest.raises(UserError, match=r"refine.omega is True but must be"):
        config.complete({"refine": {"omega": True}})


def test_completing_changes_nothing_that_is_given_and_not_the_input() -> None:
    given = {"seeds": {"count": 7}, "generate": {"temperature": 0}}
    copy = json.loads(json.dumps(given))
    done = config.complete(given)
    assert given == copy
    assert done["seeds"]["count"] == 7 and done["generate"]["temperature"] == 0
    assert config.complete(done) == done


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"refine": {"omga": 1}}, r"unknown key 'refine.omga'; did you mean 'omega'\?"),
        ({"refine": {"rule": "paper"}}, r"key 'refine.rule' is now called 'refine.target'\."),
        (
            {"refine": {"experiments": {"a": {"rule": "paper"}}}},
            r"key 'refine.experiments.a.rule' is now called 'refine.experiments.a.target'\.",
        ),
        ({"generate": {"rule": 1}}, r"unknown key 'generate.rule'"),
        ({"sedes": {}}, r"unknown key 'sedes'; did you mean 'seeds'\?"),
        ({"refine": {"xyzzy": 1}}, r"unknown key 'refine.xyzzy'; known keys: experiments, seeds"),
        ({"generate": {"rounds": 0}}, r"generate.rounds is 0 but must be at least 1"),
        ({"refine": {"omega": -0.5}}, r"refine.omega is -0.5 but must be at least 0"),
        ({"generate": {"guidance_scale": -1}}, r"generate.guidance_scale is -1 but must be at least 0"),
        ({"generate": {"guidance_scale": [1.5, 101]}}, r"generate.guidance_scale.1 is 101 but must be at most 100"),
        ({"generate": {"guidance_scale": []}}, r"generate.guidance_scale must not be empty"),
        ({"generate": {"guidance_scale": "much"}}, r"_scale is 'much' but must be of type number or a list\."),
        ({"generate": {"guidance_scale": [1, "a"]}}, r"guidance_scale.1 is 'a' but must be of type number\."),
        (
            {"generate": {"guidance_scale": [1, 2, 3], "rounds": 2}},
            r"has 3 numbers, but there are 2 rounds",
        ),
        (
            {"generate": {"min_words": 9, "max_words": 8}},
            r"generate.min_words \(9\) is above generate.max_words \(8\)",
        ),
        (
            {"generate": {"forbid": ["swearing"]}},
            r"generate.forbid.0 is 'swearing' but must be one of marker, refusal",
        ),
        ({"lists": {"source": "import"}}, r"lists.source is import, but lists.file is null; give the file"),
        (
            {"lists": {"file": "a.csv"}},
            r"lists.file is set, but lists.source is generate; set lists.source to import",
        ),
        ({"base": {"data": "a.txt"}}, r"base.data is set, but base.objective is none; set an objective or"),
        (
            {"base": {"pooling": "cls_training_head"}, "refine": {"anchor": 0.1}},
            r"experiments.refined: anchor compares with the base encoder, which has no training head",
        ),
        (
            {"base": {"objective": "contrastive"}},
            r"objective contrastive trains on pairs \(columns .*; set base.data to them",
        ),
        (
            {"base": {"objective": "simcse_unsup"}, "refine": {"development": None}},
            r"refine.development, which is null",
        ),
        (
            {"base": {"objective": "rank_distillation"}},
            r"objective rank_distillation compares with a frozen encoder; set base.guide to one\.",
        ),
        (
            {"base": {"objective": "simcse_unsup", "guide": "x"}},
            r"base.guide is set, but base.objective simcse_unsup has no guide; remove base.guide\.",
        ),
        ({"base": {"objective": "rank_distillation", "guide": "x.gguf"}}, r"base.guide is 'x.gguf', a GGUF file"),
        ({"base": {"guide": {"x": 0}}}, r"base.guide.x is 0 but must be above 0"),
        ({"base": {"mlm": 0.1}}, r"base.mlm is set, but base.objective is none; set an objective or base.mlm to 0"),
        ({"base": {"guide": 3}}, r"base.guide is 3 but must be"),
        ({"base": {"phi": 1.5}}, r"base.phi is 1.5 but must be at most 1"),
        ({"base": {"sigma": 0}}, r"base.sigma is 0 but must be above 0"),
        ({"base": {"recipe": "none"}}, r"key 'base.recipe' is now called 'base.objective'\."),
        (
            {"base": {"objective": "simcse_sup"}},
            r"base.objective: the value 'simcse_sup' is now called 'contrastive'\.",
        ),
        ({"base": {"objective": "simcse"}}, r"base.objective is 'simcse' but must be one of none, simcse_unsup"),
        (
            {"generate": {"rounds": 1}, "refine": {"development": None}},
            r"refine.development is null, .* list of 3 or more sentences .* but there are only 0 such lists; set",
        ),
        (
            {"seeds": {"count": 9}, "refine": {"development": None}},
            r"is null, .* but there are only 9 such lists; set",
        ),
        (
            {"base": {"model": "x/y.gguf"}},
            r"base.model is 'x/y.gguf', a GGUF file of a language model; give the",
        ),
        (
            {"examples": {"recipe": "import", "file": "a.csv", "columns": {"anchor": "a", "positive": "b"}}}
            | {"base": {"objective": "decayed_contrastive", "guide": "x"}},
            r"base.objective decayed_contrastive needs negatives; name their column in examples.columns",
        ),
        (
            {"examples": {"recipe": "claif", "scorer": "x.gguf"}, "base": {"objective": "cosine"}},
            r"examples.scorer is 'x.gguf', a GGUF file",
        ),
        ({"refine": {"teacher": "y.GGUF"}}, r"refine.teacher is 'y.GGUF', a GGUF file"),
        ({"refine": {"tau": 0}}, r"refine.tau is 0 but must be above 0"),
        ({"evaluate": {"confidence": 1}}, r"evaluate.confidence is 1 but must be below 1"),
        ({"generate": {"rounds": "many"}}, r"generate.rounds is 'many' but must be of type integer"),
        ({"generate": {"rounds": 8.5}}, r"generate.rounds is 8.5 but must be of type integer"),
        ({"generate": {"engine": "magic"}}, r"generate.engine is 'magic' but must be one of transformers, vllm, fake"),
        ({"seeds": None}, r"seeds is None but must be a mapping"),
        ({"seeds": {"sources": []}}, r"seeds.sources must not be empty"),
        ({"seeds": {"sources": [{"source": "x"}]}}, r"seeds.sources.0: the key 'name' is missing"),
        (
            {"seeds": {"sources": [{"name": "a b", "source": "x"}]}},
            r"seeds.sources.0.name: 'a b' may contain only letters",
        ),
        (
            {"seeds": {"sources": [{"name": "a", "source": "x"}, {"name": "a", "source": "y"}]}},
            r"seeds.sources: two sources have the name 'a'",
        ),
        (
            {"seeds": {"sources": [{"name": "a", "source": "written"}, {"name": "b", "source": "written"}]}},
            r"seeds.sources: 'a' and 'b' are both written by the section write; remove one\.",
        ),
        (
            {"seeds": {"sources": [WRITTEN]}, "lists": {"source": "import", "file": "lists.csv"}},
            r"lists.source is import, which needs no seed sentences; remove 'scratch' from seeds.sources\.",
        ),
        (
            {"examples": {"recipe": "syncse_scratch"}, "base": {"objective": "contrastive"}},
            r"examples.recipe is syncse_scratch, but no seed sentences are written; add the line "
            r"`- \{name: scratch, source: written\}` to seeds.sources, or use syncse_partial\.",
        ),
        ({"seeds": {"min_words": 9, "max_words": 8}}, r"seeds.min_words \(9\) is above seeds.max_words \(8\)"),
        ({"seeds": {"require_pattern": "("}}, r"seeds.require_pattern is '\(', which is not a regular expression"),
        (
            {"seeds": {"require_pattern": "a{99999999999}"}},
            r"seeds.require_pattern is 'a\{9*\}', which is not a regular",
        ),
        ({"seeds": {"exclude_pattern": "(" * 500}}, r"seeds.exclude_pattern is '\(*\.\.\., which is not a regular"),
        ({"refine": {"omega": 10**400}}, r"refine.omega is a number of more than 18 digits\."),
        ({"base": {"model": "a\0b"}}, r"base.model is 'a\\x00b', which contains a NUL character\."),
        ({"base": {"prompt": "\ud800"}}, r"base.prompt is '\\ud800', which contains an unpaired surrogate\."),
        ({"seed": datetime.date(2024, 1, 1)}, r"seed is of type date as YAML reads it; put it in quotes\."),
        ({"seeds": {1: 2}}, r"seeds has the key 1, which is not text; put it in quotes\."),
        ({"se\ned": 1}, r"unknown key 'se\\ned'; did you mean"),
        ({"refine": {"experiments": {"base": {}}}}, r"refine.experiments: 'base' is a reserved name; use another one"),
        (
            {"refine": {"experiments": {"a": {"omga": 1}}}},
            r"unknown key 'refine.experiments.a.omga'; did you mean 'omega'",
        ),
        (
            {"refine": {"experiments": {"a": {"omega": -1}}}},
            r"refine.experiments.a.omega is -1 but must be at least 0",
        ),
        (
            {"refine": {"experiments": {"a": {"seeds": []}}}},
            r"experiments.a.seeds: all experiments share this key",
        ),
        (
            {"refine": {"batch_size": 1, "experiments": {"a": {"contrastive": 1}}}},
            r"experiments.a: contrastive .* batch_size to 2",
        ),
        ({"refine": {"experiments": {}}}, r"refine.experiments must not be empty"),
        ({"refine": {"teacher": {"x": 0}}}, r"refine.teacher.x is 0 but must be above 0"),
        ({"refine": {"omega": float("nan")}}, r"refine.omega is not a finite number"),
        ({"seeds": {"near_duplicate_threshold": float("inf")}}, r"near_duplicate_threshold is not a finite number"),
        ({"refine": {"learning_rate": "2e-5"}}, r"refine.learning_rate is '2e-5' but must be .* Write 2.0e-5"),
        ({"evaluate": {"tasks": ["a"]}}, r"evaluate.tasks is \['a'\] but must be a mapping"),
        ({"refine": {"experiments": {"../x": {}}}}, r"refine.experiments: '../x' may contain only letters"),
        ({"evaluate": {"tasks": {"a/b": "stsb"}}}, r"evaluate.tasks: 'a/b' may contain only letters"),
        ({"evaluate": {"tasks": {}}}, r"evaluate.suites and evaluate.tasks are both empty"),
        (
            {"evaluate": {"encoders": [{"name": "refined", "source": "x"}]}},
            "evaluate.encoders: two models have the name 'refined'",
        ),
        ({"evaluate": {"encoders": [{"name": "base", "source": "x"}]}}, "'base' is a reserved name; use another one"),
        ({"evaluate": {"encoders": [{"name": "x"}]}}, "evaluate.encoders.0: the key 'source' is missing"),
        ({"evaluate": {"suites": ["stss"]}}, "evaluate.suites.0 is 'stss' but must be one of sts, reranking"),
        ([1], r"the file is \[1\] but must be a mapping"),
    ],
)
def test_refusals_are_one_sentence_that_names_the_key(changes, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        config.complete(changes, "config.yaml")
    assert str(error.value).startswith("config.yaml: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "There is no configuration file"),
        (b"seed: \xff\xfe", "is not UTF-8 .byte 6.; save it as UTF-8"),
        (b"seed: [1", "is not valid YAML: while parsing a flow sequence"),
        (b"\nseed: 2024-13-45", "is not valid YAML: month must be in 1..12 in line 2, column 7"),
        (b"seed: " + b"9" * 5000, "is not valid YAML: Exceeds the limit"),
        (b"seed: " + b"[" * 5000, "is not valid YAML: "),
        (b"seeds: &a {sources: *a}", "is nested more than 20 levels deep"),
    ],
)
def test_unreadable_files_are_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "mine.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=f"mine.yaml.*{message}|{message}.*mine.yaml"):
        config.load(str(file))


def test_inline_json_is_completed_and_not_cross_checked() -> None:
    """A job gets a part of a configuration, whose conditions with other keys the Snakefile has checked."""
    assert config.load('{"refine": {"omega": 1}}')["refine"]["omega"] == 1.0
    assert config.load('{"lists": {"source": "import"}}')["lists"]["file"] is None
    experiments = config.load('{"refine": {"experiments": {"a": {"omega": 1}}}}')["refine"]["experiments"]
    assert repr(experiments) == "{'a': {'omega': 1.0}}"
    with pytest.raises(UserError, match=r"refine.omega is -1"):
        config.load('{"refine": {"omega": -1}}')


@pytest.mark.parametrize("text", ["{seed: 1}", "{", '{"seed": 1, "seed": 1}', '{"a":' + "[" * 100_000])
def test_broken_inline_json_is_one_sentence(text: str) -> None:
    with pytest.raises(UserError, match=r"^--config is not valid JSON: .+\.$"):
        config.load(text)


@pytest.mark.parametrize("overlay", sorted((ROOT / "workflow" / "config").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_overlays_are_valid(overlay: Path) -> None:
    whole = config.load(str(overlay))
    names = whole["refine"]["experiments"]
    assert len({str(views.experiment(whole, name)) for name in names}) == len(names)  # no two are the same


def test_syncse_scratch_takes_a_written_source_among_others() -> None:
    sections = {"examples": {"recipe": "syncse_scratch"}, "base": {"objective": "contrastive"}}
    config.complete(sections | {"seeds": {"sources": [WRITTEN, {"name": "mine", "source": "notes.txt"}]}})
