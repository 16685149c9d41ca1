"""The chain logic, written once above all engines: rounds, quality checks, re-draws.

A chain x0, x1, …, xN starts at a seed sentence; in round i the language model rewrites x[i-1] and is steered away
from what it would have made of x[i-2] (He et al. 2025; docs/method.md). Rounds of one chain follow each other, chains
are independent: as soon as a chain ends, the next seed takes its seat.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from rankrefine.errors import UserError
from rankrefine.generate.engines.base import Completion, Engine, Request
from rankrefine.generate.prompts import Prompt
from rankrefine.quality import clean, problem


@dataclass(frozen=True)
class Plan:
    """What every chain does: the prompt, the number of rewrites, the re-draws allowed per rewrite, the run's seed."""

    prompt: Prompt
    rounds: int
    redraws: int
    seed: int


@dataclass
class Chain:
    """One ranking list in the making.

    Attributes:
        row: place of the seed sentence in the shard.
        sentences: the seed sentence and the accepted rewrites.
        status: "running", "complete", or why the last rewrite was refused for good.
    """

    row: int
    seed_id: str
    sentences: list[str]
    status: str = "running"
    attempt: int = 0
    redraws: int = 0
    tokens: int = 0
    refused: dict[str, int] = field(default_factory=dict)

    def request(self, plan: Plan) -> Request:
        """The request for the next rewrite. In round 1 there is no previous prompt, so it decodes plainly."""
        negative = plan.prompt.fill(self.sentences[-2]) if len(self.sentences) > 1 else None
        key = (plan.seed, self.seed_id, len(self.sentences), self.attempt)
        return Request(self.row, plan.prompt.fill(self.sentences[-1]), negative, key)

    def take(self, completion: Completion, plan: Plan, greedy: bool) -> None:
        """Accept the rewrite, or refuse it: then draw again, or give the chain up.

        Greedy decoding would only repeat itself, so there a refused rewrite ends the chain.
        """
        self.tokens += len(completion.tokens)
        rewrite = clean(completion.text)
        found = {"newline": "newline", "length": "cut off"}.get(completion.stop) or problem(rewrite, self.sentences)
        if found is None:
            self.sentences.append(rewrite)
            self.attempt = 0
            if len(self.sentences) > plan.rounds:
                self.status = "complete"
            return
        self.refused[found] = self.refused.get(found, 0) + 1
        if greedy or self.attempt == plan.redraws:
            self.status = found
        else:
            self.attempt += 1
            self.redraws += 1


def run(chains: Iterable[Chain], engine: Engine, plan: Plan, greedy: bool) -> Iterator[Chain]:
    """Run all chains through the engine, `engine.seats` at a time; yield each when it has ended."""
    waiting = iter(chains)
    running = {chain.row: chain for chain in islice(waiting, engine.seats)}
    for chain in running.values():
        engine.add(chain.request(plan))
    while running:
        for completion in engine.step():
            chain = running[completion.id]
            chain.take(completion, plan, greedy)
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
        chain.refused["prompt"] = chain.refused.get("prompt", 0) + 1
