"""A made-up batch through the logits processors of both model runners of the installed vLLM. Prints "alike"."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import LogitsProcessor as FirstInterface
from vllm.v1.sample.logits_processor import MoveDirectionality
from vllm.v1.sample.logits_processor.state import BatchUpdateBuilder
from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcRequestState
from vllm.v1.worker.gpu.sample.logits_processor import LogitsProcessor as SecondInterface

from rankrefine.llm.guidance import Sampling
from rankrefine.llm.vllm import runner_v1 as v1
from rankrefine.llm.vllm import runner_v2 as v2
from rankrefine.llm.vllm.pairs import describe

SAMPLED = Sampling(temperature=0.9, plausibility=4.0, max_new_tokens=8)
WORDS = 50
# pair, role, prompt length, tokens emitted; the last pair is out of step, one row belongs to none
BATCH = [
    ("1", "prompt", 5, [7, 8]),
    ("2", "negative", 9, []),
    (None, None, 4, [1]),
    ("3", "alone", 6, [3]),
    ("1", "negative", 8, [7, 8]),
    ("2", "prompt", 3, []),
    ("4", "prompt", 3, [5, 6]),
    ("4", "negative", 7, [5]),
]


def params(pair: str | None, role: str | None) -> SamplingParams:
    """Sampling parameters as written by the engine."""
    if pair is None:
        return SamplingParams(temperature=0)
    mark = 1 if role == "negative" else 0
    return SamplingParams(temperature=0, extra_args=describe(pair, role, 1.5, SAMPLED, mark, ("key", pair)))


def first(logits: torch.Tensor) -> torch.Tensor:
    """Logits after the V1 runner's processor: every request is added, then the first two change places."""
    processor = v1.GuidedPairs(None, logits.device, False)
    builder = BatchUpdateBuilder()
    order = [1, 0, *range(2, len(BATCH))]
    for place, index in enumerate(order):
        pair, role, length, tokens = BATCH[index]
        v1.GuidedPairs.validate_params(params(pair, role))
        builder.added.append((place, params(pair, role), [0] * length, tokens))
    builder.moved.append((0, 1, MoveDirectionality.SWAP))
    processor.update_state(builder.get_and_reset(len(BATCH)))
    return processor.apply(logits.clone())


def second(logits: torch.Tensor) -> torch.Tensor:
    """Logits after Model Runner V2's processor: requests have slots, and rows are in another order than slots."""
    count = len(BATCH)
    slots = np.array([(3 * place + 1) % count for place in range(count)])
    lengths = SimpleNamespace(np=np.zeros(count, dtype=np.int32))
    state = LogitsProcRequestState(
        logits.device, count, WORDS, all_token_ids=None, prompt_len=lengths, prefill_len=None, total_len=None
    )
    processor = v2.GuidedPairs(SimpleNamespace(speculative_config=None), state)
    for slot in range(count):  # earlier occupants
        processor.add_request(slot, params("old", "prompt"))
    for slot, (pair, role, length, _) in zip(slots.tolist(), BATCH, strict=True):
        lengths.np[slot] = length
        assert processor.add_request(slot, params(pair, role)) == (pair is not None)
    processor.apply_staged_writes()
    mapping = torch.tensor(slots)
    fed = torch.tensor([tokens[-1] if tokens else 40 + place for place, (*_, tokens) in enumerate(BATCH)])
    seen = np.array([length + len(tokens) for _, _, length, tokens in BATCH] + [0])  # a longer buffer than the batch
    positions = torch.tensor(seen[:-1] - 1)
    context = LogitsContext(mapping, mapping, slots, torch.zeros(count), fed, positions, seen)
    return processor.apply(logits.clone(), context)


if __name__ == "__main__":
    assert issubclass(v1.GuidedPairs, FirstInterface)
    assert issubclass(v2.GuidedPairs, SecondInterface)
    before = torch.randn(len(BATCH), WORDS, generator=torch.Generator().manual_seed(3)) * 3
    one, two = first(before), second(before)
    assert torch.equal(one, two)
    assert torch.equal(one[2], before[2])
    tokens = one.argmax(-1).tolist()
    assert tokens[0] == tokens[4]
    assert tokens[1] == tokens[5]
    assert tokens[6:] == [0, 1]
    print("alike")
