"""Prompts as tokens, divided into a prefix that all prompts of a template share and the tokens after it."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from rankrefine.errors import UserError
from rankrefine.llm.interface import Text
from rankrefine.llm.prompts import Prompt
from rankrefine.llm.tokens import beginnings, common_prefix, encode, ending, folds_system


class Encoded(NamedTuple):
    """An encoded prompt: index of its shared prefix, and the tokens after it."""

    prefix: int
    tail: tuple[int, ...]


class PromptEncoder:
    """Encodes the prompts of some templates.

    Attributes:
        prefixes: for each, the tokens that the prompts of a template begin with, whatever the sentence; longest first.
        folds: system messages become parts of user messages, see `folds_system`.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt]) -> None:
        self.tokenizer, self.folds = tokenizer, folds_system(tokenizer, prompts)
        probes = beginnings(tokenizer)
        found = [
            common_prefix([encode(tokenizer, prompt.fill(text), self.folds) for text in probes]) for prompt in prompts
        ]
        distinct = map(list, dict.fromkeys(map(tuple, found)))
        self.prefixes = sorted(distinct, key=len, reverse=True)  # the first match is the longest one
        self._recent: OrderedDict[object, Encoded] = OrderedDict()  # oldest first

    def encode(self, text: Text, recent: int) -> Encoded:
        """Encode a prompt of a template, and keep the `recent` last ones: a prompt comes again as a negative prompt.

        Raises:
            UserError: the sentence is not separate from the template.
        """
        key = text if isinstance(text, str) else tuple((message["role"], message["content"]) for message in text)
        if (prompt := self._recent.pop(key, None)) is None:
            prompt = self._match(encode(self.tokenizer, text, self.folds))
        if prompt is None:
            raise UserError(
                f"This model's tokenizer merges the beginning of '{ending(text)}' with the prompt template; put a "
                "line break before {sentence} in the template."
            )
        self._recent[key] = prompt
        while len(self._recent) > recent:
            self._recent.popitem(last=False)
        return prompt

    def encode_any(self, text: Text) -> Encoded:
        """Encode a prompt of any kind; one of no template gets the index `len(prefixes)`."""
        tokens = encode(self.tokenizer, text, self.folds)
        return self._match(tokens) or Encoded(len(self.prefixes), tuple(tokens))

    def forget(self) -> None:
        """Forget recent prompts."""
        self._recent.clear()

    def _match(self, tokens: list[int]) -> Encoded | None:
        """Divide a prompt into the longest shared prefix that it begins with and the tokens after it."""
        for index, prefix in enumerate(self.prefixes):
            if len(tokens) > len(prefix) and tokens[: len(prefix)] == prefix:
                return Encoded(index, tuple(tokens[len(prefix) :]))
        return None
