"""Speed of the refinement: python benchmarks/refinement.py [--lists 24] [--repeats 3]

Compares rankrefine with the algorithm of the paper's released code, alternately, on the same lists and encoder. The
released code runs the teacher at every step, takes one list per step, and reads matrix elements from the device one by
one. rankrefine embeds the lists with the teacher once, which is part of its time. The bound is the time of the matrix
products alone: 6 flops per parameter of the layers and token for the student, 2 for the teacher, at the speed of a
large product on this machine.
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

DEFAULTS = configuration.complete({})["refine"]
TAU, LENGTH = DEFAULTS["tau"], DEFAULTS["max_length"]


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lists", type=int, default=24)
    parser.add_argument("--sentences", type=int, default=33, help="sentences per list; the paper has 33")
    parser.add_argument("--batch", type=int, default=1, help="lists per step; the released code takes one")
    parser.add_argument("--rewrites", type=Path, help="lists.parquet of a run, instead of news sentences")
    parser.add_argument("--bf16", action="store_true", help="rankrefine with refine.bf16")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        encoder = material.model(configuration.complete({})["base"]["model"], Path(scratch)).path
        size = options.sentences
        if options.rewrites:  # concatenated chains, since those of a default run are shorter
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
                print(f"rankrefine {mine:.2f} lists/s ({mine / bound:.0%} of the bound), released {theirs:.2f}")
        print(f"median ratio {statistics.median(ratios):.1f}")


def ours(student: Any, teacher: Any, lists: list[list[str]], batch: int, bf16: bool) -> float:
    """Seconds for one epoch of rankrefine, including the teacher's embeddings."""
    started = time.perf_counter()
    ranking_lists = Lists([str(i) for i in range(len(lists))], lists)
    embeddings = list(embed(teacher, ranking_lists.flat, LENGTH).split(ranking_lists.sizes))
    target = partial(targets, tau=DEFAULTS["tau_teacher"], omega=DEFAULTS["omega"], target="paper")
    collator = ListCollator(preprocessor(student, LENGTH), ranking_lists.ids, lists, embeddings, target)
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
        target = _looped_correction(unit @ unit.T / DEFAULTS["tau_teacher"], DEFAULTS["omega"])
        unit = normalize(student(dict(features))["sentence_embedding"], dim=-1)
        scores = unit @ unit.T / TAU
        rows = []
        for row, goal in zip(scores, target, strict=True):
            row = row[goal.argsort(descending=True)]
            row = row - row.max()
            rows.append((torch.log(row.exp().flip(0).cumsum(0).flip(0) + 1e-7) - row).sum())
        torch.stack(rows).mean().backward()
        _step(student, optimizer)
    return time.perf_counter() - started


def _looped_correction(similarity: torch.Tensor, omega: float) -> torch.Tensor:
    """Correction by loops that read each element from the device, with the index in place of the offset."""
    size, corrected = len(similarity), similarity.clone()
    for j in range(size):
        descending = similarity[j, j:].argsort(descending=True)
        place = descending.argsort()
        for l in range(j, size):  # noqa: E741
            position = place[l - j].item()
            gap = abs(similarity[j, l].item() - similarity[j, j + descending[l - j].item()].item())
            sign = (position > l) - (position < l)
            corrected[j, l] = corrected[l, j] = similarity[j, l].item() + sign * math.log(1 + omega * gap)
    return corrected


def _step(student: Any, optimizer: torch.optim.Optimizer) -> None:
    torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


def _bound(student: Any, lists: list[list[str]]) -> float:
    """Lists per second for the matrix products of the layers alone."""
    weights = sum(p.numel() for name, p in student[0].auto_model.named_parameters() if "embeddings" not in name)
    tokens = sum(int(preprocessor(student, LENGTH)(sentences)["attention_mask"].sum()) for sentences in lists)
    left, right = torch.randn(2048, 1024), torch.randn(1024, 1024)
    seconds = []
    for _ in range(10):
        started = time.perf_counter()
        left @ right
        seconds.append(time.perf_counter() - started)
    flops = 2 * left.numel() * 1024 / min(seconds)
    return len(lists) * flops / (8 * weights * tokens)


if __name__ == "__main__":
    main()
