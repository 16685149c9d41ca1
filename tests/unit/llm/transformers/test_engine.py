"""The transformers engine on a tiny random model: equal to plain and to guided decoding, in any batch."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from miniature.llm import WORDS
from miniature.llm import build as build_llm

from rankrefine.errors import UserError
from rankrefine.llm.guidance import Sampling
from rankrefine.llm.interface import OutOfMemory, Request
from rankrefine.llm.prompts import Prompt, fold
from rankrefine.llm.tokens import decode, encode, open_tokenizer
from rankrefine.llm.transformers import engine as engine_module
from rankrefine.llm.transformers import free_memory, lm_head, prompt_encoder
from rankrefine.llm.transformers.shared_prefix import longest

GREEDY = Sampling(temperature=0, max_new_tokens=12)
SAMPLED = Sampling(temperature=0.9, plausibility=4.0, max_new_tokens=12)
PROMPT = Prompt(
    "test", "0" * 64, ({"role": "system", "content": "rewrite the one"}, {"role": "user", "content": "{sentence}"})
)
SETTINGS = {"dtype": "float32", "device": "cpu", "token_budget": 65536}
prompt = PROMPT.fill


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return build_llm(tmp_path_factory.mktemp("llm"))


def load(folder: Path, sampling: Sampling, max_running: int = 8, prompts: Sequence[Prompt] = (PROMPT,), **settings):
    return engine_module.load(folder, prompts, sampling, max_running, SETTINGS | settings, 1)


def sentences(count: int) -> list[str]:
    chooser = random.Random(3)
    return [" ".join(chooser.choices(WORDS, k=chooser.randint(1, 9))) for _ in range(count)]


def requests(count: int, scale: float = 1.5) -> list[Request]:
    pairs = zip(sentences(2 * count)[::2], sentences(2 * count)[1::2], strict=True)
    return [Request(i, prompt(a), prompt(b), scale, (1, f"s{i}", 1, 0)) for i, (a, b) in enumerate(pairs)]


def complete(engine, waiting: list[Request]) -> dict[int, tuple[tuple[int, ...], str]]:
    """All completions; a waiting request takes each place that becomes free."""
    waiting, found, running = list(waiting), {}, 0
    while waiting or running:
        while waiting and running < engine.max_running:
            engine.add(waiting.pop(0))
            running += 1
        for completion in engine.step():
            found[completion.id] = (completion.tokens, completion.stop)
            running -= 1
    return found


def reference(folder: Path, request: Request, scale: float, count: int) -> tuple[int, ...]:
    """Greedy tokens of the library's own generate, guided where scale differs from 1."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def encode(messages):
        return tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=True, return_tensors="pt", return_dict=False
        )

    ids = encode(request.prompt)
    guided = {} if scale == 1 else {"guidance_scale": scale, "negative_prompt_ids": encode(request.negative_prompt)}
    out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=count, **guided)
    tokens = out[0, ids.shape[1] :].tolist()
    end = tokenizer.eos_token_id
    return tuple(tokens[: tokens.index(end)] if end in tokens else tokens)


@pytest.mark.parametrize("scale", [1.0, 1.5, 3.0])
def test_greedy_equals_the_librarys_generate(folder: Path, scale: float) -> None:
    some = requests(10, scale)
    found = complete(load(folder, GREEDY), some)
    expected = {request.id: reference(folder, request, scale, 12) for request in some}
    assert {key: tokens for key, (tokens, _) in found.items()} == expected
    assert any(expected.values())


def test_guidance_changes_what_is_chosen(folder: Path) -> None:
    assert complete(load(folder, GREEDY), requests(10, 1.0)) != complete(load(folder, GREEDY), requests(10))


def test_each_request_has_its_own_scale(folder: Path) -> None:
    mixed = [requests(12, scale)[i] for i, scale in enumerate([1.0, 1.5, 3.0] * 4)]
    alike = {scale: complete(load(folder, SAMPLED), requests(12, scale)) for scale in (1.0, 1.5, 3.0)}
    assert complete(load(folder, SAMPLED), mixed) == {r.id: alike[r.guidance_scale][r.id] for r in mixed}


def test_without_a_negative_prompt_it_is_plain_decoding(folder: Path) -> None:
    some = requests(6)
    alone = [replace(r, negative_prompt=None) for r in some]
    same = [replace(r, negative_prompt=r.prompt) for r in some]
    plain = complete(load(folder, GREEDY), requests(6, 1.0))
    assert plain == complete(load(folder, GREEDY), alone) == complete(load(folder, GREEDY), same)


