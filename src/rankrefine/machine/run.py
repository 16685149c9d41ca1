"""`python -m rankrefine machine`: how this machine computes, and how long a run takes on it; a run begins with it."""

import os
import platform
import time
from pathlib import Path
from typing import Any

from rankrefine.config import views
from rankrefine.machine import cost, weights

# before torch is imported: threads that wait must not spin, or `speed` would count their time while other programs run
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
import torch

from rankrefine.llm.transformers.precision import choose_device, choose_dtype, instructions

ROWS, WIDTH, LAYER = 256, 576, 1536  # of the measured product: the default language model with a full batch
SECONDS = 1.0  # of measuring
BATCH = 0.1  # seconds between two looks at the processor time, which is counted in steps of milliseconds


def run(config: dict[str, Any], threads: int | None = None) -> None:
    """Say how this machine computes, how long a run from nothing takes on it, and where its progress is shown.

    Args:
        config: Configuration: a YAML file or inline JSON.
        threads: CPU threads of a job (default: all).

    Raises:
        UserError: generate.device is cuda and there is no GPU.
    """
    if threads:
        torch.set_num_threads(threads)
    settings = config["generate"]
    uses_engine = settings["engine"] == "transformers" and views.runs_language_model(config)
    device = choose_device(settings["device"] if uses_engine else "auto")
    dtype = choose_dtype(settings["dtype"], device)
    place = torch.cuda.get_device_name() if device.type == "cuda" else _processor()
    how = f"; the language model runs in {_name(dtype)}" if uses_engine else ""
    print(f"Machine: {place}{how}.")
    if device.type == "cpu" and settings["engine"] == "transformers":
        encoder = speed(torch.float32)
        speeds = cost.Speeds(_name(dtype), encoder if dtype == torch.float32 else speed(dtype), encoder)
        if text := estimate(cost.seconds(config, weights.language_model(config), weights.encoders(config), speeds)):
            print(text)
    print("Progress: a line at least every 30 seconds, here and in results/logs/ (docs/usage.md).")


def speed(dtype: torch.dtype, seconds: float = SECONDS / 2) -> float:
    """Measure matrix products in `dtype` for some seconds; return their operations per second.

    The fastest batch counts, by the processor time of all threads, so that other programs have little influence.
    """
    rows, layer = torch.randn(ROWS, WIDTH).to(dtype), torch.randn(LAYER, WIDTH).to(dtype)
    end, fastest = time.perf_counter() + seconds, float("inf")
    with torch.inference_mode():
        torch.nn.functional.linear(rows, layer)  # the first one starts the threads
        while time.perf_counter() < end:
            began, until, products = time.process_time(), time.perf_counter() + BATCH, 0
            while time.perf_counter() < until:
                torch.nn.functional.linear(rows, layer)
                products += 1
            fastest = min(fastest, (time.process_time() - began) / products)
    return 2 * ROWS * WIDTH * LAYER * torch.get_num_threads() / fastest


def estimate(parts: dict[str, float | None]) -> str:
    """Return the expected minutes in words, with those of each part, or nothing where little is known."""
    known = {part: seconds for part, seconds in parts.items() if seconds is not None}
    if set(known) <= {cost.EVALUATION, cost.REST}:
        return ""
    details = ", ".join(f"{part} {_minutes(seconds)}" for part, seconds in known.items() if seconds >= 60)
    missing = [part for part in parts if part not in known]
    more = f" Not counted: {', '.join(missing)}." if missing else ""
    return f"A run from nothing takes about {_minutes(sum(known.values()))}{f' ({details})' if details else ''}.{more}"


def _minutes(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 120 else f"{seconds / 3600:.0f} hours"


def _processor() -> str:
    """Return the name of the processor, the instructions that torch uses, and the number of its threads."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    threads = torch.get_num_threads()
    return ", ".join([name, *instructions(), f"{threads} thread{'s' if threads > 1 else ''}"])


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
