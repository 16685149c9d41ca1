"""An offline vLLM engine for pairs of prompts, whose rows stay in step because of the way they are admitted.

The scheduler runs in this process and receives a pair only when all resources that both rows will ever need are free:
two sequences, room for both whole prompts in the next step, and keys and values up to their last token. So both rows
are scheduled in every step, and nothing is preempted. If a pair falls out of step nevertheless, `pairs` detects it,
and the pair is run again.
"""

import os
from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from rankrefine.llm.guidance import Sampling
from rankrefine.llm.vllm.pairs import describe

Prompt = str | Sequence[dict[str, str]] | Sequence[int]  # text, chat messages, or token ids

STEP_TOKENS = 8192  # tokens of one step, unless the caller sets max_num_batched_tokens
TRIES = 4  # of a pair that falls out of step


class OutOfStep(RuntimeError):
    """A pair fell out of step at every try: something else uses its memory or aborts its requests."""


@dataclass(frozen=True)
class Guided:
    """A guided completion."""

    id: Hashable  # as passed to `add`; with `generate`, the index of the prompt
    text: str
    tokens: tuple[int, ...]  # without the one that ended the completion
    stop: int | None  # the token that ended it; None if it reached `max_new_tokens`
    redone: int  # number of times that the pair was run again


@dataclass
class _Pair:
    """A completion that waits or runs."""

    id: Hashable
    prompts: tuple[tuple[int, ...], ...]  # one or two
    scale: float
    sampling: Sampling
    key: tuple[object, ...]
    stops: tuple[int, ...]
    room: int  # tokens of keys and values, in whole blocks
    requests: tuple[str, ...] = ()  # names of the vLLM requests that run it, one per prompt
    redone: int = 0


