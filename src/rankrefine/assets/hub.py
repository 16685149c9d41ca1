"""Models and data sets from the Hugging Face hub, at a revision, without pickles and without the repository's code."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rankrefine.assets.local import TABLES, check_model
from rankrefine.errors import UserError
from rankrefine.sources import Source

WANTED = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken", "README.md", "LICENSE*"]
DATA = [*(f"*{suffix}" for suffix in TABLES), "README.md", "LICENSE*"]
UNWANTED = ["onnx/*", "openvino/*", "original/*", "coreml/*"]  # the same weights in other forms


def fetch(source: Source, folder: Path, resume: Path) -> str:
    """Write a hub model or data set to `folder` and return its commit.

    Args:
        source: a parsed hub source, whose revision may be a commit or a tag, or an MTEB task.
        folder: does not exist yet.
        resume: folder that holds an unfinished download, so that a second attempt goes on where the first one ended.

    Raises:
        UserError: no network, no such repository, revision or subset, no access, or no safe weights.
    """
    if source.form == "mteb":
        return _task(source, folder, resume)
    repo, revision, subset = source.hub
    with _clear_errors(source, repo, revision, subset):
        from huggingface_hub import HfApi

        commit = HfApi().repo_info(repo, revision=revision, repo_type=source.kind).sha
        if source.kind == "model":
            _model(source, repo, commit, resume)
            resume.rename(folder)
        else:
            _dataset(repo, commit, subset, folder)
    return commit


def _model(source: Source, repo: str, commit: str, folder: Path) -> None:
    from huggingface_hub import snapshot_download

    snapshot_download(repo, revision=commit, local_dir=folder, allow_patterns=WANTED, ignore_patterns=UNWANTED)
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # bookkeeping of the download
    if not any(folder.rglob("*.safetensors")):
        raise UserError(
            f"{source.text} has no .safetensors weights, and pickled ones are never opened; look for a revision "
            "refs/pr/N of it that has them, or convert it and name the local folder."
        )
    check_model(folder, source.text)


def _task(source: Source, folder: Path, resume: Path) -> str:
    """The data of an MTEB task as they lie on the hub, for MTEB itself to open; its revision as MTEB pins it."""
    from rankrefine.assets.mteb import known_task

    try:
        task = known_task(source.name, offline=False)
    except UserError as error:
        raise UserError(f"evaluate.tasks: {error}") from error
    from mteb.abstasks.aggregated_task import AbsTaskAggregate

    meta = task.metadata
    if list(meta.modalities) != ["text"] or isinstance(task, AbsTaskAggregate):
        raise UserError(
            f"{source.text}: this is no task of its own about text alone, and nothing is downloaded for it."
        )
    data = meta.dataset
    with _clear_errors(source, data["path"], data["revision"]):
        from huggingface_hub import snapshot_download

        snapshot_download(
            data["path"], repo_type="dataset", revision=data["revision"], local_dir=resume, allow_patterns=DATA
        )
    shutil.rmtree(resume / ".cache", ignore_errors=True)
    resume.rename(folder)
    return data["revision"]


def _dataset(repo: str, commit: str, subset: str | None, folder: Path) -> None:
    from datasets import load_dataset

    folder.mkdir(parents=True)
    for split, rows in load_dataset(repo, subset, revision=commit).items():
        rows.to_parquet(folder / f"{split}.parquet")


@contextmanager
def _clear_errors(source: Source, repo: str, revision: str, subset: str | None = None) -> Iterator[None]:
    """The libraries' errors as one sentence each."""
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub import errors

    try:
        yield
    except (errors.GatedRepoError, errors.DisabledRepoError) as error:
        raise UserError(f"{source.text}: access to {repo} is restricted; ask for it there, then log in.") from error
    except errors.RevisionNotFoundError as error:
        raise UserError(f"{source.text}: {repo} has no revision '{revision}'.") from error
    except (errors.RepositoryNotFoundError, DatasetNotFoundError) as error:
        raise UserError(f"{source.text}: the hub has no {source.kind} {repo}, or it is private (log in).") from error
    except (errors.HTTPError, errors.LocalEntryNotFoundError, ConnectionError, TimeoutError) as error:
        raise UserError(
            f"{source.text}: the hub can not be reached ({_told(error)}); try again, or copy the {source.kind} "
            "here by other means and name the local folder instead."
        ) from error
    except (DatasetsError, ValueError) as error:
        named = f"subset '{subset}'" if subset else "no subset (#SUBSET)"
        raise UserError(f"{source.text} with {named} can not be read: {_told(error)}") from error


def _told(error: Exception) -> str:
    """An error's words on one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__
