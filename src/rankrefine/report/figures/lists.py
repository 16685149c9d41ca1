"""Figures of the ranking lists: similarity by rank, order of the targets, and drops."""

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rankrefine.report.figures.style import (
    BLUE,
    GREY,
    LONGEST,
    ORANGE,
    PALE,
    RED,
    STYLE,
    WIDTH,
    Look,
    label_bar,
    looks,
    rows,
    short,
)
from rankrefine.report.records import Record, Records
from rankrefine.report.target_order import Agreement

GIVEN_UP = "given up: "  # prefix of the reasons that consolidation repeats from generation


@rc_context(STYLE)
def similarity(records: Records) -> Figure:
    """Draw the teacher's cosine to the seed sentence by rank: mean, bands of lists, and the mean of sorted lists."""
    ranks = records.similarity["by_rank"]
    x = [entry["rank"] for entry in ranks]
    figure = Figure(figsize=(WIDTH, 4.2))
    axes = figure.subplots()
    for low, high, opacity in (("q10", "q90", 0.15), ("q25", "q75", 0.3)):
        label = f"{low[1:]} to {high[1:]} % of lists"
        band = ([entry[low] for entry in ranks], [entry[high] for entry in ranks])
        axes.fill_between(x, *band, color=BLUE, alpha=opacity, linewidth=0, label=label)
    axes.plot(x, [entry["mean"] for entry in ranks], "o-", color=BLUE, markersize=4, label="mean")
    label = "mean of the same sentences, perfectly ordered"
    axes.plot(x[: len(records.ideal)], records.ideal[: len(x)], "--", color=RED, linewidth=1.8, label=label)
    axes.set_xlabel("rank in the list (0 is the seed sentence)")
    axes.set_ylabel("teacher cosine to the seed")
    axes.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(loc="outside lower center", ncols=2, fontsize=10)
    if (share := records.similarity.get("in_order")) is not None:
        axes.set_title(f"neighbouring rewrites in the generated order: {100 * share:.1f} %", loc="left", fontsize=11)
    return figure


@rc_context(STYLE)
def target_order(records: Records) -> Figure:
    """Draw the share of pairs that each experiment's targets rank in generated order, and as the teacher does."""
    agreements = records.agreements
    height = 1.0 + 0.42 * len(agreements)
    figure = Figure(figsize=(WIDTH, height + 3.2))
    top, bottom = figure.subplots(2, 1, height_ratios=(height, 3.0))
    _shares(top, agreements)
    _shares_by_rank(bottom, records)
    if len(agreements) > 1:
        figure.legend(handles=bottom.get_lines(), loc="outside lower center", fontsize=10, ncols=2)
    return figure


def _shares(axes: Axes, agreements: list[Agreement]) -> None:
    """Draw a line for each experiment between the shares of both orders."""
    for y, each in enumerate(agreements):
        axes.plot([each.generated, each.teacher], [y, y], color=PALE, linewidth=2, zorder=1)
        axes.plot(each.generated, y, "o", color=BLUE, markersize=8)
        axes.plot(each.teacher, y, "s", color=ORANGE, markersize=8)
    axes.plot([], [], "o", color=BLUE, label="as generated")
    axes.plot([], [], "s", color=ORANGE, label="as the teacher")
    names = [each.name if each.target in each.name else f"{short(each.name)}\n({each.target})" for each in agreements]
    rows(axes, names, longest=2 * LONGEST)
    axes.tick_params(axis="y", labelsize=9 if len(agreements) > 1 else 11)
    axes.set_xlim(0.5 if all(min(each.generated, each.teacher) > 0.5 for each in agreements) else 0, 1.02)
    axes.set_xlabel("share of pairs that the targets rank this way")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)


def _shares_by_rank(axes: Axes, records: Records) -> None:
    """Draw a curve for each experiment: the share of pairs in generated order by row of the targets."""
    assigned = looks(records.experiments, records.chosen)
    for each in records.agreements:
        look = assigned.get(each.name, Look(GREY, "", ":"))
        style = {"color": look.color, "marker": look.marker, "linestyle": look.dashes}
        width = 2.4 if each.name == records.chosen else 1.2
        axes.plot(each.by_rank, markersize=4, label=short(each.name), linewidth=width, **style)
    axes.set_xlabel("rank of the sentence to which others are ranked")
    axes.set_ylabel("share as generated")
    axes.xaxis.get_major_locator().set_params(integer=True)


