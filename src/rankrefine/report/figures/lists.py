"""Figures of the ranking lists: similarity by rank, how far targets keep the order, and what was dropped."""

from __future__ import annotations

from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rankrefine.report.collect import Found, Record
from rankrefine.report.figures.style import BLUE, GREY, ORANGE, RED, STYLE, Look, looks, rows, short
from rankrefine.training.development import HELD_OUT_LISTS, held_out

GIVEN_UP = "given up: "  # of reasons that consolidation repeats from the generation


def similarity(found: Found) -> Figure:
    """The teacher's cosine to the seed by rank: mean, bands of lists, and the same sentences in perfect order."""
    ranks = found.similarity["by_rank"]
    x = [entry["rank"] for entry in ranks]
    with rc_context(STYLE):
        figure = Figure(figsize=(7.5, 4.4))
        axes = figure.subplots()
        for low, high, opacity in (("q10", "q90", 0.15), ("q25", "q75", 0.3)):
            label = f"{low[1:]} to {high[1:]} % of lists"
            band = ([entry[low] for entry in ranks], [entry[high] for entry in ranks])
            axes.fill_between(x, *band, color=BLUE, alpha=opacity, linewidth=0, label=label)
        axes.plot(x, [entry["mean"] for entry in ranks], "o-", color=BLUE, markersize=4, label="mean")
        label = "mean of the same sentences, perfectly ordered"
        axes.plot(x[: len(found.ideal)], found.ideal[: len(x)], "--", color=RED, linewidth=1.8, label=label)
        axes.set_xlabel("rank in the list (0 is the seed sentence)")
        axes.set_ylabel("teacher cosine to the seed")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()
        share = found.similarity.get("in_order")
        if share is not None:
            title = f"neighbouring rewrites in the generated order: {100 * share:.1f} %"
            axes.set_title(title, loc="left", fontsize=11)
    return figure


def agreement(found: Found) -> Figure:
    """For each experiment the share of pairs that its targets order as generated, and as the teacher does."""
    agreements = found.agreements
    colors = looks(found.experiments, found.chosen)
    with rc_context(STYLE):
        height = max(3.4, 1.6 + 0.34 * len(agreements))
        figure = Figure(figsize=(10, height))
        left, right = figure.subplots(1, 2, width_ratios=(5, 4))
        for y, one in enumerate(agreements):
            left.plot([one.generated, one.teacher], [y, y], color="#C8C8C8", linewidth=2, zorder=1)
            for share, color, marker in ((one.generated, BLUE, "o"), (one.teacher, ORANGE, "s")):
                left.plot(share, y, marker, color=color, markersize=8)
        left.plot([], [], "o", color=BLUE, label="as generated")
        left.plot([], [], "s", color=ORANGE, label="as the teacher")
        rows(
            left, [f"{short(one.name)}\n({one.rule})" if one.rule not in one.name else one.name for one in agreements]
        )
        left.tick_params(axis="y", labelsize=9 if len(agreements) > 1 else 11)
        left.set_xlim(0.5 if all(min(one.generated, one.teacher) > 0.5 for one in agreements) else 0, 1.02)
        left.set_xlabel("share of pairs that targets order so")
        left.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
        for one in agreements:
            look, width = colors.get(one.name, Look(GREY, "", ":")), 2.4 if one.name == found.chosen else 1.2
            style = {"color": look.color, "marker": look.marker, "linestyle": look.dashes, "linewidth": width}
            right.plot(one.by_rank, markersize=4, label=short(one.name), **style)
        right.set_xlabel("rank of the sentence to which others are ordered")
        right.set_ylabel("share as generated")
        right.xaxis.get_major_locator().set_params(integer=True)
        if len(agreements) > 1:
            figure.legend(handles=right.get_lines(), loc="outside right upper", fontsize=9)
    return figure


