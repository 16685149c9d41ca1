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
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from rankrefine.errors import UserError
from rankrefine.generate.engines import shared_prefix
from rankrefine.generate.engines.base import Completion, Messages, Request, Sampling, Stop
from rankrefine.generate.guidance import choose, draws, guided_logits

log = logging.getLogger(__name__)


def load(
    folder: Path, sampling: Sampling, seats: int, dtype: str, threads: int | None, probes: list[Messages]
) -> TransformersEngine:
    """Open the model in `folder` and make an engine of it.

    Args:
        probes: a few prompts of different sentences; what they begin with alike is the shared prefix.

    Raises:
        UserError: the folder holds no language model, or one that cannot be used here.
    """
    if threads:
        torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=_dtype(dtype, device), local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"generate.model: {folder} does not open as a causal language model: {reason}") from error
    if tokenizer.chat_template is None:
        raise UserError(f"generate.model: {folder} has no chat template; take an instruction-tuned model.")
    model = model.to(device).eval()
    shared_prefix.install(model)
    return TransformersEngine(model, tokenizer, sampling, seats, probes)


def _dtype(name: str, device: torch.device) -> torch.dtype:
    """The named torch dtype; "auto" is bfloat16 where the device computes in it."""
    if name != "auto":
        return getattr(torch, name)
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() and _has_bf16_units() else torch.float32


def _has_bf16_units() -> bool:
    # without AVX512-BF16 or AMX, bfloat16 is emulated and slower than float32
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


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


