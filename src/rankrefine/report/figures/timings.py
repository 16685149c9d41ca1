"""Figure of the time and memory of each stage."""

from matplotlib import rc_context
from matplotlib.figure import Figure

from rankrefine.report.figures.style import BLUE, ORANGE, STYLE, label_bar, rows
from rankrefine.report.records import Records


@rc_context(STYLE)
def timings(records: Records) -> Figure:
    """Draw the wall time of each stage, summed over its jobs, and the memory of its largest job."""
    stages = records.stages
    figure = Figure(figsize=(9, 1.5 + 0.4 * len(stages)))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    left.barh(range(len(stages)), [stage.seconds for stage in stages], height=0.7, color=BLUE)
    right.barh(range(len(stages)), [stage.memory or 0 for stage in stages], height=0.7, color=ORANGE)
    for y, stage in enumerate(stages):
        jobs = f" in {len(stage.jobs)} jobs" if len(stage.jobs) > 1 else ""
        label_bar(left, stage.seconds, y, duration(stage.seconds) + jobs)
        label_bar(right, stage.memory or 0, y, "unknown" if stage.memory is None else f"{stage.memory:,.0f} MB")
    rows(left, [stage.name for stage in stages])
    right.grid(axis="y", visible=False)
    right.tick_params(axis="y", length=0)
    for axes, label in ((left, "seconds, sum over all jobs"), (right, "peak memory in MB, largest job")):
        axes.set_xlim(0, axes.dataLim.x1 * 1.35 or 1)
        axes.xaxis.get_major_locator().set_params(nbins=4)
        axes.set_xlabel(label)
    return figure


def duration(seconds: float) -> str:
    """Format seconds for readers: 8.3 s, 2 min 47 s, 3 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
