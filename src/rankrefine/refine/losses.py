"""Loss of the student on batches of ranking lists: a ranking loss of its similarities, and further terms."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from torch.nn.utils.rnn import pad_sequence

from rankrefine.training.ranking_losses import list_mle


def similarity(embeddings: Tensor, sizes: list[int], tau: float) -> Tensor:
    """Cosines within each list divided by `tau`: [sentences of all lists, dim] -> [B, K, K], padded with 0."""
    padded = pad_sequence(normalize(embeddings, dim=-1).split(sizes), batch_first=True)  # (B, K, D)
    return padded @ padded.mT / tau


def info_nce(embeddings: Tensor, sizes: list[int], tau: float) -> Tensor:
    """InfoNCE (van den Oord et al. 2018) of `embeddings`, [sentences of all lists, dim]; lists have `sizes` sentences.

    The positive of a seed sentence is its first rewrite, the negatives are the first rewrites of the other lists.
    """
    lists = normalize(embeddings.float(), dim=-1).split(sizes)
    seeds, rewrites = (torch.stack([rows[place] for rows in lists]) for place in (0, 1))
    return cross_entropy(seeds @ rewrites.mT / tau, torch.arange(len(sizes), device=embeddings.device))


def drift(embeddings: Tensor, base: Tensor, tau: float) -> Tensor:
    """Mean squared change of the cosines between all sentences of the batch, in units of `tau`.

    `embeddings` are those of the encoder in training, `base` those of the base encoder, [sentences, dim].
    """
    now, before = (rows @ rows.mT / tau for rows in (normalize(e.float(), dim=-1) for e in (embeddings, base)))
    return (now - before).square().mean()


class RankingLoss(nn.Module):
    """Loss of the student on batches of `rankrefine.refine.collator.ListCollator`.

    Args:
        model: The student.
        tau: Temperature that divides its cosines.
        ranking: A function of `ranking_losses.LOSSES`.
        contrastive: Weight of `info_nce`.
        anchor: Weight of `drift`.
    """

    def __init__(
        self,
        model: Callable[[dict[str, Tensor]], dict[str, Tensor]],
        tau: float,
        ranking: Callable[[Tensor, Tensor], Tensor] = list_mle,
        contrastive: float = 0.0,
        anchor: float = 0.0,
    ) -> None:
        super().__init__()
        self.model, self.tau, self.ranking = model, tau, ranking
        self.contrastive, self.anchor = contrastive, anchor

    def forward(self, features: Iterable[dict[str, Tensor]], label: dict[str, Tensor]) -> Tensor:
        """Compute the loss of a batch.

        Args:
            features: Sentences of all lists, in one or more passes.
            label: `target` [B, K, K] of the ranking loss; `order` [sentences], the index of each sentence in the
                concatenated passes; with an anchor `base`, embeddings by the base encoder [sentences, dim].
        """
        passes = torch.cat([self.model(sentences)["sentence_embedding"].float() for sentences in features])
        embeddings, target = passes[label["order"]], label["target"]
        sizes = (target[:, 0] > -torch.inf).sum(-1).tolist()
        loss = self.ranking(similarity(embeddings, sizes, self.tau), target)
        if self.contrastive and len(sizes) > 1:
            loss = loss + self.contrastive * info_nce(embeddings, sizes, self.tau)
        if self.anchor:
            loss = loss + self.anchor * drift(embeddings, label["base"], self.tau)
        return loss
