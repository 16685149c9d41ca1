"""Source strings: five forms in which the configuration names a model or a data set.

    embedded:NAME                       a pinned package of the Python package index (see rankrefine/assets)
    hub:ORG/NAME@REVISION[#SUBSET]      the Hugging Face hub; the revision is required, a subset is for data sets
    mteb:TASK                           the data of an MTEB task, from the hub at the revision that MTEB pins
    some/model.gguf                     a local language model, converted once
    some/path                           a local file or folder, used in place

Standard library only: the Snakefile imports this in every cluster job.
"""

import hashlib
import os
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from rankrefine import hub_names
from rankrefine.errors import UserError

EMBEDDED_MODELS = ("smollm2-135m-instruct", "all-minilm-l6-v2")
EMBEDDED_DATASETS = ("stsb", "vader")

Kind = Literal["model", "dataset"]


@dataclass(frozen=True)
class Source:
    """Parsed source string. `slug` names its files under results/assets and is unique per source and kind."""

    text: str
    kind: Kind
    form: Literal["embedded", "hub", "mteb", "gguf", "local"]
    slug: str

    @property
    def name(self) -> str:
        """Name of the embedded asset or the MTEB task."""
        return self.text.partition(":")[2]

    @property
    def hub(self) -> tuple[str, str, str | None]:
        """Repository id, revision and subset of a hub source."""
        return hub_names.SOURCE.fullmatch(self.text).group("repository", "revision", "subset")

    @property
    def files(self) -> list[str]:
        """Files of a local or GGUF source, sorted, without hidden files."""
        path = Path(self.text)
        if path.is_file():
            return [self.text]
        files = (file for file in path.rglob("*") if file.is_file())
        return sorted(str(f) for f in files if not any(part.startswith(".") for part in f.relative_to(path).parts))


def parse(text: str, kind: Kind, key: str) -> Source:
    """Parse a source string, the value of config key `key`.

    Raises:
        UserError: unknown embedded name, hub id without a fixed revision, no such local file or folder, or one in the
            results folder or with braces or <> in its name.
    """
    if text.startswith("embedded:"):
        name = text.removeprefix("embedded:")
        known = EMBEDDED_MODELS if kind == "model" else EMBEDDED_DATASETS
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean embedded:{near[0]}?" if near else f"known names: {', '.join(known)}."
            raise UserError(f"{key}: there is no embedded {kind} '{name}'; {hint}")
        return Source(text, kind, "embedded", name)
    if text.startswith("hub:"):
        if not (match := hub_names.SOURCE.fullmatch(text)):
            raise UserError(f"{key}: '{text}' must have the form hub:ORG/NAME@REVISION, with a commit or a tag.")
        if match["revision"] in ("main", "master"):
            raise UserError(f"{key}: '{text}' names a branch, which changes; use a commit or a tag.")
        return Source(text, kind, "hub", _slug("hub", text, kind))
    if text.startswith("mteb:"):
        if kind != "dataset" or not re.fullmatch(r"mteb:[\w.-]+", text):
            raise UserError(f"{key}: '{text}' must have the form mteb:TASK and can only be a data set.")
        return Source(text, kind, "mteb", _slug("mteb", text, kind))
    refuse_results(text, key)
    if not os.path.exists(text):  # also False for a name that no file system allows
        forms = "an existing path, embedded:NAME or hub:ORG/NAME@REVISION"
        raise UserError(f"{key}: there is no file or folder '{text}'; use {forms}.")
    form = "gguf" if kind == "model" and is_gguf(text) else "local"
    source = Source(text, kind, form, _slug(form, text, kind))
    for file in source.files:
        if {"{", "}"} & set(file):
            raise UserError(f"{key}: Snakemake would read the braces in '{file}' as wildcards; rename the file.")
        if re.search("<.*>", file):
            raise UserError(f"{key}: Snakemake would read the <> in '{file}' as a variable; rename the file.")
    return source


def refuse_results(path: str, key: str) -> None:
    """Refuse a local path, the value of config key `key`, that leads to results of the run in the working directory.

    The run would change its own input, and plan its jobs again every time.

    Raises:
        UserError: the path is in the results folder, contains it, or is a folder with links into it.
    """
    if _leads_to_results(path):
        raise UserError(
            f"{key}: '{path}' is in the results folder or contains it, so the run would overwrite its own input; copy "
            "it elsewhere first."
        )


def _leads_to_results(path: str) -> bool:
    results = {Path(os.path.realpath("results")), Path(os.path.realpath("."), "results")}  # may be a link to a disk
    given = Path(os.path.realpath(path))
    if any(folder.is_relative_to(given) for folder in results):
        return True
    below = Path(path).rglob("*") if os.path.isdir(path) else ()
    links = (Path(os.path.realpath(file)) for file in below if file.is_symlink())
    return any(not results.isdisjoint((target, *target.parents)) for target in (given, *links))


def is_gguf(text: str) -> bool:
    """Return True if a source string names a GGUF file."""
    is_remote = text.startswith(("embedded:", "hub:", "mteb:"))
    return text.lower().endswith(".gguf") and not is_remote and not os.path.isdir(text)


def _slug(form: str, text: str, kind: str) -> str:
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", text.removeprefix(f"{form}:")).strip("-.")[:60]
    return f"{form}-{readable}-{hashlib.sha256(f'{kind}:{text}'.encode()).hexdigest()[:8]}"
