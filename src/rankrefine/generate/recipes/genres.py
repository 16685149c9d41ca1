"""Seed sentences that the language model writes itself: each request asks for a genre and a few topics.

There is no pool. Request i, a slot, depends on the random seed, the recipe and i alone, so that more requests only add
slots (after the data synthesis of SynCSE-scratch, Zhang, Lan and He 2023).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from rankrefine.generate.recipes import genre_file
from rankrefine.generate.recipes.recipe import COMPLETE, Draft
from rankrefine.generate.recipes.steps import prompts_of
from rankrefine.llm.interface import Completion, Request, Sampling
from rankrefine.llm.prompts import Prompt
from rankrefine.text.normal_form import text_hash
from rankrefine.text.rewrite_rules import Limits, clean, problem

LIMITS = Limits(max_overlap=0.6)
ITEM = re.compile(r"\s*(?:(?:[-*•–—]|\(?\d{1,3}[.):])(?:\s+|$))?")  # bullet or number of a list


@dataclass
class Answer(Draft):
    """A draft with the sentences of the accepted answer."""

    sentences: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Genres:
    """A recipe of genres and topics, see `Recipe`. The text of a draft is its topics, and its source the genre."""

    columns: ClassVar[tuple[pa.Field, ...]] = (
        pa.field("topics", pa.string()),
        pa.field("sentences", pa.list_(pa.string())),  # empty if the draft was given up
    )

    requests: ClassVar[int] = 1

    name: str
    sha256: str  # of the recipe's file
    genres: Mapping[str, tuple[Prompt, ...]]  # the instructions of each genre, each with each of its exemplar sets
    exemplars: Mapping[str, Sequence[str]]  # sentences of each genre's exemplars, which small models copy
    topics: Sequence[str]
    topics_per_request: int
    sentences_per_request: int  # at most; an answer of one sentence ends with its line
    sampling: Sampling
    redraws: int  # retries of an answer without a sentence
    random_seed: int

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts of all genres."""
        return tuple(prompt for prompts in self.genres.values() for prompt in prompts)

    def slots(self, first: int, rows: int) -> pa.Table:
        """Return slots in place of a pool (seed_id, text, source): genres take turns, topics are drawn."""
        slots = [f"{number:016x}" for number in range(first, first + rows)]
        texts, genres = map(self._topics, slots), map(self.genre, slots)
        return pa.table({"seed_id": slots, "text": list(texts), "source": list(genres)})

    def _topics(self, slot: str) -> str:
        drawn = sorted(self.topics, key=lambda topic: text_hash(f"{slot}\0{topic}", self.random_seed))
        return ", ".join(drawn[: self.topics_per_request])

    def genre(self, slot: str) -> str:
        """Return the genre of a slot."""
        return list(self.genres)[int(slot, 16) % len(self.genres)]

    def start(self, row: int, seed_id: str, text: str) -> Answer:
        """Return a draft without sentences."""
        return Answer(row, seed_id, text)

    def request(self, draft: Answer) -> Request:
        """Ask for sentences, by a prompt of the genre that is drawn anew for each attempt."""
        key = (self.random_seed, draft.seed_id, "write", draft.attempt)
        prompts = self.genres[self.genre(draft.seed_id)]
        number = int.from_bytes(text_hash("\0".join(map(str, key[1:])), self.random_seed))
        prompt = prompts[number % len(prompts)].fill(draft.text)
        return Request(draft.row, prompt, None, 1.0, key, one_line=self.sentences_per_request == 1)

    def take(self, draft: Answer, completion: Completion) -> None:
        """Accept an answer with at least one usable line."""
        genre = self.genre(draft.seed_id)
        found = sentences(completion.text, completion.stop == "length", self.exemplars[genre])
        if not found:
            draft.reject("no sentence", self.redraws, genre)
            return
        draft.accept(genre)
        draft.sentences = found[: self.sentences_per_request]
        draft.status = COMPLETE

    def finished(self, draft: Answer) -> dict[str, Any]:
        """Return the topics and the sentences."""
        return {"topics": draft.text, "sentences": draft.sentences}

    def describe(self) -> dict[str, Any]:
        """Return the recipe, the first prompt of each genre as an example, and the sampling."""
        shown = "\n\n".join(f"[{genre}]\n{prompts[0].shown}" for genre, prompts in self.genres.items())
        origin = {"prompt": self.name, "prompt_sha256": self.sha256, "prompt_text": shown}
        return {**origin, "sampling": {"redraws": self.redraws} | vars(self.sampling)}


def sentences(answer: str, is_cut: bool = False, known: Sequence[str] = ()) -> list[str]:
    """Return the usable lines of an answer, without numbers and bullets; of a cut one all but the last line.

    Near copies of each other and of `known` sentences are left out.
    """
    lines = answer.splitlines()
    found: list[str] = []
    for line in lines[: len(lines) - is_cut]:
        sentence = clean(ITEM.sub("", line, count=1))
        if not sentence.endswith(":") and problem(sentence, [*known, *found], LIMITS) is None:  # or an announcement
            found.append(sentence)
    return found


def answers(step: dict[str, Any]) -> list[str]:
    """Return the sentences of a genre's exemplars."""
    return [sentence for _, answer in step["exemplars"] for sentence in sentences(answer)]


def load(config: dict[str, Any]) -> Genres:
    """Read the recipe from a configuration (`seed` and the section `write`).

    Raises:
        UserError: there is no such recipe, or its file is not one.
    """
    settings = config["write"]
    fields, digest = genre_file.read(settings["recipe"])
    recipe = genre_file.find(settings["recipe"]).stem
    genres = fields["genres"]
    return Genres(
        name=recipe,
        sha256=digest,
        genres={
            genre: prompts_of(f"{recipe}/{genre}", digest, step, "write.recipe") for genre, step in genres.items()
        },
        exemplars={genre: answers(step) for genre, step in genres.items()},
        topics=fields["topics"],
        topics_per_request=fields["topics_per_request"],
        sentences_per_request=fields["sentences_per_request"],
        sampling=Sampling(**{key: settings[key] for key in Sampling.__dataclass_fields__ if key in settings}),
        redraws=settings["redraws"] if settings["temperature"] else 0,  # greedy decoding would only repeat itself
        random_seed=config["seed"],
    )
