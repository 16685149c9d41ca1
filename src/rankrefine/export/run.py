"""python -m rankrefine export --manifests M.json... --histories H.json... --scores S.csv
--lists-stats L.json --output FOLDER --cards FOLDER --selection S.json --table E.md

Copies the refined encoder with the best development score and writes down why it was chosen, and a card for every
refined encoder. Nothing is chosen by a test score.
"""

from __future__ import annotations

import csv
import logging
import shutil
from pathlib import Path
from statistics import fmean
from typing import Any

from rankrefine import io
from rankrefine.assets.manifest import load_manifest
from rankrefine.errors import UserError
from rankrefine.export import experiments
from rankrefine.export.card import card, label, number

log = logging.getLogger(__name__)
CARD = "README.md"
NUMBERS = ("value", "sd", "ci_low", "ci_high", "delta", "delta_sd", "delta_low", "delta_high")
SCORE_COLUMNS = ("model", "seeds", "task", "subset", "metric", "n", *NUMBERS)
# of a training's record, what the choice and the card need
NEEDED = (
    *("name", "seed", "best_development", "base_development", "best_step", "improved", "lists", "base", "teachers"),
    *("development_data", "config"),
)


def run(
    manifests: list[Path],
    histories: list[Path],
    scores: Path,
    lists_stats: Path,
    output: Path,
    cards: Path,
    selection: Path,
    table: Path,
) -> None:
    """Export one encoder: of the experiment with the best mean development score, the seed with its best one.

    Args:
        manifests: Of the refined encoders.
        histories: Of their training, in the same order.
        scores: Score table of `scores`; only copied into the cards and the table.
        lists_stats: Record of the ranking lists.
        output: Folder to write: the encoder and its card.
        cards: Folder to write to: NAME/SEED.md for every refined encoder.
        selection: JSON to write: all candidates, the chosen one, and why.
        table: Markdown to write: the experiments with mean and standard deviation over their seeds.

    Raises:
        UserError: manifests and histories do not pair up, one is damaged, or a model's folder is gone.
    """
    pairs = _pairs(manifests, histories)
    trainings = [_training(history) for _, history in pairs]
    candidates = [_candidate(*pair) for pair in zip(manifests, trainings, strict=True)]
    chosen = choose(candidates)
    rows, lists = _read_scores(scores), _read_lists(lists_stats)
    texts = {label(training): card(training, rows, lists) for training in trainings}
    folder = load_manifest(chosen["manifest"]).path
    with io.atomic(output) as aside:
        # contents alone: safetensors files are readable by their owner only, which a shared folder does not want
        shutil.copytree(folder, aside, copy_function=shutil.copyfile)
        (aside / CARD).write_text(texts[label(chosen)], encoding="utf-8")
    for name, text in texts.items():
        io.write_text(cards / f"{name}.md", text)
    why = reason(chosen, candidates)
    io.write_json(selection, {"chosen": label(chosen), "why": why, "candidates": candidates})
    io.write_text(table, experiments.as_markdown(experiments.summaries(candidates, rows), chosen["name"]))
    log.info("export: %s", why)


def choose(candidates: list[dict[str, Any]]) -> dict[str, Any]:
    """The candidate to export; the first of equals. One seed's luck does not make an experiment the best."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for candidate in candidates:
        by_name.setdefault(candidate["name"], []).append(candidate)
    best = max(by_name.values(), key=lambda found: fmean(one["development"] for one in found))
    return max(best, key=lambda candidate: candidate["development"])


def reason(chosen: dict[str, Any], candidates: list[dict[str, Any]]) -> str:
    """Why this candidate, in one sentence."""
    names = {candidate["name"] for candidate in candidates}
    seeds = sum(candidate["name"] == chosen["name"] for candidate in candidates)
    among = f"best mean of {len(names)} experiments" if len(names) > 1 else ""
    among += (", " if among else "") + f"best of its {seeds} seeds" if seeds > 1 else ""
    among = among or "the only candidate"
    score, base = chosen["development"], chosen["base_development"]
    if chosen["improved"]:
        return f"{label(chosen)}: development score {score:.2f}, against {base:.2f} of its base; {among}."
    return (
        f"{label(chosen)}: no training step beat the development score before training ({score:.2f}), so it holds "
        f"those weights; {among}."
    )


def _pairs(manifests: list[Path], histories: list[Path]) -> list[tuple[Path, Path]]:
    if len(manifests) != len(histories):
        raise UserError(
            f"There are {len(manifests)} manifests but {len(histories)} histories; give one history for each manifest."
        )
    return list(zip(manifests, histories, strict=True))


def _training(history: Path) -> dict[str, Any]:
    found = io.read_json(history)
    if missing := [key for key in NEEDED if not isinstance(found, dict) or key not in found]:
        raise UserError(f"{history} is no training history ('{missing[0]}' is missing); delete it and run again.")
    return found


def _candidate(manifest: Path, training: dict[str, Any]) -> dict[str, Any]:
    """What the choice needs to know of one refined encoder."""
    same = ("name", "seed", "base_development", "best_step", "improved", "lists")
    return {key: training[key] for key in same} | {
        "development": training["best_development"],
        "base": training["base"]["model"],
        "revision": training["base"]["revision"],
        "manifest": manifest.as_posix(),
    }


def _read_lists(path: Path) -> dict[str, Any]:
    found = io.read_json(path)
    needed = ("read", "kept", "sources", "made_by", "seeds")
    if missing := [key for key in needed if not isinstance(found, dict) or key not in found]:
        raise UserError(f"{path} is no record of ranking lists ('{missing[0]}' is missing); delete it and run again.")
    return found


def _read_scores(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}.") from error
    if missing := [column for column in SCORE_COLUMNS if column not in (reader.fieldnames or [])]:
        raise UserError(f"{path} has no column '{missing[0]}'; delete it and run again.")
    for line, row in enumerate(rows, start=2):
        try:
            [number(row[column]) for column in NUMBERS]
        except ValueError as error:
            raise UserError(f"{path}, line {line} holds no number ({error}); delete it and run again.") from error
    return rows