@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_a_request_is_completed_alike_alone_in_any_batch_and_in_any_order(folder: Path, sampling: Sampling) -> None:
    some = requests(13)
    alone = complete(load(folder, sampling, max_running=1), some)
    assert alone == complete(load(folder, sampling, max_running=5), some)
    assert alone == complete(load(folder, sampling, max_running=13), some[::-1])


def test_the_shared_prefix_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = requests(8)
    engine = load(folder, SAMPLED)
    assert engine._cache.prefix_lengths[0] > 5
    monkeypatch.setattr(prompt_encoder, "common_prefix", lambda prompts: [])
    without = load(folder, SAMPLED)
    assert without._cache.prefix_lengths == [0]
    assert complete(engine, some) == complete(without, some)


def test_sparing_the_head_changes_nothing(folder: Path) -> None:
    """The tokens of the negative prompt's logits that are computed alone have the same logits as in all."""
    few = Sampling(temperature=0.9, plausibility=0.4, max_new_tokens=12)  # an eighth of the small vocabulary at most
    engine, whole = load(folder, few), load(folder, few)
    whole._head = None
    spared = []
    of = engine._head.of
    engine._head.of = lambda tokens: spared.append(tokens is not None) or of(tokens)
    some = requests(30, 3.0)
    assert complete(engine, some) == complete(whole, some)
    assert sum(spared) > len(spared) / 2
    tokens = torch.tensor([[3, 1], [0, 3]])
    engine._head._of_thread.rest = torch.randn(2, engine._head.weight.shape[1])
    torch.testing.assert_close(of(tokens), of(None).gather(1, tokens))


def test_a_model_that_scales_its_logits_keeps_its_head(folder: Path) -> None:
    engine = load(folder, GREEDY)
    hidden = torch.randn(1, 1, engine._head.weight.shape[1])
    assert lm_head.find(engine.model, lambda: engine._head(hidden)[0]) is engine._head
    assert lm_head.find(engine.model, lambda: engine._head(hidden)[0] / 8) is None


SHORT = Prompt("short", "1" * 64, ({"role": "user", "content": "{sentence}"},))
PLAIN = Prompt("plain", "2" * 64, "the old man likes one red boat . {sentence} rewrite :")
LONGER = replace(PROMPT, template=(*PROMPT.template[:1], {"role": "user", "content": "rewrite one {sentence}"}))
TEMPLATES = (PROMPT, SHORT, PLAIN, LONGER)


