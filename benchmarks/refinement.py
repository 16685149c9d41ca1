"""Speed of the refinement: python benchmarks/refinement.py [--lists 24] [--repeats 3]

Ours against the algorithm of the paper's released code, in turn, on the same lists with the same encoder: there the
teacher runs again at every step, one list a step, and loops over the elements of the matrices read each one from the
device. Ours embeds the lists with the teacher once, which is counted. The bound is what the matrix products alone
would allow: 6 flops for each parameter of the layers and each token of the student, 2 of the teacher, at the speed of
a large product on this machine.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import material
import torch
from torch.nn.functional import normalize

from rankrefine.config import load as configuration
from rankrefine.encoders.embed import embed
from rankrefine.encoders.lengths import preprocessor
from rankrefine.encoders.opening import open_encoder
from rankrefine.ranking_lists.lists import Lists
from rankrefine.ranking_lists.lists import read as read_lists
from rankrefine.refine.collator import ListCollator
from rankrefine.refine.losses import RankingLoss
from rankrefine.refine.targets import targets
from rankrefine.training.trainer import Trainer

SETTINGS = configuration.complete({})["refine"]
TAU, LENGTH = SETTINGS["tau"], SETTINGS["max_length"]


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lists", type=int, default=24)
    parser.add_argument("--sentences", type=int, default=33, help="of each list; the paper has 33")
    parser.add_argument("--batch", type=int, default=1, help="lists a step of ours; the other takes one")
    parser.add_argument("--rewrites", type=Path, help="lists.parquet of a run, instead of news sentences")
    parser.add_argument("--bf16", action="store_true", help="ours with refine.bf16")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        encoder = material.model(configuration.complete({})["base"]["model"], Path(scratch)).path
        size = options.sentences
        if options.rewrites:  # chains one after the other, because those of a default run are shorter
            texts = read_lists(options.rewrites).flat[: options.lists * size]
        else:
            texts = material.sentences(options.lists * size, Path(scratch))
        lists = [texts[i * size : (i + 1) * size] for i in range(options.lists)]
        student, teacher = open_encoder(encoder), open_encoder(encoder)
        bound = _bound(student, lists)
        padded = [preprocessor(student, LENGTH)(sentences)["attention_mask"].float().mean() for sentences in lists]
        print(f"{len(lists)} lists of {size}, {1 - torch.stack(padded).mean():.0%} of a padded list is padding")
        print(f"matrix products alone: {bound:.2f} lists/s")
        ratios = []
        for repeat in range(options.repeats + 1):
            mine = len(lists) / ours(student, teacher, lists, options.batch, options.bf16)
            theirs = len(lists) / released(student, teacher, lists)
            if repeat:  # the first is the warm-up
                ratios.append(mine / theirs)
                print(f"ours {mine:.2f} lists/s ({mine / bound:.0%} of the bound), released {theirs:.2f}")
        print(f"median ratio {statistics.median(ratios):.1f}")


def ours(student: Any, teacher: Any, lists: list[list[str]], batch: int, bf16: bool) -> float:
    """Seconds for one epoch, the teacher's embeddings included."""
    started = time.perf_counter()
    held = Lists([str(i) for i in range(len(lists))], lists)
    embeddings = list(embed(teacher, held.flat, LENGTH).split(held.sizes))
    target = partial(targets, tau=SETTINGS["tau_teacher"], omega=SETTINGS["omega"], target="paper")
    collator = ListCollator(preprocessor(student, LENGTH), held.ids, lists, embeddings, target)
    loss, optimizer = RankingLoss(student, TAU), torch.optim.AdamW(student.parameters(), lr=1e-6, fused=True)
    student.train()
    for first in range(0, len(lists), batch):
        inputs = collator([{"list": i} for i in range(first, min(first + batch, len(lists)))])
        features, label = Trainer.collect_features(None, inputs)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            value = loss(features, label)
        value.backward()
        _step(student, optimizer)
    return time.perf_counter() - started


def released(student: Any, teacher: Any, lists: list[list[str]]) -> float:
    """Seconds for one epoch of the released algorithm, as docs/method.md describes it."""
    started = time.perf_counter()
    optimizer, preprocess = torch.optim.AdamW(student.parameters(), lr=1e-6, fused=True), preprocessor(student, LENGTH)
    student.train()
    for sentences in lists:
        features = preprocess(sentences)
        with torch.no_grad():
            unit = normalize(teacher(dict(features))["sentence_embedding"], dim=-1)
        target = _looped_correction(unit @ unit.T / SETTINGS["tau_teacher"], SETTINGS["omega"])
        unit = normalize(student(dict(features))["sentence_embedding"], dim=-1)
        scores = unit @ unit.T / TAU
        rows = []
        for row, wanted in zip(scores, target, strict=True):
            row = row[wanted.argsort(descending=True)]
            row = row - row.max()
            rows.append((torch.log(row.exp().flip(0).cumsum(0).flip(0) + 1e-7) - row).sum())
        torch.stack(rows).mean().backward()
        _step(student, optimizer)
    return time.perf_counter() - started


def _looped_correction(similarity: torch.Tensor, omega: float) -> torch.Tensor:
    """Element by element, each read from the device; the index where the offset should be."""
    size, found = len(similarity), similarity.clone()
    for j in range(size):
        falling = similarity[j, j:].argsort(descending=True)
        place = falling.argsort()
        for l in range(j, size):  # noqa: E741
            position = place[l - j].item()
            gap = abs(similarity[j, l].item() - similarity[j, j + falling[l - j].item()].item())
            sign = (position > l) - (position < l)
            found[j, l] = found[l, j] = similarity[j, l].item() + sign * math.log(1 + omega * gap)
    return found


def _step(student: Any, optimizer: torch.optim.Optimizer) -> None:
    torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


def _bound(student: Any, lists: list[list[str]]) -> float:
    """Lists per second if there were nothing but the products of the layers' weights and the tokens."""
    weights = sum(p.numel() for name, p in student[0].auto_model.named_parameters() if "embeddings" not in name)
    tokens = sum(int(preprocessor(student, LENGTH)(sentences)["attention_mask"].sum()) for sentences in lists)
    one, other = torch.randn(2048, 1024), torch.randn(1024, 1024)
    seconds = []
    for _ in range(10):
        started = time.perf_counter()
        one @ other
        seconds.append(time.perf_counter() - started)
    flops = 2 * one.numel() * 1024 / min(seconds)
    return len(lists) * flops / (8 * weights * tokens)


if __name__ == "__main__":
    main()