class TransformersEngine:
    """See the module. `seats` requests run together, each with up to two prompts."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        sampling: Sampling,
        seats: int,
        probes: list[Messages],
    ) -> None:
        self.model, self.tokenizer, self.sampling, self.seats = model, tokenizer, sampling, seats
        self._running: list[_Running] = []
        self._stops = _stop_tokens(model, tokenizer)
        self._newlines = _newline_tokens(tokenizer)
        self._prefix = _common_prefix([self._encode(probe) for probe in probes])
        self._free = list(range(2 * seats))
        self._kept: OrderedDict[tuple[int, ...], int] = (
            OrderedDict()
        )  # prompt -> idle slot that holds it, oldest first
        self._cache = shared_prefix.Cache(2 * seats, self._compute_prefix())

    def describe(self) -> dict[str, Any]:
        """Device, dtype and threads of the model."""
        return {
            "device": torch.cuda.get_device_name() if self.model.device.type == "cuda" else "cpu",
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "threads": torch.get_num_threads(),
        }

    def add(self, request: Request) -> None:
        """Take in a request.

        Raises:
            UserError: its prompt and completion do not fit the model's context.
        """
        prompts = [self._tail(messages) for messages in (request.positive, request.negative) if messages is not None]
        if len(set(prompts)) == 1:
            prompts = prompts[:1]  # equal prompts cancel: the guided distribution is the plain one
        self._make_room(max(map(len, prompts)))
        kept = [self._kept.pop(prompt, None) for prompt in prompts]  # both, before either evicts the other
        rows = [self._seat(prompt, slot) for prompt, slot in zip(prompts, kept, strict=True)]
        self._running.append(_Running(request, draws(self.sampling.max_new_tokens, *request.key), rows))

    @torch.inference_mode()
    def step(self) -> list[Completion]:
        """One token for every running request."""
        rows = [row for running in self._running for row in running.rows]
        logits = self._forward(rows)
        paired = torch.tensor([len(running.rows) == 2 for running in self._running])
        first = torch.tensor([len(running.rows) for running in self._running]).cumsum(0) - 1 - paired.long()
        positive = logits[first]
        negative = logits[first + paired.long()]  # of a request without a negative prompt: itself, which cancels
        scores = guided_logits(positive, negative, self.sampling.guidance_scale, self.sampling.plausibility)
        uniforms = torch.tensor([running.uniforms[len(running.tokens)] for running in self._running])
        chosen = choose(scores, self.sampling.temperature, uniforms.to(scores.device)).tolist()
        ended = []
        for running, token in zip(self._running, chosen, strict=True):
            if stop := self._advance(running, token):
                ended.append((running, stop))
        if ended:
            over = {id(running) for running, _ in ended}
            self._running = [running for running in self._running if id(running) not in over]
            self._retire([running for running, _ in ended])
        return [self._completion(running, stop) for running, stop in ended]

    def _advance(self, running: _Running, token: int) -> Stop | None:
        if token in self._stops:
            return "end"
        if token in self._newlines:
            return "newline"
        running.tokens.append(token)
        for row in running.rows:
            row.feed = (token,)
        return "length" if len(running.tokens) == self.sampling.max_new_tokens else None

    def _completion(self, running: _Running, stop: Stop) -> Completion:
        text = self.tokenizer.decode(running.tokens, skip_special_tokens=True)
        return Completion(running.request.id, text, tuple(running.tokens), stop)

    def _forward(self, rows: list[_Row]) -> torch.Tensor:
        """Feed every row its tokens and return the logits after its last one, [rows, vocabulary]."""
        order = sorted(range(len(rows)), key=lambda i: len(rows[i].feed) > 1)  # stable: decoding rows first
        ordered = [rows[i] for i in order]
        device = self.model.device
        tokens = torch.tensor([token for row in ordered for token in row.feed], device=device)
        lengths = torch.tensor([len(row.feed) for row in ordered])
        starts = torch.tensor([row.length for row in ordered])
        last = lengths.cumsum(0) - 1
        offsets = torch.arange(len(tokens)) - (last + 1 - lengths).repeat_interleave(lengths)
        positions = (starts.repeat_interleave(lengths) + offsets).to(device)
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
            logits_to_keep=last.to(device),
            packed=packed,
        ).logits[0]
        for row in rows:
            row.length += len(row.feed)
        back = torch.empty(len(order), dtype=torch.long)
        back[torch.tensor(order)] = torch.arange(len(order))
        return logits[back.to(device)]

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

    def _tail(self, messages: Messages) -> tuple[int, ...]:
        """Token ids of a prompt after the shared prefix."""
        tokens = self._encode(messages)
        if tokens[: len(self._prefix)] != self._prefix:
            raise UserError(
                f"This model's tokenizer merges the beginning of '{messages[-1]['content'][-60:]}' with the prompt "
                "template; put a line break before {sentence} in the template of generate.prompt."
            )
        return tuple(tokens[len(self._prefix) :])

    def _encode(self, messages: Messages) -> list[int]:
        try:  # what looks like a control token in a sentence is encoded as the text that it is
            return self.tokenizer.apply_chat_template(
                list(messages), add_generation_prompt=True, return_dict=False, sanitize_control_tokens=True
            )
        except ValueError as error:
            raise UserError(f"The prompt for '{messages[-1]['content'][-60:]}' cannot be encoded: {error}.") from error

    def _make_room(self, prompt: int) -> None:
        needed = prompt + self.sampling.max_new_tokens
        limit = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        if limit is not None and len(self._prefix) + needed > limit:
            raise UserError(
                f"A prompt of {len(self._prefix) + prompt} tokens and generate.max_new_tokens "
                f"({self.sampling.max_new_tokens}) exceed the language model's context of {limit} tokens."
            )
        if needed > self._cache.capacity:
            self._cache.reserve(-(-needed // 32) * 32, self.model)

    @torch.inference_mode()
    def _compute_prefix(self) -> list[tuple[torch.Tensor, torch.Tensor]] | None:
        if not self._prefix:
            return None
        self._cache = shared_prefix.Cache(1)
        self._cache.reserve(len(self._prefix), self.model)
        self._forward([_Row(0, (), 0, tuple(self._prefix))])
        return self._cache.as_prefix(0, len(self._prefix))


def _pad_prompts(lengths: torch.Tensor, first: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices (M, L) of prompts of the given lengths [M] that lie one after another from token `first` on."""
    if not len(lengths):
        return torch.empty(0, 0, dtype=torch.long), lengths
    starts = first + lengths.cumsum(0) - lengths
    steps = torch.arange(int(lengths.max()))
    return starts[:, None] + torch.minimum(steps[None, :], lengths[:, None] - 1), lengths


def _common_prefix(prompts: list[list[int]]) -> list[int]:
    """What all prompts begin with, less two tokens: some other sentence might merge with what stands before it."""
    shared = -2
    for tokens in zip(*prompts, strict=False):
        if len(set(tokens)) > 1:
            break
        shared += 1
    return prompts[0][: max(shared, 0)]


def _stop_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    ends = model.generation_config.eos_token_id
    return {tokenizer.eos_token_id} | set(ends if isinstance(ends, list) else [ends]) - {None}


def _newline_tokens(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    texts = tokenizer.batch_decode([[token] for token in range(len(tokenizer))])
    return {token for token, text in enumerate(texts) if "\n" in text}
