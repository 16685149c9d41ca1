"""Progress of long work: a bar on a terminal, and a line in the log at least every 30 seconds.

The lines go to a job's log file, and to stderr where that is no terminal.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from types import TracebackType
from typing import TypeVar

log = logging.getLogger(__name__)

EVERY = 30.0  # seconds between two lines at most
SLACK = 10.0  # seconds by which a step may be longer than the one before it, without a line that comes too late
DRAW = 0.1  # seconds between two drawings of the bar at least
COUNT = "{done} of {total}"

Item = TypeVar("Item")


class Progress:
    """Progress of one piece of work; a context manager.

    Args:
        name: The work, such as `generate 00000`.
        total: Number of units of work; None if it is unknown.
        count: Template of the counted units, such as `step {done} of {total}`.
        done: Units that an earlier process has finished.
        is_shown: False in all processes but one that do the same work.
        clock: Returns the time in seconds.
    """

    def __init__(
        self,
        name: str,
        total: int | None,
        count: str = COUNT,
        done: int = 0,
        is_shown: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        from tqdm import tqdm  # here, because the command line sets the variables that it reads when it is imported

        self.name, self._total, self._count, self._is_shown, self._clock = name, total, count, is_shown, clock
        self._began = self._checked = self._logged = self._drawn = clock()
        self._done, self._note, self._share = done, "", done / total if total else 0.0
        self._free = self._share  # part of the work that has taken no time
        layout = "{desc} |{bar:20}|{postfix}" if total else "{desc}{postfix}"
        disable = None if is_shown else True  # None disables the bar without a terminal
        self._bar = tqdm(total=total and 1.0, desc=name, bar_format=layout, miniters=0, mininterval=0, disable=disable)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Draw the bar for the last time."""
        self._draw()
        self._bar.close()

    @property
    def done(self) -> int:
        """Number of finished units."""
        return self._done

    def skip(self, units: int) -> None:
        """Count units that an earlier process has finished; they say nothing about the time that is left."""
        if self._total:
            self._free += units / self._total
        self.to(self._done + units)

    def to(self, done: int, note: str = "", share: float | None = None) -> None:
        """Record the units that are finished now.

        Args:
            done: Number of finished units.
            note: Further facts, such as the speed.
            share: Finished part of the work, 0 to 1, if units are not finished evenly (default: `done` of the total).
        """
        now = self._clock()
        gap, self._checked = now - self._checked, now
        self._done, self._note = done, note
        self._share = share if share is not None else done / self._total if self._total else 0.0
        if now - self._logged + max(gap, SLACK) > EVERY and self._is_shown:
            self._logged = now
            log.info("%s: %s", self.name, self.text())
        if now - self._drawn >= DRAW:
            self._drawn = now
            self._draw()

    def text(self) -> str:
        """Return the count, the note and the time that is left, as far as they are known."""
        parts = [self._count.format(done=self._done, total=self._total), self._note, self._left()]
        return ", ".join(part for part in parts if part)

    def _left(self) -> str:
        worked = self._share - self._free
        if worked <= 0 or self._share >= 1:
            return ""
        minutes = (self._checked - self._began) * (1 - self._share) / worked / 60
        return f"about {minutes:.0f} min left" if minutes >= 1 else "less than 1 min left"

    def _draw(self) -> None:
        if not self._bar.disable:
            self._bar.set_postfix_str(self.text(), refresh=False)
            self._bar.update(self._share - self._bar.n)


def track(
    items: Iterable[Item],
    name: str,
    count: str = COUNT,
    total: int | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Item]:
    """Yield the items, and show how many the caller has finished; arguments as for `Progress`."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Progress(name, total, count, clock=clock) as progress:
        for done, item in enumerate(items, start=1):
            yield item
            progress.to(done)


def is_for_stderr(record: logging.LogRecord) -> bool:
    """Return False for lines that a bar replaces; a filter of the handler for stderr."""
    return record.name != __name__ or not sys.stderr.isatty()
