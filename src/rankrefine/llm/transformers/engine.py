"""Guided decoding on transformers: both prompts of every request in one packed forward pass.

Each request takes one slot of the key/value cache per prompt. When it ends, its slots keep their prompts until another
request needs the slot: in a chain of requests the prompt of one is the negative prompt of the next, which is then
already computed (for a retry both prompts are).
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rankrefine.errors import UserError, reason
from rankrefine.llm.guidance import NOT_FINITE, Sampling, choose, draws, near_ties
from rankrefine.llm.interface import Completion, OutOfMemory, Request, Stop, Text
from rankrefine.llm.prompts import Prompt
from rankrefine.llm.tokens import (
    FOLDED,
    beginnings,
    common_prefix,
    decode,
    encode,
    ending,
    folds_system,
    label_tokens,
    newline_tokens,
    stop_tokens,
)
from rankrefine.llm.transformers import free_memory, packed_linear, shared_prefix
from rankrefine.llm.transformers.open_model import open_model
from rankrefine.llm.transformers.packed_forward import Encoded, Row, capacity, forward


def load(
    folder: Path,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    max_running: int,
    settings: dict[str, Any],
    threads: int | None,
) -> "TransformersEngine":
    """Open the model in `folder` and return an engine with it; see `interface`.

    Raises:
        UserError: the folder contains no language model, or one that cannot be used here; no GPU for device cuda.
    """
    model, tokenizer = open_model(folder, settings["device"], settings["dtype"], threads)
    shared_prefix.install(model)
    if model.device.type == "cpu" and model.dtype == torch.bfloat16:
        packed_linear.pack(model)
    folds, probes = folds_system(tokenizer, prompts), beginnings(tokenizer)
    heads = [common_prefix([encode(tokenizer, prompt.fill(text), folds) for text in probes]) for prompt in prompts]
    try:
        return TransformersEngine(model, tokenizer, sampling, max_running, settings["token_budget"], heads, folds)
    except OutOfMemory as error:
        raise UserError(f"Out of memory with the prompt template alone ({error}).") from error
    except (RuntimeError, TypeError) as error:  # in the first forward pass
        kind = model.config.model_type
        raise UserError(f"generate.model: this engine does not support {kind} models: {reason(error)}.") from error


@dataclass
class _Running:
    """A running request."""

    request: Request
    uniforms: np.ndarray
    rows: list[Row]  # its prompt and, unless it runs without guidance, its negative prompt
    tokens: list[int] = field(default_factory=list)
    near_ties: int = 0


class TransformersEngine:
    """Runs `max_running` requests at the same time, each with up to two prompts. See the module.

    Args:
        token_budget: maximum number of tokens whose keys and values are stored at the same time; a request that does
            not fit beside the others raises `OutOfMemory`.
        heads: for each prompt template, the tokens that its prompts begin with, whatever the sentence.
        folds: system messages become parts of user messages.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        sampling: Sampling,
        max_running: int,
        token_budget: int,
        heads: Sequence[list[int]],
        folds: bool = False,
    ) -> None:
        self.folds = folds
        self.model, self.tokenizer, self.sampling, self.token_budget = model, tokenizer, sampling, token_budget
        self._stops = stop_tokens(tokenizer, model.generation_config.eos_token_id)
        self._newlines = newline_tokens(tokenizer)
        distinct = map(list, dict.fromkeys(map(tuple, heads)))
        self._heads = sorted(distinct, key=len, reverse=True)  # the first match is the longest one
        self._prefixes = [self._compute_prefix(head) for head in self._heads]
        usual = 2 * sampling.max_new_tokens + 32  # tokens of a rewrite as the prompt, and of the next one after it
        self.reset(max(1, min(max_running, token_budget // (2 * usual))))

    def describe(self) -> dict[str, Any]:
        """Return device, dtype, threads, the number of requests that the token budget allows, and any folding."""
        return {
            "device": torch.cuda.get_device_name() if self.model.device.type == "cuda" else "cpu",
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "threads": torch.get_num_threads(),
            "max_running": self.max_running,
            **(FOLDED if self.folds else {}),
        }

    def reset(self, max_running: int | None = None) -> None:
        """Forget everything but the shared prefixes; run at most `max_running` requests at the same time."""
        self.max_running = max_running or self.max_running
        self._running: list[_Running] = []
        self._free = list(range(2 * self.max_running))
        self._kept: OrderedDict[Encoded, int] = OrderedDict()  # idle slots that store a prompt, oldest first
        self._encoded: OrderedDict[object, Encoded] = OrderedDict()  # oldest first
        self._cache = shared_prefix.Cache(self.model, 2 * self.max_running, self._prefixes)

    def add(self, request: Request) -> None:
        """Add a request.

        Raises:
            UserError: its prompt and completion exceed the model's context or the token budget.
            OutOfMemory: they fit alone, but not beside the other requests.
        """
        prompts = [self._encode(text) for text in (request.prompt, request.negative_prompt) if text is not None]
        if len(set(prompts)) == 1:
            prompts = prompts[:1]  # equal prompts cancel: the guided distribution is the plain one
        self._check_length(prompts, request)
        kept = [self._kept.pop(prompt, None) for prompt in prompts]  # both, before either evicts the other
        rows = [self._row(prompt, slot) for prompt, slot in zip(prompts, kept, strict=True)]
        self._running.append(_Running(request, draws(self.sampling.max_new_tokens, *request.key), rows))

    @torch.inference_mode()
    def step(self) -> list[Completion]:
        """Add one token to every running request; return the completed ones."""
        # plain requests, then guided ones: the logits of each kind are contiguous and never copied
        self._running.sort(key=lambda running: len(running.rows))
        negatives = [running.rows[1] for running in self._running if len(running.rows) == 2]
        with free_memory.raising_out_of_memory():
            rows = [running.rows[0] for running in self._running] + negatives
            chosen = self._choose(forward(self.model, rows, self._cache))
        ended, still_running = [], []
        for running, token in zip(self._running, chosen, strict=True):
            if stop := self._advance(running, token):
                ended.append((running, stop, token))
            else:
                still_running.append(running)
        self._running = still_running
        self._retire([running for running, *_ in ended])
        return [self._completion(running, stop, token) for running, stop, token in ended]

    @torch.inference_mode()
    def score(self, prompts: Sequence[Text], labels: Sequence[str]) -> np.ndarray:
        """Return log-probabilities of the labels, float32 [prompts, labels]; see `interface`.

        The keys and values of running requests are not touched. A prompt of no template has no shared prefix.
        """
        tokens = torch.tensor(label_tokens(self.tokenizer, prompts, labels, self.folds), device=self.model.device)
        encoded = [self._to_score(text) for text in prompts]
        scores = np.empty((len(prompts), len(labels)), dtype=np.float32)
        for places in self._batches([len(prompt.tail) for prompt in encoded]):
            rows = [Row(slot, encoded[i], 0, encoded[i].tail) for slot, i in enumerate(places)]
            with free_memory.raising_out_of_memory():
                cache = shared_prefix.Cache(self.model, len(rows), [*self._prefixes, []])
                logits = forward(self.model, rows, cache).float()
                if not logits.amax(-1).isfinite().all():
                    raise UserError(NOT_FINITE)
                scores[places] = logits.log_softmax(-1).gather(1, tokens[places]).cpu()
        return scores

    def _to_score(self, text: Text) -> Encoded:
        """Encode a prompt that is not continued."""
        tokens = encode(self.tokenizer, text, self.folds)
        prompt = self._match(tokens) or Encoded(len(self._heads), tuple(tokens))
        limit = shared_prefix.longest(self.model)
        if limit is not None and len(tokens) > limit:
            raise UserError(
                f"The prompt for '{ending(text)}' has {len(tokens)} tokens, more than the language model's context of "
                f"{limit} tokens; shorten it."
            )
        if len(prompt.tail) > self.token_budget:
            raise UserError(
                f"The prompt for '{ending(text)}' needs {len(prompt.tail)} tokens of keys and values, but "
                f"generate.token_budget is {self.token_budget}; raise it."
            )
        return prompt

    def _batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Divide prompts into forward passes within the token budget, by length: a pass takes room for its longest."""
        order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
        while order:
            most = min(2 * self.max_running, max(1, self.token_budget // capacity(lengths[order[0]])))
            yield order[:most]
            del order[:most]

    def _choose(self, logits: torch.Tensor) -> list[int]:
        """Choose the next token of every running request, from the logits of all prompts, then of negative ones."""
        all_running, device = self._running, logits.device
        count, guided = len(all_running), len(logits) - len(all_running)
        scales = torch.tensor([running.request.guidance_scale for running in all_running], device=device)
        uniforms = torch.tensor([running.uniforms[len(running.tokens)] for running in all_running], device=device)
        chosen: list[int] = []
        for part, negative in ((slice(0, count - guided), None), (slice(count - guided, count), logits[count:])):
            if part.start == part.stop:
                continue
            arguments = (logits[part], negative, scales[part], self.sampling, uniforms[part])
            chosen += choose(*arguments).tolist()
            if logits.dtype == torch.float32:
                for running, near in zip(all_running[part], near_ties(*arguments).tolist(), strict=True):
                    running.near_ties += near
        return chosen

    def _advance(self, running: _Running, token: int) -> Stop | None:
        """Add a token to a request; return what ended the request, or None."""
        if token in self._stops:
            return "end"
        if running.request.one_line and token in self._newlines:
            return "newline"
        running.tokens.append(token)
        for row in running.rows:
            row.feed = (token,)
        return "length" if len(running.tokens) == self.sampling.max_new_tokens else None

    def _completion(self, running: _Running, stop: Stop, last: int) -> Completion:
        text = decode(self.tokenizer, running.tokens, last if stop == "newline" else None)
        return Completion(running.request.id, text, tuple(running.tokens), stop, running.near_ties)

    def _row(self, prompt: Encoded, kept: int | None) -> Row:
        """Return a row for `prompt`, in the slot `kept` that still stores it, or in a free one."""
        if kept is not None:  # all but the last token are stored; feeding the last gives its logits
            return Row(kept, prompt, len(prompt.tail) - 1, prompt.tail[-1:])
        slot = self._free.pop() if self._free else self._kept.popitem(last=False)[1]
        return Row(slot, prompt, 0, prompt.tail)

    def _retire(self, ended: list[_Running]) -> None:
        """Keep the prompts of ended requests. Negative prompts are evicted first: only a retry could use them."""
        for place in (1, 0):
            for row in (running.rows[place] for running in ended if len(running.rows) > place):
                if row.prompt in self._kept:
                    self._free.append(row.slot)
                else:
                    self._kept[row.prompt] = row.slot

    def _encode(self, text: Text) -> Encoded:
        """Encode a prompt. Recent ones are cached: a prompt comes again as the next negative prompt."""
        key = text if isinstance(text, str) else tuple((message["role"], message["content"]) for message in text)
        if (prompt := self._encoded.pop(key, None)) is None:
            prompt = self._match(encode(self.tokenizer, text, self.folds))
        if prompt is None:
            raise UserError(
                f"This model's tokenizer merges the beginning of '{ending(text)}' with the prompt template; put a "
                "line break before {sentence} in the template."
            )
        self._encoded[key] = prompt
        if len(self._encoded) > 4 * self.max_running:
            self._encoded.popitem(last=False)
        return prompt

    def _match(self, tokens: list[int]) -> Encoded | None:
        """Divide a prompt into the longest shared prefix that it begins with and the tokens after it."""
        for prefix, head in enumerate(self._heads):
            if len(tokens) > len(head) and tokens[: len(head)] == head:
                return Encoded(prefix, tuple(tokens[len(head) :]))
        return None

    def _check_length(self, prompts: list[Encoded], request: Request) -> None:
        new = self.sampling.max_new_tokens
        whole = max(self._cache.prefix_lengths[prompt.prefix] + len(prompt.tail) for prompt in prompts)
        limit = shared_prefix.longest(self.model)
        if limit is not None and whole + new > limit:
            raise UserError(
                f"The prompt for '{ending(request.prompt)}' has {whole} tokens; with generate.max_new_tokens ({new}) "
                f"it exceeds the language model's context of {limit} tokens."
            )
        needed = max(len(prompt.tail) for prompt in prompts) + new
        if 2 * needed > self.token_budget:
            raise UserError(
                f"The prompt for '{ending(request.prompt)}' and its negative prompt need {2 * needed} tokens of keys "
                f"and values, but generate.token_budget is {self.token_budget}; raise it."
            )
        if self.max_running > 1 and 2 * self.max_running * needed > self.token_budget:
            raise OutOfMemory(
                f"generate.token_budget ({self.token_budget}) is too small for {self.max_running} concurrent requests"
            )

    @torch.inference_mode()
    def _compute_prefix(self, head: list[int]) -> shared_prefix.Prefix:
        if not head:
            return []
        cache = shared_prefix.Cache(self.model, 1)
        with free_memory.raising_out_of_memory():
            forward(self.model, [Row(0, Encoded(0, ()), 0, tuple(head))], cache)
        return cache.as_prefix(0, len(head))
