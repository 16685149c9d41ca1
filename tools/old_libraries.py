"""Open saved encoders in older versions of sentence-transformers: python tools/old_libraries.py [FOLDER ...]

Prints for each version and encoder the largest difference to the embeddings of the current version, and fails if one
does not open or differs by more than TOLERANCE. Tiny random encoders of several kinds, with all poolings, are always
tried; each FOLDER is an encoder that a run has written, such as results/encoder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from rankrefine.encoders.opening import open_encoder
from rankrefine.encoders.saving import save
from rankrefine.export.card import OLDEST

ROOT = Path(__file__).parents[1]
# versions of sentence-transformers, each with a transformers of its time
VERSIONS = {
    OLDEST: "transformers==4.49.0",
    "4.1.0": "transformers<5",
    "5.0.0": "transformers<5",
    "5.4.1": "transformers",
}
POOLINGS = ("mean", "cls", "cls_head")
KINDS = ("roberta", "xlm-roberta", "mpnet", "distilbert", "modernbert", "electra", "t5")
TEXTS = ["one two three", "A man is playing a guitar, slowly.", "no " * 200]
TOLERANCE = 1e-5
ENCODE = """
import json, sys
from sentence_transformers import SentenceTransformer
texts = json.loads(sys.argv[1])
for folder in sys.argv[2:]:
    try:
        vectors = SentenceTransformer(folder, device="cpu").encode(texts, show_progress_bar=False).tolist()
    except Exception as error:
        vectors = f"{type(error).__name__}: {error}"
    print(json.dumps(vectors))
"""


def main(folders: list[str]) -> int:
    """Compare all versions; return 1 if an encoder does not open or differs."""
    with tempfile.TemporaryDirectory() as scratch:
        encoders = [*_encoders(Path(scratch)), *map(Path, folders)]
        expected = [open_encoder(folder, threads=1).encode(TEXTS) for folder in encoders]
        return max([_compare(version, encoders, expected) for version in VERSIONS])


def _encoders(scratch: Path) -> list[Path]:
    """Save BERT with each pooling and a prompt, and other kinds of transformers with random weights."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    base = scratch / "base"
    subprocess.run([sys.executable, ROOT / "tests" / "miniature" / "encoder.py", base], check=True)
    models = {f"bert-{pooling}": open_encoder(base, pooling, "query: ") for pooling in POOLINGS}
    tokenizer = AutoTokenizer.from_pretrained(base)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    special = {f"{name}_token_id": 0 for name in ("pad", "cls", "sep", "bos", "eos")}
    for kind in KINDS:
        torch.manual_seed(0)
        config = AutoConfig.for_model(kind, vocab_size=len(tokenizer), initializer_range=0.2, **sizes, **special)
        bare = scratch / "bare" / kind
        AutoModel.from_config(config).save_pretrained(bare)
        tokenizer.save_pretrained(bare)
        models[kind] = open_encoder(bare, "mean")
    for name, model in models.items():
        save(model, scratch / name)
    return [scratch / name for name in models]


def _compare(version: str, encoders: list[Path], expected: list[np.ndarray]) -> int:
    environment = ROOT / f".venv-sentence-transformers-{version}"
    python = environment / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    packages = [f"sentence-transformers=={version}", VERSIONS[version]]
    subprocess.run([python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *packages], check=True)
    command = [python, "-c", ENCODE, json.dumps(TEXTS), *map(str, encoders)]
    offline = os.environ | {"HF_HUB_OFFLINE": "1"}
    lines = subprocess.run(command, env=offline, check=True, capture_output=True, text=True).stdout.splitlines()
    failed = 0
    for folder, vectors, line in zip(encoders, expected, lines, strict=True):
        result = json.loads(line)
        difference = np.inf if isinstance(result, str) else float(np.abs(np.array(result) - vectors).max())
        failed |= difference > TOLERANCE
        print(version, folder.name, result if isinstance(result, str) else f"{difference:.1e}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
