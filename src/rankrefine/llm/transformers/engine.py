"""Guided decoding on transformers: both prompts of every request in one packed forward pass.

Each request takes one slot of the key/value cache per prompt. When it ends, its slots keep their prompts until
somebody else needs the room: the positive prompt of one round is the negative prompt of the next, so the next request
of the chain finds its negative prompt already computed (and a redrawn one finds both).
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rankrefine.errors import UserError, reason
from rankrefine.llm.guidance import Sampling, choose, draws, near_ties
from rankrefine.llm.interface import Completion, OutOfMemory, Request, Stop, Text
from rankrefine.llm.prompts import Prompt
from rankrefine.llm.tokens import beginnings, common_prefix, decode, encode, ending, newline_tokens, stop_tokens
from rankrefine.llm.transformers import free_memory as memory
from rankrefine.llm.transformers import packed_linear, shared_prefix
from rankrefine.llm.transformers.open_model import open_model

log = logging.getLogger(__name__)

ROOM = 16  # capacity grows by so many tokens


def load(
    folder: Path, prompt: Prompt, sampling: Sampling, chains: int, settings: dict[str, Any], threads: int | None
) -> TransformersEngine:
    """Open the model in `folder` and make an engine of it; see `base`.

    Raises:
        UserError: the folder holds no language model, or one that cannot be used here; no GPU where one is asked for.
    """
    model, tokenizer = open_model(folder, settings["device"], settings["dtype"], threads)
    shared_prefix.install(model)
    if model.device.type == "cpu" and model.dtype == torch.bfloat16:
        packed_linear.pack(model)
    head = common_prefix([encode(tokenizer, prompt.fill(text)) for text in beginnings(tokenizer)])
    try:
        return TransformersEngine(model, tokenizer, sampling, chains, settings["token_budget"], head)
    except OutOfMemory as error:
        raise UserError(f"There is not enough memory for the prompt template alone ({error}).") from error
    except (RuntimeError, TypeError) as error:  # in the first forward pass
        kind = model.config.model_type
        raise UserError(f"generate.model: this engine does not run a {kind}: {reason(error)}") from error


@dataclass
class _Row:
    """One prompt that is being continued: its cache slot and the tokens that the model has yet to see."""

    slot: int
    prompt: tuple[int, ...]
    length: int  # tokens of the sequence whose keys are stored
    feed: tuple[int, ...]


@dataclass
class _Running:
    """A request under way; `rows` are its positive and, unless it decodes plainly, its negative prompt."""

    request: Request
    uniforms: np.ndarray
    rows: list[_Row]
    tokens: list[int] = field(default_factory=list)
    near_ties: int = 0


class TransformersEngine:
    """See the module. `seats` requests run together, each with up to two prompts.

    Args:
        token_budget: tokens whose keys and values are held at once; a request that does not fit beside the others
            raises `OutOfMemory`.
        head: the tokens that all prompts begin with, whatever their sentence.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        sampling: Sampling,
        chains: int,
        token_budget: int,
        head: list[int],
    ) -> None:
        self.model, self.tokenizer, self.sampling, self.token_budget = model, tokenizer, sampling, token_budget
        self._stops = stop_tokens(tokenizer, model.generation_config.eos_token_id)
        self._newlines = newline_tokens(tokenizer)
        self._head = head
        self._prefix = self._compute_prefix()
        usual = 2 * sampling.max_new_tokens + 32  # a rewrite as the prompt, the next one after it
        self.reset(max(1, min(chains, token_budget // (2 * usual))))

    def describe(self) -> dict[str, Any]:
        """Device, dtype, threads, and the seats that the token budget gave."""
        return {
            "device": torch.cuda.get_device_name() if self.model.device.type == "cuda" else "cpu",
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "threads": torch.get_num_threads(),
            "seats": self.seats,
        }

    def reset(self, seats: int | None = None) -> None:
        """Forget everything but the shared prefix, and run `seats` requests together from now on."""
        self.seats = seats or self.seats
        self._running: list[_Running] = []
        self._free = list(range(2 * self.seats))
        self._kept: OrderedDict[tuple[int, ...], int] = OrderedDict()  # prompt -> idle slot with it, oldest first
        self._tails: OrderedDict[object, tuple[int, ...]] = OrderedDict()  # prompts encoded, oldest first
        self._cache = shared_prefix.Cache(self.model, 2 * self.seats, self._prefix)

    def add(self, request: Request) -> None:
        """Take in a request.

        Raises:
            UserError: its prompt and completion do not fit the model's context or the token budget.
            OutOfMemory: they do, but not beside the other requests.
        """
        prompts = [self._tail(text) for text in (request.positive, request.negative) if text is not None]
        if len(set(prompts)) == 1:
            prompts = prompts[:1]  # equal prompts cancel: the guided distribution is the plain one
        self._check_length(max(map(len, prompts)), request)
        kept = [self._kept.pop(prompt, None) for prompt in prompts]  # both, before either evicts the other
        rows = [self._seat(prompt, slot) for prompt, slot in zip(prompts, kept, strict=True)]
        self._running.append(_Running(request, draws(self.sampling.max_new_tokens, *request.key), rows))

    @torch.inference_mode()
    def step(self) -> list[Completion]:
        """One token for every running request."""
        # plain requests, then guided ones: the logits of each kind lie together and are never copied
        self._running.sort(key=lambda running: len(running.rows))
        with memory.told():
            chosen = self._choose(self._forward([running.rows[0] for running in self._running] + self._negatives()))
        ended = []
        for running, token in zip(self._running, chosen, strict=True):
            if stop := self._advance(running, token):
                ended.append((running, stop, token))
        if ended:
            over = {id(running) for running, *_ in ended}
            self._running = [running for running in self._running if id(running) not in over]
            self._retire([running for running, *_ in ended])
        return [self._completion(running, stop, token) for running, stop, token in ended]

    def _negatives(self) -> list[_Row]:
        return [running.rows[1] for running in self._running if len(running.rows) == 2]

    def _choose(self, logits: torch.Tensor) -> list[int]:
        """The next token of every running request, from the logits of all positive and then all negative prompts."""
        count, guided = len(self._running), len(logits) - len(self._running)
        scales = torch.tensor([running.request.guidance_scale for running in self._running], device=logits.device)
        uniforms = torch.tensor(
            [running.uniforms[len(running.tokens)] for running in self._running], device=logits.device
        )
        chosen: list[int] = []
        for part, negative in ((slice(0, count - guided), None), (slice(count - guided, count), logits[count:])):
            if part.start == part.stop:
                continue
            arguments = (logits[part], negative, scales[part], self.sampling, uniforms[part])
            chosen += choose(*arguments).tolist()
            if logits.dtype == torch.float32:
                for running, near in zip(self._running[part], near_ties(*arguments).tolist(), strict=True):
                    running.near_ties += near
        return chosen

    def _advance(self, running: _Running, token: int) -> Stop | None:
        if token in self._stops:
            return "end"
        if token in self._newlines:
            return "newline"
        running.tokens.append(token)
        for row in running.rows:
            row.feed = (token,)
        return "length" if len(running.tokens) == self.sampling.max_new_tokens else None

    def _completion(self, running: _Running, stop: Stop, last: int) -> Completion:
        text = decode(self.tokenizer, running.tokens, last if stop == "newline" else None)
        return Completion(running.request.id, text, tuple(running.tokens), stop, running.near_ties)

    def _forward(self, rows: list[_Row]) -> torch.Tensor:
        """Feed every row its tokens and return the logits after its last one, [rows, vocabulary]."""
        order = sorted(range(len(rows)), key=lambda i: len(rows[i].feed) > 1)  # stable: decoding rows first
        ordered = [rows[i] for i in order]
        device = self.model.device
        tokens = torch.tensor([token for row in ordered for token in row.feed], device=device)
        lengths = torch.tensor([len(row.feed) for row in ordered])
        starts = torch.tensor([row.length for row in ordered])
        last = lengths.cumsum(0) - 1
        back = torch.empty(len(order), dtype=torch.long)
        back[torch.tensor(order)] = torch.arange(len(order))
        offsets = torch.arange(len(tokens)) - (last + 1 - lengths).repeat_interleave(lengths)
        positions = (starts.repeat_interleave(lengths) + offsets).to(device)
        self._reserve(int((starts + lengths).max()))
        slots = torch.tensor([row.slot for row in ordered]).repeat_interleave(lengths).to(device)
        decoding = sum(len(row.feed) == 1 for row in ordered)
        prompts, prompt_lengths = _pad_prompts(lengths[decoding:], decoding)
        packed = shared_prefix.Packed(
            self._cache, slots, positions, decoding, prompts.to(device), prompt_lengths.to(device)
        )
        logits = self.model(
            input_ids=tokens[None],
            position_ids=(positions + self._cache.prefix_length)[None],
            use_cache=False,
            logits_to_keep=last[back].to(device),
            packed=packed,
        ).logits[0]
        for row in rows:
            row.length += len(row.feed)
        return logits

    def _reserve(self, length: int) -> None:
        """Make room for sequences of `length` tokens: no more than is used, since attention reads all of it."""
        if length > self._cache.capacity:
            capacity = -(-length // ROOM) * ROOM
            memory.check(self._cache.bytes(capacity - self._cache.capacity), self.model.device)
            self._cache.reserve(capacity)

    def _seat(self, prompt: tuple[int, ...], kept: int | None) -> _Row:
        """A row for `prompt`, in the slot that still holds it or in a free one."""
        if kept is not None:  # all but the last token are stored; feeding the last yields its logits
            return _Row(kept, prompt, len(prompt) - 1, prompt[-1:])
        slot = self._free.pop() if self._free else self._kept.popitem(last=False)[1]
        return _Row(slot, prompt, 0, prompt)

    def _retire(self, ended: list[_Running]) -> None:
        """Keep the prompts of ended requests; the negative ones, of use to a redraw only, are given up first."""
        for place in (1, 0):
            for row in (running.rows[place] for running in ended if len(running.rows) > place):
                if row.prompt in self._kept:
                    self._free.append(row.slot)
                else:
                    self._kept[row.prompt] = row.slot

    def _tail(self, text: Text) -> tuple[int, ...]:
        """Token ids of a prompt after the shared prefix. A positive prompt comes again, as the next negative one."""
        key = text if isinstance(text, str) else tuple(message["content"] for message in text)
        if (tail := self._tails.pop(key, None)) is None:
            tail = self._encode(text)
        self._tails[key] = tail
        if len(self._tails) > 4 * self.seats:
            self._tails.popitem(last=False)
        return tail

    def _encode(self, text: Text) -> tuple[int, ...]:
        tokens = encode(self.tokenizer, text)
        if tokens[: len(self._head)] != self._head:
            raise UserError(
                f"This model's tokenizer merges the beginning of '{ending(text)}' with the prompt template; put a "
                "line break before {sentence} in the template of generate.prompt."
            )
        return tuple(tokens[len(self._head) :])

    def _check_length(self, prompt: int, request: Request) -> None:
        needed = prompt + self.sampling.max_new_tokens
        limit = shared_prefix.longest(self.model)
        if limit is not None and len(self._head) + needed > limit:
            raise UserError(
                f"The prompt for '{ending(request.positive)}' has {len(self._head) + prompt} tokens; with "
                f"generate.max_new_tokens ({self.sampling.max_new_tokens}) it exceeds the language model's context of "
                f"{limit} tokens."
            )
        if 2 * needed > self.token_budget:
            raise UserError(
                f"The prompt for '{ending(request.positive)}' needs {2 * needed} tokens of keys and values, with its "
                f"negative prompt, but generate.token_budget is {self.token_budget}; raise it."
            )
        if self.seats > 1 and 2 * self.seats * needed > self.token_budget:
            raise OutOfMemory(f"generate.token_budget ({self.token_budget}) does not do for {self.seats} chains")

    @torch.inference_mode()
    def _compute_prefix(self) -> list[tuple[torch.Tensor, torch.Tensor]] | None:
        if not self._head:
            return None
        self._cache = shared_prefix.Cache(self.model, 1)
        with memory.told():
            self._forward([_Row(0, (), 0, tuple(self._head))])
        return self._cache.as_prefix(0, len(self._head))


def _pad_prompts(lengths: torch.Tensor, first: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices (M, L) of prompts of the given lengths [M] that lie one after another from token `first` on."""
    if not len(lengths):
        return torch.empty(0, 0, dtype=torch.long), lengths
    starts = first + lengths.cumsum(0) - lengths
    steps = torch.arange(int(lengths.max()))
    return starts[:, None] + torch.minimum(steps[None, :], lengths[:, None] - 1), lengths
