"""Effect of guidance, temperature and prompt on the chains: python benchmarks/drift.py [--lists 96]

Runs the same seed sentences with one setting at a time changed from its default, and prints the Markdown table of
docs/drift.md: the teacher's similarity to the seed sentence by rank, the share of neighbouring rewrites in the
generated order, chains given up, and tokens per second. --figure also draws the similarity by rank.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import material
import numpy as np

from rankrefine.assets.manifest import Manifest
from rankrefine.config import load as configuration
from rankrefine.encoders.embed import embed
from rankrefine.encoders.opening import open_encoder
from rankrefine.generate import blocks
from rankrefine.generate.recipes import ranking
from rankrefine.generate.run import load_engine
from rankrefine.ranking_lists.lists import Lists
from rankrefine.ranking_lists.similarity_to_seed import statistics, to_seed

DEFAULTS = configuration.complete({})
SETTINGS: list[dict[str, Any]] = [
    *({"guidance_scale": scale} for scale in (1.0, 1.5, 2.0, 3.0)),
    *({"guidance_scale": scale, "plausibility": 1000.0} for scale in (1.0, 1.5, 3.0)),
    *({"temperature": temperature} for temperature in (0.0, 0.5, 1.0)),
    *({"prompt": prompt} for prompt in ("paper_like", "plain_few_shot")),
]
RANKS = (1, 2, 4, 8)
RESAMPLES = 2000


def main() -> None:
    """Parse the command line, measure every setting, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULTS["generate"]["model"])
    parser.add_argument("--lists", type=int, default=96, help="seed sentences for each setting")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--figure", type=Path, help="SVG of the similarity by rank for each guidance scale")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        llm, teacher = (material.model(source, folder) for source in (options.model, DEFAULTS["refine"]["teacher"]))
        texts = material.sentences(options.lists, folder)
        for changed in SETTINGS:
            rows.append(measure(llm, teacher, texts, changed, options.threads))
            print(json.dumps(rows[-1]), flush=True)
    print(table(rows))
    if options.figure:
        draw(rows, options.figure)


def measure(
    llm: Manifest, teacher: Manifest, texts: list[str], changed: dict[str, Any], threads: int | None
) -> dict[str, Any]:
    """Generate chains with the defaults except for `changed`; return statistics of their similarities."""
    settings = DEFAULTS["generate"] | changed
    recipe = ranking.load({"seed": DEFAULTS["seed"], "generate": settings})
    engine = load_engine(settings, recipe, llm, len(texts), threads)
    chains, seconds = blocks.run(material.seeds(texts), engine, recipe, lambda *_: None)
    kept = [chain for chain in chains if len(chain.sentences) > 2]
    whole = [chain for chain in chains if chain.status == "complete"]
    lists = Lists([chain.seed_id for chain in kept], [chain.sentences for chain in kept])
    cosines = to_seed(
        embed(open_encoder(teacher.path, threads=threads), lists.flat, DEFAULTS["refine"]["max_length"]).numpy(),
        lists.sizes,
    )
    low, high = _interval(cosines)
    order = statistics(cosines)
    return {
        "changed": changed,
        "lists": len(whole),
        "by_rank": [entry["mean"] for entry in order["by_rank"]],
        "in_order": order["in_order"],
        "interval": [low, high],
        "dropped": 1 - len(whole) / len(chains),
        "redraws": sum(chain.redraws for chain in chains) / sum(len(chain.sentences) - 1 for chain in chains),
        "speed": sum(chain.tokens for chain in chains) / seconds,
    }


def _interval(cosines: np.ndarray) -> Sequence[float]:
    """95 % bootstrap interval of the share of neighbours in order, over lists."""
    both = ~np.isnan(cosines[:, 2:])
    falling = (cosines[:, 1:-1] > cosines[:, 2:]).sum(1)
    pick = np.random.default_rng(1).integers(len(cosines), size=(RESAMPLES, len(cosines)))
    return np.percentile(falling[pick].sum(1) / both.sum(1)[pick].sum(1), (2.5, 97.5)).tolist()


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    ranks = [f"rank {rank}" for rank in RANKS]
    lines = [
        ["setting", *ranks, "in order, % [95 %]", "given up, %", "retries, %", "whole lists", "tokens/s"],
        ["---", *["---:"] * (len(ranks) + 5)],
    ]
    for row in rows:
        low, high = row["interval"]
        lines.append(
            [
                _name(row["changed"]),
                *(f"{row['by_rank'][rank]:.2f}" if rank < len(row["by_rank"]) else "" for rank in RANKS),
                f"{100 * row['in_order']:.1f} [{100 * low:.1f}, {100 * high:.1f}]",
                f"{100 * row['dropped']:.0f}",
                f"{100 * row['redraws']:.0f}",
                str(row["lists"]),
                f"{row['speed']:.0f}",
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _name(changed: dict[str, Any]) -> str:
    shown = {"guidance_scale": "guidance", "plausibility": "no plausibility cut"}
    parts = [shown.get(key, key) + ("" if key == "plausibility" else f" {value}") for key, value in changed.items()]
    return ", ".join(parts)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Mean similarity by rank, one line for each guidance scale."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from rankrefine.report.figures.style import STYLE, save

    with rc_context(STYLE):
        figure = Figure(figsize=(7.5, 4.2))
        axes = figure.subplots()
        scales = [row for row in rows if list(row["changed"]) == ["guidance_scale"]]
        for row, color in zip(scales, ("#6E6E6E", "#0072B2", "#E69F00", "#D55E00"), strict=True):
            axes.plot(row["by_rank"], "o-", color=color, markersize=4, label=f"{row['changed']['guidance_scale']:g}")
        axes.set_xlabel("rank in the list (0 is the seed sentence)")
        axes.set_ylabel("teacher cosine to the seed, mean")
        axes.legend(title="guidance scale")
    save(figure, path)


if __name__ == "__main__":
    main()
