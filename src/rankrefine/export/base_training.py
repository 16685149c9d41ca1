"""Parts of the model card about the training of the base encoder."""

from typing import Any

Record = dict[str, Any]


def model(record: Record) -> str:
    """Name a model or data set with its revision."""
    return f"`{record['model']}`, revision {record['revision']}"


def section(records: dict[str, Record]) -> str:
    """Return the section: start, objective, development scores, and where the examples come from.

    Args:
        records: Records by their stage: `base`, and of its examples `examples`, `rate` or `likelihood`, and `curate`.
            Empty if the base encoder was not trained.
    """
    if not records:
        return ""
    history = records["base"]
    kept = f"step {history['best_step']}" if history["improved"] else "no step was better, so the start was kept"
    lines = [
        f"Start: {model(history['base'])}",
        f"Objective: {history['config']['base']['objective']}, on {history['examples']:,} {_data(history, records)}",
        *(f"Guide: {model(guide)}, weight {guide['weight']:.2f}" for guide in history["guides"]),
        f"Development score x 100: {history['base_development']:.2f} before, {history['best_development']:.2f} after "
        f"({kept})",
        *_examples(records),
    ]
    introduction = "## Training of the base encoder\n\nBefore the refinement, the base encoder was trained itself."
    return "\n".join(["", introduction, "", *(f"- {line}" for line in lines), ""])


def limitation(records: dict[str, Record]) -> str:
    """Return the limitation that training examples bring; empty without examples."""
    if "examples" not in records:
        return ""
    return (
        "- Nobody checked the training examples of the base encoder: positives may say something else than their\n"
        "  anchors, and negatives the same.\n"
    )


def _data(history: Record, records: dict[str, Record]) -> str:
    """Name the training data."""
    data = history["config"]["base"]["data"]
    if "examples" in records:
        return "training examples"
    return f"examples of `{data}`" if data else "seed sentences"


def _examples(records: dict[str, Record]) -> list[str]:
    """Return who wrote the examples, and who chose them."""
    if "examples" not in records:
        return []
    written = records["examples"]
    lines = [f"Examples: {written['kept']:,} of {written['read']:,} passed the quality rules"]
    for made in written["made_by"]:
        if made.get("imported"):
            lines.append(f"Examples imported from: {model(made)}")
        else:
            recipe = f"recipe `{made['prompt']}`, SHA-256 `{made['prompt_sha256']}`, `{made['sampling']}`"
            lines.append(f"Examples written by: {model(made)}, {recipe}")
    if "curate" in records:
        chosen, scorer = records["curate"], next(each["scorer"] for each in records.values() if "scorer" in each)
        changes = f"{chosen['swapped']:,} changed roles, {chosen['repaired']:,} repaired"
        lines.append(
            f"Scorer: {model(scorer)}. Its scores chose {chosen['kept']:,} of {chosen['read']:,} examples ({changes}; "
            f"{chosen['random_pairs']:,} random pairs added); this training is in part a distillation of it"
        )
    return lines