class GuidedLLM:
    """Guided completions with a model in vLLM.

    Its attribute `llm`, the `vllm.LLM`, can serve requests without guidance while no pairs are running.

    Args:
        model: folder or hub id.
        pairs: maximum number of completions that run at the same time.
        options: keyword arguments of `vllm.LLM`.
    """

    def __init__(self, model: str, pairs: int = 64, **options: Any) -> None:
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # else the scheduler could see only one row of a pair
        from vllm import LLM

        options = {"max_num_batched_tokens": max(STEP_TOKENS, 8 * pairs)} | options
        options |= {"max_num_seqs": 2 * pairs, "enable_prefix_caching": True, "async_scheduling": False}
        processors = [_processor(model, options), *options.pop("logits_processors", [])]
        self.llm = LLM(model, logits_processors=processors, **options)
        self._engine = self.llm.llm_engine
        self._tokenizer = self.llm.get_tokenizer()
        config = self._engine.vllm_config
        self.pairs, self.max_length = pairs, config.model_config.max_model_len
        self._block = config.cache_config.block_size
        self._step_tokens = config.scheduler_config.max_num_batched_tokens
        self.capacity = (config.cache_config.num_gpu_blocks - 1) * self._block  # vLLM reserves one block
        self._waiting: deque[_Pair] = deque()
        self._running: list[_Pair] = []
        self._requests = 0

    def generate(
        self,
        prompts: Sequence[Prompt],
        negative_prompts: Sequence[Prompt | None],
        guidance_scale: float = 1.5,
        sampling: Sampling | None = None,
        seed: int = 0,
    ) -> list[Guided]:
        """Complete each prompt, guided away from its negative prompt; return the completions in the same order.

        Args:
            negative_prompts: one per prompt; None decodes without guidance.
            sampling: default: greedy.
            seed: of the random draws, which depend on it and on the prompt's index, but not on the batch.
        """
        sampling = sampling or Sampling()
        completed: dict[Hashable, Guided] = {}
        try:
            for index, pair in enumerate(zip(prompts, negative_prompts, strict=True)):
                tokens = [self.encode(prompt) if prompt is not None else None for prompt in pair]
                self.add(index, *tokens, guidance_scale, sampling, (seed, index), self.ends())
            while self._waiting or self._running:
                completed |= {guided.id: guided for guided in self.step()}
        except BaseException:  # also an interrupt: the next call must not return leftovers
            self._forget()
            raise
        return [completed[index] for index in range(len(prompts))]

    def encode(self, prompt: Prompt) -> list[int]:
        """Return the token ids of a prompt; chat messages are formatted with the model's chat template."""
        if isinstance(prompt, str):
            return self._tokenizer.encode(prompt)
        if prompt and isinstance(prompt[0], dict):
            return self._tokenizer.apply_chat_template(list(prompt), add_generation_prompt=True, return_dict=False)
        return list(prompt)

    def ends(self) -> tuple[int, ...]:
        """Return the end-of-text tokens of the model."""
        ends = self._engine.model_config.try_get_generation_config().get("eos_token_id")
        ends = ends if isinstance(ends, list) else [ends]
        return tuple(sorted({self._tokenizer.eos_token_id, *ends} - {None}))

    def add(
        self,
        id: Hashable,
        prompt: Sequence[int],
        negative_prompt: Sequence[int] | None,
        scale: float,
        sampling: Sampling,
        key: tuple[object, ...],
        stops: Iterable[int],
    ) -> None:
        """Add a completion; it waits until there is room for it.

        Args:
            prompt, negative_prompt: token ids; without a negative prompt, or with an equal one, decoding is plain.
            scale: see `guidance.guided_logits`.
            key: seed of the random draws, see `guidance.draws`.
            stops: tokens that end the completion.

        Raises:
            ValueError: it exceeds the room of an empty engine.
        """
        prompts = tuple(dict.fromkeys(tuple(ids) for ids in (prompt, negative_prompt) if ids is not None))
        longest = max(map(len, prompts)) + sampling.max_new_tokens
        if longest > self.max_length:
            raise ValueError(f"{longest} tokens of prompt and completion exceed max_model_len ({self.max_length})")
        fed = sum(map(len, prompts))
        if fed > self._step_tokens:
            raise ValueError(f"{fed} tokens of prompts exceed max_num_batched_tokens ({self._step_tokens})")
        room = sum(-(-(len(prompt) + sampling.max_new_tokens) // self._block) * self._block for prompt in prompts)
        if room > self.capacity:
            raise ValueError(f"{room} tokens of keys and values exceed the capacity of {self.capacity}")
        self._waiting.append(_Pair(id, prompts, scale, sampling, key, tuple(sorted(stops)), room))

    def step(self) -> list[Guided]:
        """Admit the completions that there is room for, add one token to each, and return those that ended.

        Raises:
            OutOfStep: a pair cannot be kept in step.
        """
        self._admit()
        outputs = {output.request_id: output.outputs[0] for output in self._engine.step() if output.finished}
        idle = not self._engine.has_unfinished_requests()
        ended, out_of_step, running = [], [], []
        for pair in self._running:
            rows = [outputs.get(request) for request in pair.requests]
            if not any(rows) and not idle:
                running.append(pair)
            elif all(rows) and len({tuple(row.token_ids) for row in rows}) == 1:
                ended.append(self._guided(pair, rows[0].token_ids))
            else:  # only one row ended, they differ, or both have disappeared
                out_of_step.append(pair)
        self._running = running
        for pair in out_of_step:
            self._engine.abort_request(list(pair.requests))
            pair.redone += 1
            if pair.redone == TRIES:
                raise OutOfStep(f"The rows of completion {pair.id!r} fell out of step {TRIES} times.")
            self._waiting.appendleft(pair)
        return ended

    def score(self, prompts: Sequence[Sequence[int]], tokens: Sequence[Sequence[int]]) -> list[list[float]]:
        """Return for each prompt the log-probabilities of its `tokens` as the next one, before any logits processor.

        Raises:
            ValueError: a prompt exceeds the room of an empty engine.
        """
        from vllm import SamplingParams
        from vllm.inputs import tokens_input

        if (longest := max(map(len, prompts), default=0)) >= self.max_length:
            raise ValueError(f"{longest} tokens and the next one exceed max_model_len ({self.max_length})")
        params = [SamplingParams(max_tokens=1, logprob_token_ids=list(ids), detokenize=False) for ids in tokens]
        outputs = self.llm.generate([tokens_input(list(ids)) for ids in prompts], params, use_tqdm=False)
        chances = [output.outputs[0].logprobs[0] for output in outputs]
        return [[chance[token].logprob for token in ids] for chance, ids in zip(chances, tokens, strict=True)]

    def reset(self) -> None:
        """Forget all unfinished completions, and the keys and values of earlier prompts."""
        self._forget()
        self._engine.reset_prefix_cache()

    def _forget(self) -> None:
        self._engine.abort_request([request for pair in self._running for request in pair.requests])
        self._running, self._waiting = [], deque()

    def _admit(self) -> None:
        """Start the completions at the head of the queue for which everything is free."""
        running = sum(len(pair.prompts) for pair in self._running)
        sequences = 2 * self.pairs - running
        step_tokens = self._step_tokens - running  # each running row takes one
        room = self.capacity - sum(pair.room for pair in self._running)
        while self._waiting:
            pair = self._waiting[0]
            sequences -= len(pair.prompts)
            step_tokens -= sum(map(len, pair.prompts))
            room -= pair.room
            if sequences < 0 or step_tokens < 0 or room < 0:
                break
            self._start(self._waiting.popleft())

    def _start(self, pair: _Pair) -> None:
        from vllm import SamplingParams
        from vllm.inputs import tokens_input
        from vllm.sampling_params import RequestOutputKind

        self._requests += 1
        name = str(self._requests)
        roles = ("prompt", "negative") if len(pair.prompts) == 2 else ("alone",)
        marks = (*pair.stops, *({0, 1} - set(pair.stops)))  # a row out of step should end, if possible
        for role, mark, prompt in zip(roles, marks, pair.prompts, strict=False):
            params = SamplingParams(
                temperature=0,
                max_tokens=pair.sampling.max_new_tokens,
                stop_token_ids=list(pair.stops),
                ignore_eos=True,  # it is one of the stops, if it should end the text
                detokenize=False,
                output_kind=RequestOutputKind.FINAL_ONLY,
                extra_args=describe(name, role, pair.scale, pair.sampling, mark, pair.key),
            )
            self._engine.add_request(f"{name} {role}", tokens_input(list(prompt)), params)
        pair.requests = tuple(f"{name} {role}" for role in roles)
        self._running.append(pair)

    def _guided(self, pair: _Pair, tokens: Sequence[int]) -> Guided:
        stop = tokens[-1] if tokens[-1] in pair.stops else None
        kept = tuple(tokens if stop is None else tokens[:-1])
        return Guided(pair.id, self._tokenizer.decode(kept, skip_special_tokens=True), kept, stop, pair.redone)


def _processor(model: str, options: dict[str, Any]) -> type:
    """Return the logits processor for the model runner that vLLM will use."""
    from vllm.engine.arg_utils import EngineArgs

    known = {field.name for field in fields(EngineArgs)} - {"logits_processors"}
    given = {name: value for name, value in options.items() if name in known}
    if EngineArgs(model=model, **given).create_engine_config().use_v2_model_runner:
        from rankrefine.llm.vllm.runner_v2 import GuidedPairs
    else:
        from rankrefine.llm.vllm.runner_v1 import GuidedPairs
    return GuidedPairs
