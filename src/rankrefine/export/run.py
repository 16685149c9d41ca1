"""Command `export`: copy the refined encoder with the best development score, and write a card for every encoder.

Test scores are not used for the choice.
"""

import logging
import shutil
from pathlib import Path
from typing import Any

from rankrefine import io, score_table
from rankrefine.assets.manifest import load_manifest
from rankrefine.errors import UserError
from rankrefine.export import experiments
from rankrefine.export.card import card, label

log = logging.getLogger(__name__)
CARD = "README.md"
# fields of a training's record that the choice and the card need
TRAINING = (
    *("name", "seed", "best_development", "base_development", "best_step", "improved", "lists", "base", "teachers"),
    *("development_data", "config"),
)
BASE = {  # fields that the card needs of the records of the base encoder and its examples, by their stage
    "base": ("base", "examples", "guides", "base_development", "best_development", "best_step", "improved", "config"),
    "examples": ("read", "kept", "made_by"),
    "rate": ("scorer",),
    "likelihood": ("scorer",),
    "curate": ("read", "kept", "swapped", "repaired", "random_pairs"),
}
LISTS = ("read", "kept", "sources", "made_by", "seeds")  # fields of the lists' record that the card needs


def run(
    manifests: list[Path],
    histories: list[Path],
    scores: Path,
    lists_stats: Path,
    output: Path,
    cards: Path,
    selection: Path,
    table: Path,
    base_records: list[Path] | None = None,
) -> None:
    """Export the encoder with the best development score, and write model cards.

    The best experiment is the one with the best mean over its trainings; of these the best one is exported.

    Args:
        manifests: Manifests of the refined encoders.
        histories: Records of their trainings, in the same order.
        scores: Score table, for the cards and the table of experiments only.
        lists_stats: Record of the ranking lists.
        output: Folder to write with the encoder and its card.
        cards: Folder to write the card of every refined encoder to, as EXPERIMENT/SEED.md.
        selection: JSON file to write with all candidates, the chosen one and the reason.
        table: Markdown file to write with mean and standard deviation of the experiments.
        base_records: Records of the base encoder's training and of its examples, for the cards (default: none).

    Raises:
        UserError: manifests and histories do not match, one of them is damaged, or an encoder is missing.
    """
    if len(manifests) != len(histories):
        raise UserError(
            f"There are {len(manifests)} manifests but {len(histories)} histories; give one history for each manifest."
        )
    trainings = [_record(path, TRAINING, "training record") for path in histories]
    candidates = list(map(_candidate, manifests, trainings))
    chosen = choose(candidates)
    rows, lists = score_table.read(scores), _record(lists_stats, LISTS, "record of ranking lists")
    base = {record["stage"]: record for record in map(_base_record, base_records or [])}
    texts = {label(training): card(training, rows, lists, base) for training in trainings}
    folder = load_manifest(chosen["manifest"]).path
    with io.atomic(output) as temporary:
        # copyfile leaves out permissions: only their owner may read safetensors files
        shutil.copytree(folder, temporary, copy_function=shutil.copyfile)
        (temporary / CARD).write_text(texts[label(chosen)], encoding="utf-8")
    for name, text in texts.items():
        io.write_text(cards / f"{name}.md", text)
    why = reason(chosen, candidates)
    io.write_json(selection, {"chosen": label(chosen), "why": why, "candidates": candidates})
    io.write_text(table, experiments.as_markdown(experiments.summaries(candidates, rows), chosen["name"]))
    log.info("export: %s", why)


def choose(candidates: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the best candidate of the experiment with the best mean; the first one if several are equal."""
    best = experiments.summaries(candidates, [])[0].name
    trainings = [candidate for candidate in candidates if candidate["name"] == best]
    return max(trainings, key=lambda training: training["development"])


def reason(chosen: dict[str, Any], candidates: list[dict[str, Any]]) -> str:
    """Return the reason for the choice as a sentence."""
    names = {candidate["name"] for candidate in candidates}
    seeds = sum(candidate["name"] == chosen["name"] for candidate in candidates)
    parts = [f"best mean of {len(names)} experiments"] if len(names) > 1 else []
    parts += [f"best of its {seeds} seeds"] if seeds > 1 else []
    among = ", ".join(parts) or "the only candidate"
    score, base = chosen["development"], chosen["base_development"]
    if chosen["improved"]:
        return f"{label(chosen)}: development score {score:.2f}, base {base:.2f}; {among}."
    return (
        f"{label(chosen)}: no training step improved the development score of the base ({score:.2f}), so the weights "
        f"are those before training; {among}."
    )


def _record(path: Path, required: tuple[str, ...], kind: str) -> dict[str, Any]:
    record = io.read_json(path)
    if missing := [key for key in required if not isinstance(record, dict) or key not in record]:
        raise UserError(f"{path} is not a {kind} ('{missing[0]}' is missing); delete it and run again.")
    return record


def _base_record(path: Path) -> dict[str, Any]:
    """Read a record of the base encoder or its examples, with the fields of its stage."""
    stage = _record(path, ("stage",), "record of the base encoder")["stage"]
    return _record(path, BASE.get(stage, ()), f"record of {stage}")


def _candidate(manifest: Path, training: dict[str, Any]) -> dict[str, Any]:
    """Return the entry of a refined encoder in the selection."""
    copied = ("name", "seed", "base_development", "best_step", "improved", "lists")
    return {key: training[key] for key in copied} | {
        "development": training["best_development"],
        "base": training["base"]["model"],
        "revision": training["base"]["revision"],
        "manifest": manifest.as_posix(),
    }