@rc_context(STYLE)
def drops(records: Records) -> Figure:
    """Draw the number of sentences or lists that is left after every stage, and the reasons for drops."""
    pool, lists = records.seeds, records.consolidate
    given_up = sum(count for reason, count in lists["dropped"].items() if reason.startswith(GIVEN_UP))
    levels = [
        ("raw sentences", pool["read"]),
        ("seed sentences in the pool", pool["kept"]),
        ("rewritten (seeds.count)", lists["read"]),
        ("complete chains", lists["read"] - given_up),
        ("ranking lists", lists["kept"]),
        ("of them trained on", _trained(records)),
    ]
    falls = [
        ("Dropped on the way to the pool", _pieces(pool)),
        ("Dropped on the way to ranking lists", _pieces(lists)),
    ]
    lengths = [len(levels), *(len(pieces) for _, pieces in falls)]
    figure = Figure(figsize=(WIDTH, 2.0 + 0.27 * sum(lengths)))
    panels = figure.subplots(3, 1, height_ratios=[length + 1.2 for length in lengths])
    _levels(panels[0], levels)
    for axes, (title, pieces) in zip(panels[1:], falls, strict=True):
        _fall(axes, title, pieces)
    return figure


def dropped(record: Record) -> list[tuple[str, int]]:
    """Return the reasons for drops and their counts, the most frequent first."""
    counted = sorted(record["dropped"].items(), key=lambda item: (-item[1], item[0]))
    return [(reason, count) for reason, count in counted if count]


def _trained(records: Records) -> int:
    """Return the number of lists in the training of the exported encoder; held-out development lists do not count."""
    lists = records.history.get("lists", records.consolidate["kept"])
    return lists - (records.history.get("development_data") or {}).get("lists", 0)


def _pieces(record: Record) -> list[tuple[str, int, int]]:
    """Return label, start and length of each bar: items read, one piece for each reason from the right, items kept."""
    left = record["read"]
    pieces = [("read", 0, left)]
    for reason, count in dropped(record):
        left -= count
        pieces.append((reason, left, count))
    return [*pieces, ("kept", 0, int(record["kept"]))]


def _levels(axes: Axes, levels: list[tuple[str, int]]) -> None:
    """Draw a bar for each level, with its share of the bar above."""
    rows(axes, [name for name, _ in levels])
    axes.barh(range(len(levels)), [count for _, count in levels], height=0.72, color=BLUE)
    above = [0, *(count for _, count in levels)]
    for y, (_, count) in enumerate(levels):
        share = f"  ({100 * count / above[y]:.1f} % of the line above)" if above[y] else ""
        label_bar(axes, count, y, f"{count:,}{share}")
    _hide_axis(axes, "From raw sentence to training list", max(count for _, count in levels))


def _fall(axes: Axes, title: str, pieces: list[tuple[str, int, int]]) -> None:
    """Draw blue bars for the items read and kept, and an orange piece for each reason between them."""
    rows(axes, [name for name, _, _ in pieces], longest=40)
    read = pieces[0][2]
    for y, (name, begin, length) in enumerate(pieces):
        whole = name in ("read", "kept")
        axes.barh(y, length, left=begin, height=0.72, color=BLUE if whole else ORANGE)
        text = f"{length:,}" if y == 0 else f"{'' if whole else '−'}{length:,}  ({100 * length / max(read, 1):.1f} %)"
        label_bar(axes, begin + length, y, text)
    for y, (_, begin, _) in enumerate(pieces[:-1]):
        edge = begin if y else read  # the next piece ends here
        axes.plot([edge, edge], [y + 0.36, y + 0.64], color=GREY, linewidth=0.8)
    _hide_axis(axes, title, read)


def _hide_axis(axes: Axes, title: str, widest: int) -> None:
    """Remove the axis below bars that are labelled with their numbers, and leave room for these at the right."""
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlim(0, max(widest, 1) * 1.32)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
