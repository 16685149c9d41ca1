"""The command line: `python -m rankrefine VERB`, one verb per workflow rule. Parses arguments, holds no logic.

Each verb imports its stage when it is called, so that `--help` is instant and cheap stages load no torch.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from rankrefine import __version__, gpus, io
from rankrefine.cli.commands import ALONE, FLAGS, VERBS
from rankrefine.config import load as configuration
from rankrefine.errors import UserError

log = logging.getLogger("rankrefine")


def main(arguments: list[str] | None = None) -> int:
    """Run one verb and return the exit code: 0, 1 after a `UserError`, 143 after SIGTERM."""
    options = _options(arguments)
    file, call = options.pop("log"), options.pop("call")
    options.pop("verb")
    # SIGTERM (scancel, a time limit) unwinds like an exception, so that nothing half written stays behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with io.writing(file):
            _set_up_logging(file)
        # where a library's words for a full disk have become another error on their way, or nothing atomic was written
        with io.writing(options.get("output") or "its files"):
            _run(call, options)
    except UserError as error:
        log.error("rankrefine: error: %s", error)
        return 1
    except KeyboardInterrupt:
        log.error("rankrefine: interrupted.")
        return 130
    except Exception:
        log.exception("rankrefine: this is a defect, please report it with this trace:")
        return 2
    return 0


def _run(call: str | Callable[..., None], options: dict[str, Any]) -> None:
    """Read the configuration, take GPUs, and do what the verb is for."""
    if options.get("config") is not None:
        options["config"] = configuration.load(options["config"])
    if (wanted := options.pop("gpus", None)) is not None:
        gpus.take(max(wanted, options.get("processes", 1)) if wanted else 0)
    _function(call)(**options)


def _options(arguments: list[str] | None) -> dict[str, Any]:
    """The parsed arguments. A preview or a listing finds by itself what a verb must otherwise be told."""
    parser = _parser()
    options = vars(parser.parse_args(arguments))
    needed = [flag for flag in VERBS[options["verb"]][2] if FLAGS[flag].get("required")]
    missing = ", ".join(_spelled(flag) for flag in needed if options[flag] is None)
    if missing and not any(options.get(flag) for flag in ALONE):
        parser.error(f"the following arguments are required: {missing}")
    if options.get("list") is False:
        options["config"] = None  # an evaluation is told all it needs; the listing alone reads the configuration
    return options


def _function(target: str | Callable[..., None]) -> Callable[..., None]:
    """The function of a verb: itself, or the one that "module:function" names."""
    if callable(target):
        return target
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def _spelled(flag: str) -> str:
    return f"--{flag.replace('_', '-')}"


def _set_up_logging(file: Path | None) -> None:
    """Messages go to the terminal, and with time stamps to `file`; progress bars only to a terminal."""
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # the libraries' own bars too; before tqdm is imported
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # else a log on a full disk covers the terminal with traces
    terminal = logging.StreamHandler()
    terminal.setFormatter(logging.Formatter("%(message)s"))
    logging.getLogger("py.warnings").setLevel(logging.ERROR)
    logging.basicConfig(level=logging.WARNING, handlers=[terminal])
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        written = logging.FileHandler(file, encoding="utf-8")
        written.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.getLogger().addHandler(written)
    log.setLevel(logging.INFO)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rankrefine", description="Refine a sentence encoder with LLM-made rankings."
    )
    parser.add_argument("--version", action="version", version=f"rankrefine {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, (call, summary, flags) in VERBS.items():
        verb = verbs.add_parser(name, help=summary, description=summary)
        verb.set_defaults(call=call)
        for flag in flags:
            optional = {"required": False} if set(ALONE) & set(flags) and "required" in FLAGS[flag] else {}
            verb.add_argument(_spelled(flag), **FLAGS[flag] | optional)
        verb.add_argument("--log", type=Path, help="Also write messages to this file.")
    return parser
