"""Gains of experiments: python benchmarks/ablation.py results/refine/* [LABEL=FOLDER ...] --figure F.svg

Each folder contains the trainings of one experiment, SEED/model, as the workflow writes them. Base and trainings are
scored on the validation split (or with --split test), all pairs and by genre, and the gains on the base are printed as
a Markdown table: mean over the seeds, with a 95 % bootstrap interval over the pairs, and the standard deviation over
the seeds.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from rankrefine import io
from rankrefine.assets.manifest import load_manifest
from rankrefine.encoders.opening import open_encoder
from rankrefine.evaluate.statistics import bootstrap, interval

BATCH = 32


def main() -> None:
    """Parse the command line, score the encoders and print the gains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="+", help="folders of trainings, or LABEL=FOLDER")
    parser.add_argument("--base", type=Path, default=Path("results/assets/all-minilm-l6-v2.json"))
    parser.add_argument("--data", type=Path, default=Path("results/assets/stsb.json"))
    parser.add_argument("--split", default="validation")
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    table = io.read_table(load_manifest(options.data).path / f"{options.split}.parquet").to_pydict()
    base = cosines(load_manifest(options.base).path, table)
    rows = []
    for text in options.experiments:
        label, _, folder = text.rpartition("=")
        models = [cosines(path, table) for path in sorted(Path(folder).glob("*/model"))]
        if not models:
            parser.error(f"{folder} has no folders SEED/model")
        rows.append((label or Path(folder).name, gains(table, base, models, options.resamples)))
        print("scored", rows[-1][0], len(models), flush=True)
    print(markdown(rows))
    if options.figure:
        figure(rows, options.figure)


def cosines(folder: Path, table: dict[str, list]) -> np.ndarray:
    """Return the encoder's cosine of each pair."""
    texts = list(dict.fromkeys([*table["sentence1"], *table["sentence2"]]))
    place = {text: i for i, text in enumerate(texts)}
    vectors = open_encoder(folder).encode(texts, batch_size=BATCH, normalize_embeddings=True)
    first, second = (vectors[[place[text] for text in table[name]]] for name in ("sentence1", "sentence2"))
    return (first * second).sum(-1)


def gains(table: dict[str, list], base: np.ndarray, models: list[np.ndarray], resamples: int) -> dict[str, Any]:
    """Return the base's score, the mean gain, its interval and the gain of each seed, for all pairs and each genre."""
    gold, genres = np.array(table["score"]), np.array(table.get("genre", []))
    results = {}
    for name in ("all", *dict.fromkeys(table.get("genre", []))):
        chosen = np.full(len(gold), True) if name == "all" else genres == name
        scores = [100 * spearmanr(gold[chosen], each[chosen]).statistic for each in (base, *models)]
        samples = 100 * bootstrap(gold[chosen], np.stack([base, *models])[:, chosen], resamples, random_seed=0)
        seeds = [score - scores[0] for score in scores[1:]]
        ends = interval(samples[1:].mean(0) - samples[0], 0.95)
        results[name] = {"base": scores[0], "gain": np.mean(seeds), "interval": ends, "seeds": seeds}
    return results


def markdown(rows: list[tuple[str, dict[str, Any]]]) -> str:
    """Format a table with a line for the base, then one for each experiment."""
    names = list(rows[0][1])
    lines = [["experiment", "seeds", *names], ["---", "---:", *["---:"] * len(names)]]
    lines.append(["base", "", *(f"{rows[0][1][name]['base']:.2f}" for name in names)])
    for label, result in rows:
        cells = []
        for name in names:
            low, high = result[name]["interval"]
            spread = f" ± {np.std(result[name]['seeds'], ddof=1):.2f}" if len(result[name]["seeds"]) > 1 else ""
            cells.append(f"{result[name]['gain']:+.2f}{spread} [{low:+.2f}, {high:+.2f}]")
        lines.append([label, str(len(result["all"]["seeds"])), *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def figure(rows: list[tuple[str, dict[str, Any]]], file: Path) -> None:
    """Draw a forest plot with an axis for all pairs and one for each genre."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from rankrefine.report.figures.style import BLUE, GREY, RED, STYLE, save, zero_line

    names = list(rows[0][1])
    with rc_context(STYLE):
        drawn = Figure(figsize=(3 + 2.3 * len(names), 1.2 + 0.34 * len(rows)))
        for axes, name in zip(drawn.subplots(1, len(names), sharey=True), names, strict=True):
            for y, (_, result) in enumerate(rows):
                low, high = result[name]["interval"]
                color = BLUE if low > 0 else RED if high < 0 else GREY
                axes.plot([low, high], [y, y], color=color, linewidth=2)
                axes.plot(result[name]["seeds"], [y] * len(result[name]["seeds"]), "|", color=color, markersize=9)
                axes.plot(result[name]["gain"], y, "o", color=color, markersize=5)
            zero_line(axes)
            axes.set_title(f"{name} (base {rows[0][1][name]['base']:.1f})", fontsize=10)
            axes.grid(axis="y", visible=False)
        axes.set_yticks(range(len(rows)), [label for label, _ in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        drawn.supxlabel("gain on the base (Spearman × 100), 95 % interval over pairs; ticks are seeds", fontsize=9)
        save(drawn, file)


if __name__ == "__main__":
    main()
