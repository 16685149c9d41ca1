"""Inputs and runs of trainings, for `test_training.py`: python trainings.py INPUTS OUTPUT [KEYS OF refine, as JSON].

As a script it refines an encoder on the processor, in a process that sees no GPU.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# encoders: without dropout, so that devices agree; with it; and one without pooling
STEADY, DROPPING, BARE = "steady", "dropping", "bare"
SENTENCES = 6  # in a list
BATCH = 8  # sentences in a step of `prepare_base`


def prepare(folder: Path, shape: str, device: str, lists: int) -> None:
    """Write encoders, ranking lists, pairs and development data to the folder."""
    import made_up
    import pyarrow as pa

    from rankrefine import io
    from rankrefine.assets.manifest import write_manifest

    encoders = {
        STEADY: made_up.encoder(shape, folder / STEADY, device, dropout=0),
        DROPPING: made_up.encoder(shape, folder / DROPPING, device),
        BARE: made_up.masked_language_model(shape, folder / BARE, device),
    }
    for name, path in encoders.items():
        write_manifest(folder / f"{name}.json", source=name, kind="model", path=path)
    chains = made_up.chains(shape, lists, SENTENCES - 1)
    table = {"seed_id": [f"list{i}" for i in range(lists)], "sentences": chains}
    io.write_table(folder / "lists.parquet", pa.table(table))
    scored = made_up.chains(shape, 30, 10, seed=1)
    columns = {
        "sentence1": [chain[0] for chain in scored],
        "sentence2": [chain[1 + i % 10] for i, chain in enumerate(scored)],
        "score": [float(-(i % 10)) for i in range(len(scored))],
    }
    io.write_table(folder / "development" / "validation.parquet", pa.table(columns))
    write_manifest(folder / "development.json", source="pairs", kind="dataset", path=folder / "development")
    texts = [sentence for chain in chains for sentence in chain]
    io.write_table(folder / "sentences.parquet", pa.table({"text": texts}))


def embed(folder: Path, output: Path) -> Path:
    """Embed the lists with the steady encoder as a teacher."""
    from rankrefine.config import load as configuration
    from rankrefine.refine import teacher

    arguments = (configuration.defaults(), folder / "lists.parquet", folder / f"{STEADY}.json", None)
    teacher.run(*arguments, output, output.with_suffix(".json"))
    return output


def refine(folder: Path, output: Path, model: str = STEADY, **settings: object) -> dict[str, Any]:
    """Refine an encoder; return the history and write the weights before and after all steps, as .safetensors."""
    from rankrefine import io
    from rankrefine.config import load as configuration
    from rankrefine.refine import run

    config = configuration.defaults() | {"seed": 7}
    chosen = {"learning_rate": 1e-4, "batch_size": 2, "evaluate_every": 2, "epochs": 1} | settings
    with keeping_weights(output):
        run.run(
            "refined",
            config | {"refine": config["refine"] | chosen},
            lists=folder / "lists.parquet",
            teacher_embeddings=[folder / "teacher.safetensors"],
            weights=[1.0],
            model=folder / f"{model}.json",
            development=folder / "development.json",
            report_to=[],
            threads=None,
            code=[],
            output=output / "model",
            manifest=output / "model.json",
            history=output / "history.json",
        )
    return io.read_json(output / "history.json")


def prepare_base(folder: Path, output: Path, **settings: object) -> dict[str, Any]:
    """Train a bare transformer on single sentences, guided by the steady encoder; return the record."""
    from rankrefine import io
    from rankrefine.base import run
    from rankrefine.config import load as configuration

    config = configuration.defaults() | {"seed": 7}
    chosen = {"pooling": "mean", "guide": STEADY, "learning_rate": 1e-4, "batch_size": BATCH, "evaluate_every": 2}
    run.run(
        config | {"base": config["base"] | chosen | settings},
        model=folder / f"{BARE}.json",
        examples=folder / "sentences.parquet",
        development=folder / "development.json",
        threads=None,
        code=[],
        output=output / "model",
        manifest=output / "model.json",
        history=output / "history.json",
        guides=[folder / f"{STEADY}.json"],
        guide_weights=[1.0],
    )
    return io.read_json(output / "history.json")


def keeping_weights(output: Path) -> Any:
    """Write the weights to `start.safetensors` and `end.safetensors` when a training begins and when it ends."""
    from safetensors.torch import save_file

    from rankrefine.training.best_step import BestStep

    def keeping(name: str) -> Any:
        called = getattr(BestStep, f"on_train_{name}")

        def call(self: BestStep, *arguments: Any, **keywords: Any) -> None:
            called(self, *arguments, **keywords)
            output.mkdir(parents=True, exist_ok=True)
            weights = {key: value.detach().cpu() for key, value in self.model.state_dict().items()}
            save_file(weights, output / f"{name.replace('begin', 'start')}.safetensors")

        return call

    return mock.patch.multiple(BestStep, on_train_begin=keeping("begin"), on_train_end=keeping("end"))


def refine_without_gpu(folder: Path, output: Path, **settings: object) -> dict[str, Any]:
    """Do what `embed` and `refine` do in a process that sees no GPU."""
    paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    paths += [path for path in sys.path if Path(path) in (HERE / "stand_in", ROOT / "benchmarks")]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, __file__, str(folder), str(output), json.dumps(settings)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((output / "history.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    inputs, place = map(Path, sys.argv[1:3])
    embed(inputs, place / "teacher.safetensors")
    refine(inputs, place, **json.loads(sys.argv[3]))
