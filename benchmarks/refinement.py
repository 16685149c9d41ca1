"""Speed of the refinement: python benchmarks/refinement.py [--lists 24] [--repeats 3]

Compares rankrefine with the algorithm of the paper's released code, alternately, on the same lists and encoder. The
released code runs the teacher at every step, takes one list per step, and reads matrix elements from the device one by
one. rankrefine embeds the lists with the teacher once, which is part of its time. The bound is the time of the matrix
products alone: 6 flops per parameter of the layers and token for the student, 2 for the teacher, at the speed of a
large float32 product on this machine. On a GPU the product is in the dtype of the training, and the bound is the time
of reading and writing weights, gradients and moments, if that is longer.
--made-up takes an encoder with random weights and made-up sentences (`made_up.py`), which needs no downloads.
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

import bounds
import made_up
import material
import torch
from accelerate.utils import send_to_device
from sentence_transformers import SentenceTransformerTrainer
from torch.nn.functional import normalize

from rankrefine.config import load as configuration
from rankrefine.encoders.embed import embed
from rankrefine.encoders.lengths import PASS_CPU, PASS_GPU, preprocessor
from rankrefine.encoders.opening import open_encoder
from rankrefine.ranking_lists.lists import Lists
from rankrefine.ranking_lists.lists import read as read_lists
from rankrefine.refine.collator import ListCollator
from rankrefine.refine.losses import RankingLoss
from rankrefine.refine.targets import targets

DEFAULTS = configuration.defaults()["refine"]
TAU, LENGTH = DEFAULTS["tau"], DEFAULTS["max_length"]


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--made-up", choices=made_up.ENCODERS, help="random weights in place of base.model")
    parser.add_argument("--lists", type=int, default=24)
    parser.add_argument("--sentences", type=int, default=33, help="sentences per list; the paper has 33")
    parser.add_argument("--batch", type=int, default=1, help="lists per step; the released code takes one")
    parser.add_argument("--rewrites", type=Path, help="lists.parquet of a run, instead of news sentences")
    parser.add_argument("--bf16", action="store_true", help="rankrefine with refine.bf16")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        encoder, lists = _inputs(options, Path(scratch))
        student, teacher = open_encoder(encoder), open_encoder(encoder)
        bound = _bound(student, lists, options)
        padded = [preprocessor(student, LENGTH)(sentences)["attention_mask"].float().mean() for sentences in lists]
        size = options.sentences
        print(f"{len(lists)} lists of {size}, {1 - torch.stack(padded).mean():.0%} of a padded list is padding")
        ratios = []
        for repeat in range(options.repeats + 1):
            mine = len(lists) / ours(student, teacher, lists, options.batch, options.bf16)
            theirs = len(lists) / released(student, teacher, lists)
            if repeat:  # the first is the warm-up
                ratios.append(mine / theirs)
                print(f"rankrefine {mine:.2f} lists/s ({mine / bound:.0%} of the bound), released {theirs:.2f}")
        print(f"median ratio {statistics.median(ratios):.1f}", flush=True)


def _inputs(options: argparse.Namespace, scratch: Path) -> tuple[Path, list[list[str]]]:
    """Return the folder of the encoder, and lists of sentences."""
    size, count = options.sentences, options.lists
    if options.made_up:
        lists = made_up.chains(options.made_up, count, size - 1)
        return made_up.encoder(options.made_up, scratch / "encoder"), lists
    encoder = material.model(configuration.defaults()["base"]["model"], scratch).path
    if options.rewrites:  # concatenated chains, since those of a default run are shorter
        texts = read_lists(options.rewrites).flat[: count * size]
    else:
        texts = material.sentences(count * size, scratch)
    return encoder, [texts[i * size : (i + 1) * size] for i in range(count)]


def ours(student: Any, teacher: Any, lists: list[list[str]], batch: int, bf16: bool) -> float:
    """Seconds for one epoch of rankrefine, including the teacher's embeddings."""
    device = student.device
    started = _now(device)
    ranking_lists = Lists([str(i) for i in range(len(lists))], lists)
    embeddings = list(embed(teacher, ranking_lists.flat, LENGTH).split(ranking_lists.sizes))
    target = partial(targets, tau=DEFAULTS["tau_teacher"], omega=DEFAULTS["omega"], target="paper")
    cost = PASS_CPU if device.type == "cpu" else PASS_GPU
    collator = ListCollator(preprocessor(student, LENGTH), ranking_lists.ids, lists, embeddings, target, None, cost)
    loss, optimizer = RankingLoss(student, TAU), torch.optim.AdamW(student.parameters(), lr=1e-6, fused=True)
    student.train()
    for first in range(0, len(lists), batch):
        inputs = _on(device, collator([{"list": i} for i in range(first, min(first + batch, len(lists)))]))
        features, label = SentenceTransformerTrainer.collect_features(None, inputs)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            value = loss(features, label)
        value.backward()
        _step(student, optimizer)
    return _now(device) - started


def released(student: Any, teacher: Any, lists: list[list[str]]) -> float:
    """Seconds for one epoch of the released algorithm, as docs/method.md describes it."""
    device = student.device
    started = _now(device)
    optimizer, preprocess = torch.optim.AdamW(student.parameters(), lr=1e-6, fused=True), preprocessor(student, LENGTH)
    student.train()
    for sentences in lists:
        features = _on(device, preprocess(sentences))
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
    return _now(device) - started


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


def _on(device: torch.device, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs of a batch with all tensors on the device."""
    return send_to_device(inputs, device, non_blocking=True)


def _now(device: torch.device) -> float:
    """Return the time at which all work is done, in seconds."""
    bounds.synchronize(device)
    return time.perf_counter()


def _bound(student: Any, lists: list[list[str]], options: argparse.Namespace) -> float:
    """Print and return the lists per second that the device's speed allows."""
    weights = sum(p.numel() for name, p in student[0].auto_model.named_parameters() if "embeddings" not in name)
    tokens = sum(int(preprocessor(student, LENGTH)(sentences)["attention_mask"].sum()) for sentences in lists)
    is_gpu = student.device.type == "cuda"
    speed = bounds.measure(student.device, torch.bfloat16 if options.bf16 and is_gpu else torch.float32)
    work = bounds.Work(flops=8 * weights * tokens)
    if is_gpu:  # where there is no cache that holds much of it
        every = sum(parameter.nbytes for parameter in student.parameters())
        # forward and backward pass, gradients written, read for their norm and scaled; AdamW reads and writes
        work.bytes = (2 + 4 + 7) * every * math.ceil(len(lists) / options.batch)
    bound = len(lists) / speed.seconds(work)
    print(f"at most {bound:.2f} lists/s, by {speed.describe(work)}")
    return bound


if __name__ == "__main__":
    main()
