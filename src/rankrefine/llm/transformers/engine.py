"""Guided decoding on transformers: both prompts of every request in one packed forward pass.

Each request takes one slot of the key/value cache per prompt. When it ends, its slots keep their prompts until another
request needs the slot: in a chain of requests the prompt of one is the negative prompt of the next, which is then
already computed (for a retry both prompts are).
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from rankrefine.errors import UserError, reason
from rankrefine.llm.guidance import NEAR, Sampling, draws, near_ties, pick, select, tokens_of
from rankrefine.llm.interface import Completion, OutOfMemory, Request, Stop, Text
from rankrefine.llm.prompts import Prompt
from rankrefine.llm.tokens import FOLDED, decode, ending, newline_tokens, stop_tokens
from rankrefine.llm.transformers import free_memory, label_scores, lm_head, packed_linear, shared_prefix
from rankrefine.llm.transformers.open_model import open_model
from rankrefine.llm.transformers.packed_forward import Row, forward
from rankrefine.llm.transformers.prompt_encoder import Encoded, PromptEncoder

FEWEST = 64  # requests that an engine should run at the same time


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
    lm_head.install(model)
    if model.device.type == "cpu":
        packed_linear.pack(model)
    encoder = PromptEncoder(tokenizer, prompts)
    try:
        return TransformersEngine(model, encoder, sampling, max_running, settings["token_budget"])
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
    """

    def __init__(
        self,
        model: PreTrainedModel,
        encoder: PromptEncoder,
        sampling: Sampling,
        max_running: int,
        token_budget: int,
    ) -> None:
        self.model, self.tokenizer, self.sampling, self.token_budget = model, encoder.tokenizer, sampling, token_budget
        self._stops = stop_tokens(self.tokenizer, model.generation_config.eos_token_id)
        self._newlines = newline_tokens(self.tokenizer)
        self._encoder = encoder
        self._prefixes = [self._compute_prefix(tokens) for tokens in encoder.prefixes]
        with torch.inference_mode():
            one = Row(0, Encoded(0, ()), 0, (0,))
            self._head = lm_head.find(model, lambda: forward(model, [one], shared_prefix.Cache(model, 1)))
        self.threads, self.workers = torch.get_num_threads(), 1
        self.reset(min(max_running, self._seats()))

    def _seats(self) -> int:
        """Requests that usually fit into the token budget at the same time."""
        usual = 2 * self.sampling.max_new_tokens + 32  # of a rewrite as the prompt, and of the next one after it
        return max(1, self.token_budget // (2 * usual))

    def describe(self) -> dict[str, Any]:
        """Return device, dtype, threads, the number of requests that the token budget allows, and any folding."""
        return {
            "device": torch.cuda.get_device_name() if self.model.device.type == "cuda" else "cpu",
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "threads": self.threads * self.workers,
            "workers": self.workers,
            "max_running": self.max_running,
            **(FOLDED if self._encoder.folds else {}),
        }

    def split(self, count: int) -> list["TransformersEngine"]:
        """Return engines that share the model, and its threads and token budget in equal parts; see `interface`.

        On a processor a step has many small parts that one thread does as fast as several.
        """
        if self.model.device.type != "cpu" or _has_changing_positions(self.model):
            return [self]
        most = min(count, self.threads, max(1, self._seats() // FEWEST))
        count = max(number for number in range(1, most + 1) if self.threads % number == 0)
        return [self._part(count) for _ in range(count)] if count > 1 else [self]

    def _part(self, count: int) -> "TransformersEngine":
        part = copy(self)
        part._encoder = deepcopy(self._encoder)  # tokenizers are not made for several threads
        part.tokenizer = part._encoder.tokenizer
        part.workers, part.threads, part.token_budget = count, self.threads // count, self.token_budget // count
        part.reset(min(self.max_running, part._seats()))
        return part

    def reset(self, max_running: int | None = None) -> None:
        """Forget everything but the shared prefixes; run at most `max_running` requests at the same time."""
        self.max_running = max_running or self.max_running
        self._running: list[_Running] = []
        self._free = list(range(2 * self.max_running))
        self._kept: OrderedDict[Encoded, int] = OrderedDict()  # idle slots that store a prompt, oldest first
        self._encoder.forget()
        self._cache = shared_prefix.Cache(self.model, 2 * self.max_running, self._prefixes)

    def add(self, request: Request) -> None:
        """Add a request.

        Raises:
            UserError: its prompt and completion exceed the model's context or the token budget.
            OutOfMemory: they fit alone, but not beside the other requests.
        """
        texts = [text for text in (request.prompt, request.negative_prompt) if text is not None]
        prompts = [self._encoder.encode(text, recent=4 * self.max_running) for text in texts]
        if len(set(prompts)) == 1:
            prompts = prompts[:1]  # equal prompts cancel: the guided distribution is the plain one
        self._check_length(prompts, request)
        kept = [self._kept.pop(prompt, None) for prompt in prompts]  # both, before either evicts the other
        rows = [self._row(prompt, slot) for prompt, slot in zip(prompts, kept, strict=True)]
        self._running.append(_Running(request, draws(self.sampling.max_new_tokens, *request.key), rows))

    @torch.inference_mode()
    def step(self) -> list[Completion]:
        """Add one token to every running request; return the completed ones."""
        if torch.get_num_threads() != self.threads:  # it is a setting of each thread
            torch.set_num_threads(self.threads)
        # plain requests, then guided ones: the logits of each kind are contiguous and never copied
        self._running.sort(key=lambda running: len(running.rows))
        negatives = [running.rows[1] for running in self._running if len(running.rows) == 2]
        count = len(self._running)
        with free_memory.raising_out_of_memory():
            rows = [running.rows[0] for running in self._running] + negatives
            logits = forward(self.model, rows, self._cache, self._head, count)
            chosen = self._choose(logits[:count], self._head.of if self._head else logits[count:], len(negatives))
        ended, still_running = [], []
        for running, token in zip(self._running, chosen, strict=True):
            if stop := self._advance(running, token):
                ended.append((running, stop, token))
            else:
                still_running.append(running)
        self._running = still_running
        self._retire([running for running, *_ in ended])
        return [self._completion(running, stop, token) for running, stop, token in ended]

    def score(self, prompts: Sequence[Text], labels: Sequence[str]) -> np.ndarray:
        """Return log-probabilities of the labels; see `interface`. Running requests are not touched."""
        most = 2 * self.max_running
        return label_scores.score(self.model, self._encoder, self._prefixes, prompts, labels, most, self.token_budget)

    def _choose(
        self, logits: torch.Tensor, negative: torch.Tensor | Callable[[torch.Tensor | None], torch.Tensor], guided: int
    ) -> list[int]:
        """Choose the next token of every running request; the last `guided` ones have logits of a negative prompt."""
        all_running, device = self._running, logits.device
        plain = len(all_running) - guided
        scales = torch.tensor([running.request.guidance_scale for running in all_running], device=device)
        uniforms = torch.tensor([running.uniforms[len(running.tokens)] for running in all_running], device=device)
        exact, sampling = logits.dtype == torch.float32, self.sampling
        chosen: list[int] = []
        for part, other in ((slice(0, plain), None), (slice(plain, None), negative)):
            if not all_running[part]:
                continue
            few = select(logits[part], other, sampling.plausibility, NEAR if exact else 0.0)
            arguments = (few, scales[part], sampling, uniforms[part])
            chosen += tokens_of(few, pick(*arguments)).tolist()
            if exact:
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
    def _compute_prefix(self, tokens: list[int]) -> shared_prefix.Prefix:
        if not tokens:
            return []
        cache = shared_prefix.Cache(self.model, 1)
        with free_memory.raising_out_of_memory():
            forward(self.model, [Row(0, Encoded(0, ()), 0, tuple(tokens))], cache)
        return cache.as_prefix(0, len(tokens))


def _has_changing_positions(model: PreTrainedModel) -> bool:
    """Return True if the model's rotary positions change with the longest sequence: engines must not share them."""
    kinds = [getattr(module, "rope_type", None) for module in model.modules()]
    names = {name for kind in kinds if kind for name in (kind.values() if isinstance(kind, dict) else [kind])}
    return any("dynamic" in name or name == "longrope" for name in names)
