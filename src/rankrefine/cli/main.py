"""Command line: `python -m rankrefine COMMAND`, for the workflow's jobs and for users. Contains no logic.

A stage is imported when its command runs, so that `--help` is instant and cheap stages load no torch.
"""

import argparse
import logging
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from rankrefine import __version__, gpus, io, progress
from rankrefine.cli import signature
from rankrefine.cli.commands import COMMANDS, rule
from rankrefine.config import views
from rankrefine.config.load import load
from rankrefine.errors import UserError

log = logging.getLogger("rankrefine")


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code: 0, 1 after a `UserError`, 2 after a bug, 130 or 143 after a signal."""
    # characters that a terminal without UTF-8 lacks are escaped, as Python does for stderr, instead of an error
    sys.stdout.reconfigure(errors="backslashreplace")
    options = vars(_parser().parse_args(arguments))
    command, file, count = (options.pop(name) for name in ("command", "log", "gpus"))
    # SIGTERM (scancel, a time limit) unwinds like an exception, so that no temporary file is left behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with io.writing(file):
            _set_up_logging(file)
        # for errors about a full disk that a library has converted, or that occur outside of an atomic write
        with io.writing(options.get("output") or "its files"):
            _run(command, options, count)
    except UserError as error:
        log.error("rankrefine: error: %s", error)
        return 1
    except KeyboardInterrupt:
        log.error("rankrefine: interrupted.")
        return 130
    except Exception:
        log.exception("rankrefine: this is a bug, please report it with this traceback:")
        return 2
    return 0


def _run(command: str, options: dict[str, Any], count: int | None) -> None:
    """Load the configuration, reserve GPUs, and call the function of the command."""
    if options.get("config") is not None:
        config = load(options["config"])
        options["config"] = views.for_rule(config, rule(command)) or config  # all of it for a command without a rule
    if count is not None:
        gpus.take(max(count, options.get("processes", 1)) if count else 0)
    import_module(COMMANDS[command]).run(**options)


def _set_up_logging(file: Path | None) -> None:
    """Log to stderr, and with time stamps to `file`; show progress bars on a terminal only."""
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # also for the libraries' bars; before tqdm is imported
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a log file on a full disk would fill the terminal with tracebacks
    terminal = logging.StreamHandler()
    terminal.setFormatter(logging.Formatter("%(message)s"))
    terminal.addFilter(progress.is_for_stderr)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)
    logging.basicConfig(level=logging.WARNING, handlers=[terminal])
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(file, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.getLogger().addHandler(handler)
    log.setLevel(logging.INFO)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rankrefine", description="Refine a sentence encoder with ranking lists from a language model."
    )
    parser.add_argument("--version", action="version", version=f"rankrefine {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        summary, flags = signature.read(module)
        command = commands.add_parser(name, help=summary.replace("%", "%%"), description=summary)
        for flag, flag_options in flags.items():
            command.add_argument(flag, **flag_options)
        command.add_argument("--log", type=Path, help="File to which log messages are also written.")
        command.add_argument(
            "--gpus",
            type=int,
            metavar="N",
            help="GPUs to reserve unless a scheduler assigned them; 0 hides all (default: use all).",
        )
    return parser
