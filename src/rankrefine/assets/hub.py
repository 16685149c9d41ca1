"""Download models and data sets from the Hugging Face hub at a fixed revision, without pickles or custom code."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rankrefine.assets.local import check_model
from rankrefine.data_files.splits import COMPRESSED, EXTENSIONS
from rankrefine.errors import UserError, reason
from rankrefine.sources import Source

MODEL_FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken", "README.md", "LICENSE*"]
DATA_FILES = [*(f"*{suffix}" for suffix in (*EXTENSIONS, *COMPRESSED)), "README.md", "LICENSE*"]
OTHER_FORMATS = ["onnx/*", "openvino/*", "original/*", "coreml/*"]  # the same weights for other runtimes


def fetch(source: Source, folder: Path, resume: Path) -> str:
    """Download a hub model or data set, or the repository of an MTEB task, and return its commit.

    Args:
        source: A hub source, whose revision may be a commit or a tag, or the source of an MTEB task.
        folder: Folder to create.
        resume: Folder of an unfinished download, which a second attempt resumes.

    Raises:
        UserError: the hub is not reachable, the repository, revision or subset does not exist, access is restricted,
            or there are no safetensors weights.
    """
    repo, revision, subset = _mteb_repository(source) if source.form == "mteb" else source.hub
    with _readable_errors(source, repo, revision, subset):
        from huggingface_hub import HfApi

        if source.form == "hub":
            revision = HfApi().repo_info(repo, revision=revision, repo_type=source.kind).sha
        if source.form == "hub" and source.kind == "dataset":
            _dataset(repo, revision, subset, folder)
        else:
            _snapshot(source, repo, revision, resume)
            resume.rename(folder)
    return revision


def _snapshot(source: Source, repo: str, commit: str, folder: Path) -> None:
    """Download the files of a model, or of a data set that MTEB opens."""
    from huggingface_hub import snapshot_download

    is_model = source.kind == "model"
    allowed, ignored = (MODEL_FILES, OTHER_FORMATS) if is_model else (DATA_FILES, None)
    options = {"repo_type": source.kind, "allow_patterns": allowed, "ignore_patterns": ignored}
    snapshot_download(repo, revision=commit, local_dir=folder, **options)
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # download metadata
    if is_model and not any(folder.rglob("*.safetensors")):
        raise UserError(
            f"{source.text} has no .safetensors weights, and pickled weights are not supported; use a revision "
            "refs/pr/N that has them, or convert the model and use the local folder."
        )
    if is_model:
        check_model(folder, source.text)


def _mteb_repository(source: Source) -> tuple[str, str, None]:
    """Return the repository of an MTEB task, the revision that MTEB pins, and no subset."""
    from rankrefine.assets.mteb import known_task

    try:
        task = known_task(source.name, offline=False)
    except UserError as error:
        raise UserError(f"evaluate.tasks: {error}") from error
    from mteb.abstasks.aggregated_task import AbsTaskAggregate

    if list(task.metadata.modalities) != ["text"] or isinstance(task, AbsTaskAggregate):
        raise UserError(
            f"{source.text}: only single tasks about text alone can be downloaded, not benchmarks or other modalities."
        )
    return task.metadata.dataset["path"], task.metadata.dataset["revision"], None


def _dataset(repo: str, commit: str, subset: str | None, folder: Path) -> None:
    from datasets import load_dataset

    folder.mkdir(parents=True)
    for split, rows in load_dataset(repo, subset, revision=commit).items():
        rows.to_parquet(folder / f"{split}.parquet")


@contextmanager
def _readable_errors(source: Source, repo: str, revision: str, subset: str | None) -> Iterator[None]:
    """Convert the libraries' errors to a UserError with one sentence."""
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub import errors

    name = source.text
    try:
        yield
    except (errors.GatedRepoError, errors.DisabledRepoError) as error:
        raise UserError(f"{name}: access to {repo} is restricted; request access on the hub and log in.") from error
    except errors.RevisionNotFoundError as error:
        raise UserError(f"{name}: {repo} has no revision '{revision}'.") from error
    except (errors.RepositoryNotFoundError, DatasetNotFoundError) as error:
        raise UserError(f"{name}: the hub has no {source.kind} {repo}, or it is private (log in).") from error
    except (errors.HTTPError, errors.LocalEntryNotFoundError, ConnectionError, TimeoutError) as error:
        raise UserError(
            f"{name}: the hub cannot be reached ({reason(error)}); try again, or copy the {source.kind} "
            "to this machine and use the local folder."
        ) from error
    except (DatasetsError, ValueError) as error:
        chosen = f"subset '{subset}'" if subset else "no subset (#SUBSET)"
        raise UserError(f"{name} with {chosen} cannot be read: {reason(error)}.") from error
