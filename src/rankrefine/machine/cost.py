"""Expected duration of a run: the floating-point operations of its configuration at the speed of matrix products.

The constants are those of the default run (`make run`). To measure them again, run it in each dtype on an idle machine
and compare it with the speeds that `machine.run.speed` measures there. TOKENS and WORKED follow from tokens and
tokens_per_second in results/generate/00000.json, ENCODER_WORKED from results/benchmarks/refine/; OTHERS is the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from rankrefine.config import views
from rankrefine.generate.run import load_recipe

TOKENS = 22  # of an accepted completion, with those of rejected ones: 56126 tokens / (320 lists x 8 rounds)
# passes of a token through the weights: one or two, and those of reading the prompts (docs/speed.md)
GUIDED, PLAIN = 3.4, 2.4
# part of the speed of matrix products that generation reaches: 99 tokens/s at 190 GFLOP/s in float32, 172 at 430 in
# bfloat16, both before blocks ran side by side, which is 1.2 times as fast
WORKED = {"float32": 0.57, "bfloat16": 0.42}
ENCODER_WORKED = 0.55  # part that training and embedding reach: 194 seconds of two processors at 190 GFLOP/s
SENTENCE = 24  # tokens of a rewrite, for an encoder
KEPT = 0.93  # lists that consolidation keeps: 298 / 320
DEVELOPMENT = 3000 * 14  # tokens of the development data: those of the STS Benchmark
TASKS = {"STSBenchmark", "Representation"}  # tasks whose text is known; they share it
EVALUATED = 2552 * 14  # tokens of that text
OTHERS = 80.0  # seconds for everything else: about 20 starts of Python, fetching, figures
FORWARD, TRAINING = 2, 6  # operations per weight and token

LISTS, EXAMPLES, SENTENCES = "ranking lists", "training examples", "seed sentences"
BASE, REFINED, EVALUATION, REST = "base encoder", "refinement", "evaluation", "the rest"


@dataclass(frozen=True)
class Speeds:
    """Operations per second of matrix products, as measured on this machine."""

    dtype: str  # of the language model
    language_model: float
    encoder: float


def seconds(
    config: dict[str, Any], model: int | None, encoders: Mapping[str, int], speeds: Speeds
) -> dict[str, float | None]:
    """Return the seconds of each part of a run from nothing; None for a part that cannot be told.

    Args:
        config: Complete configuration.
        model: Number of weights with which the language model multiplies a token, or None if it is unknown.
        encoders: The same of the encoders for which it is known, by their sources.
        speeds: Speeds of this machine.
    """
    generating = WORKED.get(speeds.dtype, min(WORKED.values())) * speeds.language_model
    encoding = ENCODER_WORKED * speeds.encoder
    parts: dict[str, float | None] = {}
    for part, passes in _generated(config).items():
        parts[part] = model and FORWARD * model * TOKENS * passes / generating
    if config["base"]["objective"] != "none":
        parts[BASE] = None  # the amount of its data is known later
    for part, operations in ((REFINED, _refined(config, encoders)), (EVALUATION, _evaluated(config, encoders))):
        parts[part] = None if operations is None else operations / encoding
    return parts | {REST: OTHERS}


def _generated(config: dict[str, Any]) -> dict[str, float]:
    """Return the passes through the language model of each thing that it writes, for one token of a completion."""
    parts, shared = {}, config["generate"]
    if views.writes_seeds(config):
        parts[SENTENCES] = PLAIN * config["write"]["count"]
    if config["lists"]["source"] == "generate":
        is_plain = shared["guidance_scale"] in (1, [1])
        parts[LISTS] = (PLAIN if is_plain else GUIDED) * config["seeds"]["count"] * shared["rounds"]
    if views.writes_examples(config):
        requests = load_recipe({key: config[key] for key in ("seed", "examples")}).requests
        parts[EXAMPLES] = PLAIN * config["examples"]["count"] * requests
    return parts


def _refined(config: dict[str, Any], encoders: Mapping[str, int]) -> float | None:
    """Return the operations of embedding by the teachers, and of all trainings with their development scores."""
    base, is_known = encoders.get(config["base"]["model"]), config["lists"]["source"] == "generate"
    teachers = [encoders.get(_encoder(source, config)) for source in views.all_teachers(config)]
    if base is None or None in teachers or not is_known:
        return None
    lists = KEPT * config["seeds"]["count"]
    tokens = lists * (config["generate"]["rounds"] + 1) * SENTENCE
    total = FORWARD * tokens * sum(teachers)
    for name in config["refine"]["experiments"]:
        section = views.experiment(config, name)
        steps = ceil(lists / section["batch_size"] / section["accumulation"]) * section["epochs"]
        every = section["evaluate_every"]
        scores = 1 + (1 / every if every < 1 else steps / every)
        one = base * (TRAINING * section["epochs"] * tokens + FORWARD * scores * DEVELOPMENT)
        total += one * len(views.random_seeds(config))
    return total


def _evaluated(config: dict[str, Any], encoders: Mapping[str, int]) -> float | None:
    """Return the operations of the evaluation of all encoders."""
    section, base = config["evaluate"], config["base"]["model"]
    if section["suites"] or section["data"] or not set(section["tasks"]) <= TASKS:
        return None
    refined = len(config["refine"]["experiments"]) * len(views.random_seeds(config))
    others = [source for _, _, source, _, _ in views.other_encoders(config)]
    sizes = [encoders.get(source) for source in [base] * (1 + refined) + others]
    return None if None in sizes else FORWARD * EVALUATED * sum(sizes)


def _encoder(teacher: str, config: dict[str, Any]) -> str:
    return config["base"]["model"] if teacher == "base" else teacher