def of_templates(count: int) -> list[Request]:
    """Requests whose prompts, and negative prompts, are of different templates, in all combinations."""
    texts = sentences(2 * count)
    chosen = [
        (TEMPLATES[i % 4].fill(texts[2 * i]), TEMPLATES[i // 4 % 4].fill(texts[2 * i + 1])) for i in range(count)
    ]
    return [Request(i, *pair, 1.5, (1, f"s{i}", 1, 0)) for i, pair in enumerate(chosen)]


def test_each_template_has_a_shared_prefix_and_a_prompt_takes_the_longest_that_fits(folder: Path) -> None:
    engine = load(folder, GREEDY, prompts=(*TEMPLATES, PROMPT))
    heads = engine._encoder.prefixes
    assert len(heads) == len(set(map(tuple, heads))) == 4  # equal ones are computed once
    assert [len(head) for head in heads] == engine._cache.prefix_lengths
    for template in TEMPLATES:
        tokens = encode(engine.tokenizer, template.fill("cat sees a dog"))
        fitting = [head for head in heads if tokens[: len(head)] == head]
        encoded = engine._encoder.encode(template.fill("cat sees a dog"), 9)
        assert heads[encoded.prefix] == max(fitting, key=len)
        assert heads[encoded.prefix] + list(encoded.tail) == tokens
    assert heads[0][: len(heads[1])] == heads[1], "no template begins with another one: no longest match was tested"


@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_templates_in_one_batch_give_the_tokens_of_each_alone(
    folder: Path, sampling: Sampling, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = of_templates(48)
    engine = load(folder, sampling, max_running=9, prompts=TEMPLATES)
    together = complete(engine, some)
    engine.reset(4)
    assert together == complete(engine, some[::-1])
    for i, template in enumerate(TEMPLATES):
        own = [request for request in some if request.id % 16 == 5 * i]  # both prompts are of this template
        alone = complete(load(folder, sampling, max_running=1, prompts=[template]), own)
        assert len(alone) == 3
        assert alone == {request.id: together[request.id] for request in own}
    monkeypatch.setattr(prompt_encoder, "common_prefix", lambda prompts: [])
    assert together == complete(load(folder, sampling, max_running=9, prompts=TEMPLATES), some)


def test_contrast_between_two_templates_equals_two_plain_forward_passes(folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    engine = load(folder, GREEDY, max_running=5, prompts=TEMPLATES)
    some = of_templates(16)
    found = complete(engine, some)
    changed = 0
    for request in some:
        prompts = [encode(engine.tokenizer, text) for text in (request.prompt, request.negative_prompt)]
        tokens: list[int] = []
        while len(tokens) < 12:
            with torch.inference_mode():
                logits, negative = (model(torch.tensor([[*ids, *tokens]])).logits[0, -1] for ids in prompts)
            best = int(torch.lerp(negative, logits, request.guidance_scale).argmax())
            changed += best != int(logits.argmax())
            if best in engine._stops:
                break
            tokens.append(best)
        assert found[request.id][0] == tuple(tokens)
    assert changed > 10, "guidance changed nothing, so the test is meaningless"


def test_kept_prompts_of_several_templates_change_nothing(folder: Path) -> None:
    """The tails of two prompts are equal where their prefixes differ; neither may be taken for the other."""
    first, second = (Prompt(name, "3" * 64, f"{name} {{sentence}} rewrite :") for name in ("the old", "one red"))
    engine, fresh = (load(folder, SAMPLED, max_running=2, prompts=(first, second)) for _ in range(2))
    assert len(engine._encoder.prefixes) == 2
    for i, text in enumerate(sentences(6)):
        assert engine._encoder.encode(first.fill(text), 9).tail == engine._encoder.encode(second.fill(text), 9).tail
        for j, pair in enumerate([(first, second), (second, first), (first, None), (second, None)]):
            prompts = [template and template.fill(text) for template in pair]
            request = Request(i, *prompts, 1.5, (1, i, j))
            fresh.reset(1)
            assert complete(engine, [request]) == complete(fresh, [request])


def test_one_template_needs_no_copies(folder: Path) -> None:
    """Nor do several, in a step whose rows are all of one."""
    for templates in ((PROMPT,), TEMPLATES):
        engine = load(folder, GREEDY, prompts=templates)
        groups = []
        for request in requests(4):
            engine.add(request)
        with pytest.MonkeyPatch.context() as patch:
            packed = engine_module.shared_prefix.Packed
            patch.setattr(packed, "__post_init__", _recording(packed.__post_init__, groups))
            engine.step()
        ((_, rows),) = groups[0]
        assert rows is None


def _recording(prepare, groups: list):
    def recording(self) -> None:
        prepare(self)
        groups.append(self.groups)

    return recording


def test_a_newline_ends_the_text_of_requests_of_one_line_alone(folder: Path, tmp_path: Path) -> None:
    with_newlines = shutil.copytree(folder, tmp_path / "llm")
    file = with_newlines / "tokenizer.json"
    tokenizer = json.loads(file.read_text(encoding="utf-8"))
    words = tokenizer["model"]["vocab"]
    for word in ("cat", "dog", "the", "red", "boat", "never", "under"):
        words[f"{word}\n"] = words.pop(word)
    file.write_text(json.dumps(tokenizer), encoding="utf-8")
    engine = load(with_newlines, SAMPLED, max_running=5)
    lines, texts = (
        complete(engine, [replace(r, one_line=one_line) for r in requests(24)]) for one_line in (True, False)
    )
    newlines = engine._newlines
    assert len(newlines) == 7
    assert {stop for _, stop in lines.values()} >= {"newline", "length"}
    assert "newline" not in {stop for _, stop in texts.values()}
    assert not any(newlines & set(tokens) for tokens, _ in lines.values())
    for i, (tokens, stop) in lines.items():
        longer, _ = texts[i]
        assert longer[: len(tokens)] == tokens
        assert stop != "newline" or longer[len(tokens)] in newlines
    mixed = complete(engine, [replace(r, one_line=bool(r.id % 2)) for r in requests(24)])
    assert mixed == {i: (lines if i % 2 else texts)[i] for i in mixed}


def test_kept_prompts_change_nothing(folder: Path) -> None:
    """A chain's second request finds its negative prompt in the cache, a retried one both; fresh engines find none."""
    texts = sentences(20)
    engine, fresh = load(folder, SAMPLED, max_running=4), load(folder, SAMPLED, max_running=1)
    for i in range(0, 16):
        for attempt in (0, 1):
            request = Request(i, prompt(texts[i + 1]), prompt(texts[i]), 1.5, (1, i, 2, attempt))
            fresh.reset()
            assert complete(engine, [request]) == complete(fresh, [request])


def test_long_prompts_make_room_without_losing_what_is_stored(folder: Path) -> None:
    some = requests(4)
    long = Request(99, prompt(" ".join(WORDS * 2)), prompt("cat sees a dog"), 1.5, (1, "long", 1, 0))
    engine = load(folder, SAMPLED, max_running=5)
    for request in some:
        engine.add(request)
    found = {c.id: (c.tokens, c.stop) for c in engine.step()}
    engine.add(long)
    while engine._running:
        found |= {c.id: (c.tokens, c.stop) for c in engine.step()}
    assert found == complete(load(folder, SAMPLED, max_running=1), [*some, long])


def test_control_tokens_in_a_sentence_are_text(folder: Path) -> None:
    engine = load(folder, SAMPLED)
    plain, injected = (encode(engine.tokenizer, prompt(text)) for text in ("cat", "cat </s> dog"))
    assert injected.count(engine.tokenizer.eos_token_id) == plain.count(engine.tokenizer.eos_token_id)


def test_a_prompt_beyond_the_context_is_refused(folder: Path) -> None:
    engine = load(folder, SAMPLED)
    with pytest.raises(
        UserError, match=r"has \d+ tokens; with generate.max_new_tokens \(12\) it exceeds .* context of 256 tokens"
    ):
        engine.add(Request(0, prompt(" ".join(WORDS * 8)), None, 1.5, (1,)))


def test_a_token_budget_limits_the_requests_and_refuses_what_can_never_fit(folder: Path) -> None:
    assert load(folder, SAMPLED, max_running=8, token_budget=500).max_running == 4  # of 2 * (2 * 12 + 32) tokens
    engine = load(folder, SAMPLED, max_running=2, token_budget=180)
    with pytest.raises(
        UserError,
        match=r"and its negative prompt need \d+ tokens of keys .* but generate.token_budget is 180; raise it",
    ):
        engine.add(Request(0, prompt(" ".join(WORDS * 3)), None, 1.5, (1,)))
    engine = load(folder, SAMPLED, max_running=2, token_budget=240)
    with pytest.raises(OutOfMemory, match=r"token_budget \(240\) is too small for 2 concurrent requests"):
        engine.add(Request(0, prompt(" ".join(WORDS * 2)), None, 1.5, (1,)))
    engine.reset(1)
    engine.add(Request(0, prompt(" ".join(WORDS * 2)), None, 1.5, (1,)))


def test_a_reset_forgets_everything(folder: Path) -> None:
    some = requests(9)
    engine = load(folder, SAMPLED, max_running=3)
    first = complete(engine, some)
    engine.add(some[0])
    engine.step()
    engine.reset()
    assert complete(engine, some) == first
    assert engine.max_running == 3


def test_full_memory_is_an_error_before_it_kills(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = load(folder, SAMPLED)
    engine.add(requests(1)[0])
    monkeypatch.setattr("rankrefine.llm.transformers.free_memory.available", lambda: 10_000)
    with pytest.raises(OutOfMemory, match=r"exceed the 0\.0 GB of free memory"):
        engine.step()


@pytest.mark.parametrize(
    ("message", "full"),
    [
        ("[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried", True),
        ("could not create a primitive", True),
        ("could not create a primitive descriptor for the matmul primitive", False),
        ("mat1 and mat2 shapes cannot be multiplied", False),
    ],
)
def test_errors_of_full_memory_are_told_from_others(message: str, full: bool) -> None:
    expected = (OutOfMemory, "memory is full") if full else (RuntimeError, message)
    with pytest.raises(expected[0], match=expected[1]), free_memory.raising_out_of_memory():
        raise RuntimeError(message)


def test_a_missing_gpu_is_an_error(folder: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match=r"generate\.device is cuda, but torch finds no CUDA GPU"):
        load(folder, SAMPLED, device="cuda")


def test_folders_that_hold_no_chat_model_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be loaded as a causal language model"):
        load(tmp_path, SAMPLED)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    bare = tmp_path / "bare"
    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(bare)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(bare)
    with pytest.raises(UserError, match=r"has no chat template, but the prompt is a chat; use an instruction-tuned"):
        load(bare, SAMPLED)


def test_a_model_without_a_system_role_gets_the_system_message_in_the_user_message(
    folder: Path, tmp_path: Path
) -> None:
    """The tokens are those of the library for that chat, and the record says so."""
    shutil.copytree(folder, tmp_path / "llm")
    tokenizer = open_tokenizer(folder)
    refusal = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    tokenizer.chat_template = refusal + tokenizer.chat_template
    tokenizer.save_pretrained(tmp_path / "llm")
    engine, unchanged = load(tmp_path / "llm", GREEDY), load(folder, GREEDY)
    some = requests(6)
    chats = [replace(r, prompt=fold(r.prompt), negative_prompt=fold(r.negative_prompt)) for r in some]
    expected = {request.id: reference(folder, request, 1.5, 12) for request in chats}
    assert {key: tokens for key, (tokens, _) in complete(engine, some).items()} == expected
    assert complete(unchanged, some) != complete(engine, some)
    assert engine.describe() == unchanged.describe() | {"system_message": "in the next user message"}


def test_the_dates_of_chat_templates_stand_still(folder: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "{{ strftime_now('%d %b %Y') }} " + tokenizer.chat_template
    tokenizer.save_pretrained(tmp_path)
    found = open_tokenizer(tmp_path).apply_chat_template([{"role": "user", "content": "cat"}], tokenize=False)
    assert found.startswith("26 Jul 2024 ")
    assert "{%" not in found


def test_a_token_that_ends_a_sentence_and_the_line_keeps_the_sentences_end() -> None:
    class Tokenizer:
        def decode(self, tokens: list[int], **_: object) -> str:
            return "".join({1: "A cat", 2: ".\n\n", 3: "\n"}[token] for token in tokens)

    assert decode(Tokenizer(), (1,), 2) == "A cat."
    assert decode(Tokenizer(), (1,), 3) == decode(Tokenizer(), (1,), None) == "A cat"


def test_a_window_of_attention_limits_prompts_like_a_context(folder: Path) -> None:
    engine = load(folder, SAMPLED)
    config = engine.model.config
    assert longest(engine.model) == config.max_position_embeddings
    config.sliding_window, config.layer_types = 60, ["sliding_attention", "full_attention"]
    assert longest(engine.model) == 60
    config.layer_types = ["full_attention"] * 2
    assert longest(engine.model) == config.max_position_embeddings


@pytest.mark.parametrize("controller", free_memory.CONTROLLERS, ids=["version 2", "version 1"])
@pytest.mark.parametrize("cached", [0, 500])
def test_files_in_the_kernels_cache_do_not_count_as_used(tmp_path: Path, cached: int, controller: tuple) -> None:
    _, _, *names = controller
    limit, used, prefix = names
    (tmp_path / limit).write_text("1000\n")
    (tmp_path / used).write_text("900\n")
    (tmp_path / "memory.stat").write_text(f"anon 400\n{prefix}inactive_file {cached}\n{prefix}active_file 0\n")
    assert free_memory.free_in_group(tmp_path, *names) == [100 + cached]
    (tmp_path / limit).write_text("max\n")
    assert free_memory.free_in_group(tmp_path, *names) == []
    assert free_memory.free_in_group(tmp_path / "none", *names) == []


def test_engines_that_share_a_model_run_at_the_same_time(folder: Path) -> None:
    """In threads of their own, and with the results of one engine."""
    engine = engine_module.load(folder, (PROMPT,), SAMPLED, 8, SETTINGS, 4)
    assert engine.split(1) == [engine]
    parts = engine.split(3)  # 3 does not divide the threads
    assert len(parts) == 2
    assert [part.describe()["threads"] for part in parts] == [4, 4]
    assert [part.token_budget for part in parts] == [32768, 32768]
    some = [requests(30)[::2], requests(30)[1::2]]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(complete, parts, some))
    assert found[0] | found[1] == complete(load(folder, SAMPLED), requests(30))


def test_an_engine_splits_no_further_than_there_is_room_for(folder: Path) -> None:
    few = engine_module.FEWEST * 2 * (2 * SAMPLED.max_new_tokens + 32)  # tokens of as many requests
    for budget, count in ((few, 1), (2 * few, 2), (3 * few, 2), (4 * few, 4)):
        engine = engine_module.load(folder, (PROMPT,), SAMPLED, 8, SETTINGS | {"token_budget": budget}, 4)
        assert len(engine.split(9)) == count


def test_positions_that_change_with_the_sequence_are_not_shared(folder: Path, tmp_path: Path) -> None:
    changing = shutil.copytree(folder, tmp_path / "llm")
    config = json.loads((changing / "config.json").read_text())
    config["rope_parameters"] = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    (changing / "config.json").write_text(json.dumps(config))
    engine = engine_module.load(changing, (PROMPT,), SAMPLED, 8, SETTINGS, 4)
    assert engine.split(2) == [engine]
