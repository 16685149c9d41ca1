"""Figure of the time of each stage."""

from matplotlib import rc_context
from matplotlib.figure import Figure

from rankrefine.report.figures.style import BLUE, STYLE, WIDTH, label_bar, rows
from rankrefine.report.records import Records


@rc_context(STYLE)
def timings(records: Records) -> Figure:
    """Draw the wall time of each stage, summed over its jobs."""
    stages = records.stages
    figure = Figure(figsize=(WIDTH, 1.1 + 0.36 * len(stages)))
    axes = figure.subplots()
    axes.barh(range(len(stages)), [stage.seconds for stage in stages], height=0.7, color=BLUE)
    for y, stage in enumerate(stages):
        jobs = f" in {len(stage.jobs)} jobs" if len(stage.jobs) > 1 else ""
        label_bar(axes, stage.seconds, y, duration(stage.seconds) + jobs)
    rows(axes, [stage.name for stage in stages])
    axes.set_xlim(0, axes.dataLim.x1 * 1.35 or 1)
    axes.xaxis.get_major_locator().set_params(nbins=5)
    axes.set_xlabel("seconds, sum over all jobs")
    return figure


def duration(seconds: float) -> str:
    """Format seconds for readers: 8.3 s, 2 min 47 s, 3 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