def funnel(found: Found) -> Figure:
    """From raw sentence to training list: what is left after every stage, then why each stage dropped the rest."""
    read = total(found.seeds)
    used, made, kept = found.consolidate["read"], _complete(found.consolidate), found.consolidate["kept"]
    levels = [
        ("raw sentences", read),
        ("seed sentences in the pool", found.seeds["kept"]),
        ("rewritten (seeds.count)", used),
        ("complete chains", made),
        ("ranking lists", kept),
        ("of them trained on", _trained(found)),
    ]
    falls = [
        ("Raw sentences: why they are not in the pool", _steps(found.seeds, read)),
        ("Rewritten seeds: why they are not ranking lists", _steps(found.consolidate, used)),
    ]
    with rc_context(STYLE):
        lengths = [len(levels), *(len(steps) for _, steps in falls)]
        figure = Figure(figsize=(8.5, 2.0 + 0.27 * sum(lengths)))
        panels = figure.subplots(3, 1, height_ratios=[length + 1.2 for length in lengths])
        _levels(panels[0], levels)
        for axes, (title, steps) in zip(panels[1:], falls, strict=True):
            _fall(axes, title, steps)
    return figure


def total(record: Record) -> int:
    """What a stage read, over all of its sources."""
    read: Any = record["read"]
    return int(read if isinstance(read, int | float) else sum(read.values()))


def _complete(consolidate: Record) -> int:
    given_up = sum(count for reason, count in consolidate["dropped"].items() if reason.startswith(GIVEN_UP))
    return int(consolidate["read"] - given_up)


def _trained(found: Found) -> int:
    """Ranking lists that the exported encoder was trained on; without development data every tenth is held out."""
    lists = found.history.get("lists", found.consolidate["kept"])
    data = found.history.get("development_data") or {}
    return lists - len(held_out(lists)) if data.get("source") == HELD_OUT_LISTS else lists


def _steps(record: Record, read: int) -> list[tuple[str, int, int]]:
    """(label, where the bar begins, its length): what was read, each reason from the right, what was kept."""
    steps, left = [("read", 0, read)], read
    counted = sorted(record["dropped"].items(), key=lambda item: (-item[1], item[0]))
    for reason, count in counted:
        if count:
            left -= count
            steps.append((reason.replace("_", " "), left, count))
    return [*steps, ("kept", 0, int(record["kept"]))]


def _levels(axes: Axes, levels: list[tuple[str, int]]) -> None:
    """A bar for what is left after each stage, with its share of the bar above."""
    rows(axes, [name for name, _ in levels])
    axes.barh(range(len(levels)), [count for _, count in levels], height=0.72, color=BLUE)
    before = None
    for y, (_, count) in enumerate(levels):
        share = f"  ({100 * count / before:.1f} % of the line above)" if before else ""
        _beside(axes, count, y, f"{count:,}{share}")
        before = count
    _bare(axes, "From raw sentence to training list", max(count for _, count in levels))


def _fall(axes: Axes, title: str, steps: list[tuple[str, int, int]]) -> None:
    """Blue bars for what was read and kept, between them an orange piece for each reason."""
    rows(axes, [name for name, _, _ in steps])
    read = steps[0][2]
    for y, (name, begin, length) in enumerate(steps):
        whole = name in ("read", "kept")
        axes.barh(y, length, left=begin, height=0.72, color=BLUE if whole else ORANGE)
        text = f"{length:,}" if y == 0 else f"{'' if whole else '−'}{length:,}  ({100 * length / max(read, 1):.1f} %)"
        _beside(axes, begin + length, y, text)
    for y, (_, begin, _) in enumerate(steps[:-1]):
        edge = begin if y else read  # where the next piece begins, from the right
        axes.plot([edge, edge], [y + 0.36, y + 0.64], color=GREY, linewidth=0.8)
    _bare(axes, title, read)


def _beside(axes: Axes, x: float, y: float, text: str) -> None:
    axes.annotate(text, (x, y), (5, 0), textcoords="offset points", va="center", fontsize=9)


def _bare(axes: Axes, title: str, widest: int) -> None:
    """Bars with their numbers need no axis; room for the numbers at the right."""
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlim(0, max(widest, 1) * 1.32)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
