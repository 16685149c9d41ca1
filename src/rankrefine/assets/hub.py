"""Download models and data sets from the Hugging Face hub at a fixed revision, without pickles or custom code."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rankrefine.assets.local import TABLES, check_model
from rankrefine.errors import UserError, reason
from rankrefine.sources import Source

MODEL_FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken", "README.md", "LICENSE*"]
DATA_FILES = [*(f"*{suffix}" for suffix in TABLES), "README.md", "LICENSE*"]
OTHER_FORMATS = ["onnx/*", "openvino/*", "original/*", "coreml/*"]  # the same weights for other runtimes


def fetch(source: Source, folder: Path, resume: Path) -> str:
    """Download a hub model or data set to `folder` and return its commit.

    Args:
        source: A hub source, whose revision may be a commit or a tag, or the source of an MTEB task.
        folder: Folder to create.
        resume: Folder of an unfinished download, which a second attempt resumes.

    Raises:
        UserError: the hub is not reachable, the repository, revision or subset does not exist, access is restricted,
            or there are no safetensors weights.
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

    snapshot_download(
        repo, revision=commit, local_dir=folder, allow_patterns=MODEL_FILES, ignore_patterns=OTHER_FORMATS
    )
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # download metadata
    if not any(folder.rglob("*.safetensors")):
        raise UserError(
            f"{source.text} has no .safetensors weights, and pickled weights are not supported; use a revision "
            "refs/pr/N that has them, or convert the model and use the local folder."
        )
    check_model(folder, source.text)


def _task(source: Source, folder: Path, resume: Path) -> str:
    """Download the repository of an MTEB task, for MTEB to open, and return the revision that MTEB pins."""
    from rankrefine.assets.mteb import known_task

    try:
        task = known_task(source.name, offline=False)
    except UserError as error:
        raise UserError(f"evaluate.tasks: {error}") from error
    from mteb.abstasks.aggregated_task import AbsTaskAggregate

    meta = task.metadata
    if list(meta.modalities) != ["text"] or isinstance(task, AbsTaskAggregate):
        raise UserError(
            f"{source.text}: only single tasks about text alone can be downloaded, not benchmarks or other modalities."
        )
    data = meta.dataset
    with _clear_errors(source, data["path"], data["revision"]):
        from huggingface_hub import snapshot_download

        snapshot_download(
            data["path"], repo_type="dataset", revision=data["revision"], local_dir=resume, allow_patterns=DATA_FILES
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
    """Convert the libraries' errors to a UserError with one sentence."""
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub import errors

    try:
        yield
    except (errors.GatedRepoError, errors.DisabledRepoError) as error:
        raise UserError(
            f"{source.text}: access to {repo} is restricted; request access on the hub and log in."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(f"{source.text}: {repo} has no revision '{revision}'.") from error
    except (errors.RepositoryNotFoundError, DatasetNotFoundError) as error:
        raise UserError(f"{source.text}: the hub has no {source.kind} {repo}, or it is private (log in).") from error
    except (errors.HTTPError, errors.LocalEntryNotFoundError, ConnectionError, TimeoutError) as error:
        raise UserError(
            f"{source.text}: the hub cannot be reached ({reason(error)}); try again, or copy the {source.kind} "
            "to this machine and use the local folder."
        ) from error
    except (DatasetsError, ValueError) as error:
        chosen = f"subset '{subset}'" if subset else "no subset (#SUBSET)"
        raise UserError(f"{source.text} with {chosen} cannot be read: {reason(error)}.") from error
