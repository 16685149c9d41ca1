"""The chain logic, written once above all engines: rounds, quality checks, re-draws.

A chain x0, x1, …, xN starts at a seed sentence; in round i the language model rewrites x[i-1] and is steered away
from what it would have made of x[i-2] (He et al. 2025; docs/method.md). Rounds of one chain follow each other, chains
are independent: as soon as a chain ends, the next seed takes its seat.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from rankrefine.errors import UserError
from rankrefine.llm.interface import Completion, Engine, Request
from rankrefine.llm.prompts import Prompt
from rankrefine.text.rewrite_rules import Limits, clean, problem


@dataclass(frozen=True)
class Plan:
    """What every chain does.

    Attributes:
        prompt: what asks for a rewrite.
        rounds: rewrites per chain.
        guidance: guidance scale per round; the last one holds for the rounds after it.
        redraws: how often a stuck rewrite is drawn again. Greedy decoding would only repeat itself: 0 there.
        limits: what makes a rewrite stuck, besides a repeat.
        seed: the run's seed.
    """

    prompt: Prompt
    rounds: int
    guidance: tuple[float, ...]
    redraws: int
    limits: Limits
    seed: int


@dataclass
class Chain:
    """One ranking list in the making.

    Attributes:
        row: place of the seed sentence in the shard.
        sentences: the seed sentence and the accepted rewrites.
        status: "running", "complete", or why the last rewrite was refused for good.
        refused: rewrites that were refused, by reason.
        stops: completions by what ended them.
        near_ties, redone: sums over the completions, see `Completion`.
    """

    row: int
    seed_id: str
    sentences: list[str]
    status: str = "running"
    attempt: int = 0
    redraws: int = 0
    tokens: int = 0
    near_ties: int = 0
    redone: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    stops: Counter[str] = field(default_factory=Counter)

    def request(self, plan: Plan) -> Request:
        """The request for the next rewrite. In round 1 there is no previous prompt, so it decodes plainly."""
        place = len(self.sentences)  # round of the rewrite that is asked for, from 1
        negative = plan.prompt.fill(self.sentences[-2]) if place > 1 else None
        scale = plan.guidance[min(place, len(plan.guidance)) - 1]
        key = (plan.seed, self.seed_id, place, self.attempt)
        return Request(self.row, plan.prompt.fill(self.sentences[-1]), negative, scale, key)

    def take(self, completion: Completion, plan: Plan) -> None:
        """Accept the rewrite, or refuse it: then draw again, or give the chain up."""
        self.tokens += len(completion.tokens)
        self.near_ties += completion.near_ties
        self.redone += completion.redone
        self.stops[completion.stop] += 1
        rewrite = clean(completion.text)
        found = _unfinished(completion, plan.prompt) or problem(rewrite, self.sentences, plan.limits)
        if found is None:
            self.sentences.append(rewrite)
            self.attempt = 0
            if len(self.sentences) > plan.rounds:
                self.status = "complete"
            return
        self.refused[found] += 1
        if self.attempt == plan.redraws:
            self.status = found
        else:
            self.attempt += 1
            self.redraws += 1


def _unfinished(completion: Completion, prompt: Prompt) -> str | None:
    """Why a completion is no whole rewrite. A newline properly ends one that a plain prompt asked for."""
    if completion.stop == "newline" and prompt.chat:
        return "newline"
    return "cut off" if completion.stop == "length" else None


def run(chains: Iterable[Chain], engine: Engine, plan: Plan) -> Iterator[Chain]:
    """Run all chains through the engine, `engine.seats` at a time; yield each when it has ended."""
    waiting = iter(chains)
    running = {chain.row: chain for chain in islice(waiting, engine.seats)}
    for chain in running.values():
        engine.add(chain.request(plan))
    while running:
        for completion in engine.step():
            chain = running[completion.id]
            chain.take(completion, plan)
            if chain.status == "running":
                _ask_on(chain, engine, plan)
            if chain.status != "running":
                yield running.pop(chain.row)
                if (chain := next(waiting, None)) is not None:
                    running[chain.row] = chain
                    engine.add(chain.request(plan))


def _ask_on(chain: Chain, engine: Engine, plan: Plan) -> None:
    """Ask for the chain's next rewrite. A rewrite that the model cannot be asked about ends its chain, not the shard;
    a seed sentence like that is the user's to take out, so there the engine's error stands.
    """
    try:
        engine.add(chain.request(plan))
    except UserError:
        if len(chain.sentences) == 1:
            raise
        chain.status = "prompt"
        chain.refused["prompt"] += 1
