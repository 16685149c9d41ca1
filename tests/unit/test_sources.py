"""Source strings, and that the catalogue of embedded assets holds just what they can name."""

from __future__ import annotations

from pathlib import Path

import pytest

from rankrefine import sources
from rankrefine.assets import embedded
from rankrefine.errors import UserError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_the_catalogue_holds_what_source_strings_can_name() -> None:
    by_kind = {"model": set(), "dataset": set()}
    for name, package in embedded.CATALOGUE.items():
        by_kind[package.kind].add(name)
    assert by_kind == {"model": set(sources.EMBEDDED_MODELS), "dataset": set(sources.EMBEDDED_DATASETS)}


def test_packages_are_pinned() -> None:
    for package in embedded.CATALOGUE.values():
        assert len(package.sha256) == 64
        assert package.pin.partition("==")[2] in package.file
        assert package.licence


def test_embedded() -> None:
    source = sources.parse("embedded:vader", "dataset", "seeds.sources")
    assert (source.form, source.name, source.slug) == ("embedded", "vader", "vader")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"hub:org/name@{COMMIT}", ("org/name", COMMIT, None)),
        ("hub:name@v1.0", ("name", "v1.0", None)),
        ("hub:org/name@refs/pr/3#sub-set", ("org/name", "refs/pr/3", "sub-set")),
    ],
)
def test_hub(text: str, expected: tuple) -> None:
    source = sources.parse(text, "dataset", "key")
    assert source.form == "hub"
    assert source.hub == expected


def test_local(tmp_path: Path) -> None:
    (tmp_path / "b.parquet").touch()
    (tmp_path / ".hidden").touch()
    source = sources.parse(str(tmp_path), "dataset", "key")
    assert source.form == "local"
    assert source.files == [str(tmp_path / "b.parquet")]
    assert sources.parse(str(tmp_path / "b.parquet"), "dataset", "key").files == [str(tmp_path / "b.parquet")]


def test_gguf_files_are_models_to_convert_and_nothing_else_is(tmp_path: Path) -> None:
    for name in ("a.gguf", "B.GGUF"):
        (tmp_path / name).touch()
        source = sources.parse(str(tmp_path / name), "model", "key")
        assert source.form == "gguf"
        assert source.slug.startswith("gguf-")  # what the workflow's rules tell the forms by
        assert source.files == [str(tmp_path / name)]
    (tmp_path / "folder.gguf").mkdir()
    assert sources.parse(str(tmp_path / "folder.gguf"), "model", "key").form == "local"
    assert sources.parse(str(tmp_path / "a.gguf"), "dataset", "key").form == "local"
    assert sources.parse("hub:org/name@v1.gguf", "model", "key").form == "hub"
    with pytest.raises(UserError, match=r"key: there is no file or folder 'none.gguf'"):
        sources.parse("none.gguf", "model", "key")


def test_slugs_are_file_names_and_differ() -> None:
    texts = ["hub:a/b@1", "hub:a/b@2", "hub:a-b@1", "hub:a/b@1#c"]
    slugs = [sources.parse(text, kind, "key").slug for text in texts for kind in ("model", "dataset")]
    assert len(set(slugs)) == 8
    assert all("/" not in slug and not slug.startswith(".") for slug in slugs)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("embedded:vadr", "dataset", r"^key: there is no embedded dataset 'vadr'; did you mean embedded:vader\?"),
        (
            "embedded:stsb",
            "model",
            "there is no embedded model 'stsb'; known names: smollm2-135m-instruct, all",
        ),
        ("hub:org/name", "model", "'hub:org/name' must have the form hub:ORG/NAME@REVISION"),
        ("no/such/file.txt", "dataset", "key: there is no file or folder 'no/such/file.txt'; use an existing path"),
    ],
)
def test_refusals(text: str, kind: sources.Kind, message: str) -> None:
    with pytest.raises(UserError, match=message):
        sources.parse(text, kind, "key")


def test_a_branch_is_no_revision() -> None:
    with pytest.raises(
        UserError, match=r"base.model: 'hub:org/name@main' names a branch, which changes; use a commit"
    ):
        sources.parse("hub:org/name@main", "model", "base.model")


@pytest.fixture(params=["folder", "link to another disk"])
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request) -> Path:
    """A run folder with results, which are a folder or a link, and links to them."""
    run, place = tmp_path / "runs" / "one", tmp_path / "disk" / "results"
    run.mkdir(parents=True)
    place.mkdir(parents=True)
    results = run / "results"
    results.symlink_to(place) if request.param != "folder" else results.mkdir()
    for folder in ("results/encoder", "results2", "data", "data/.hidden", "own", "partly", "deep/module"):
        (run / folder).mkdir(parents=True)
    for file in ("results/encoder/weights", "results2/a.txt", "data/a.txt", "data/.hidden/b.txt", "own/weights"):
        (run / file).touch()
    (run / "link").symlink_to("results/encoder")
    (run / "old").symlink_to("results2")
    (run / "loop").symlink_to("loop")
    (run / "partly" / "weights").symlink_to("../results/encoder/weights")
    (run / "deep" / "module" / "pooling").symlink_to("../../results/encoder")
    (run / "own" / "copy").symlink_to("weights")
    monkeypatch.chdir(run)
    return run


@pytest.mark.parametrize(
    "text",
    [
        *(
            "results",
            "results/encoder",
            "results/encoder/weights",
            "./results//encoder/",
            "results/../results/encoder",
        ),
        *("data/../results/encoder", "../one/results/encoder", "{run}/results/encoder", "{real}/encoder"),
        *("link", "link/weights", "partly", "deep", "/proc/self/cwd/results/encoder", "results/not/yet"),
        *(".", "..", "{run}", "/", "results/.."),
    ],
)
def test_own_results_are_no_input_however_they_are_spelt(run_folder: Path, text: str) -> None:
    path = text.format(run=run_folder, real=(run_folder / "results").resolve())
    for kind in ("model", "dataset"):
        with pytest.raises(UserError) as error:
            sources.parse(path, kind, "base.model")
        assert str(error.value).startswith(f"base.model: '{path}' is in the results folder or contains it")
        assert str(error.value).endswith("; copy it elsewhere first.")


@pytest.mark.parametrize("text", ["data", "data/a.txt", "results2", "old", "own", "{run}/data", "data/../data"])
def test_other_paths_are_sources(run_folder: Path, text: str) -> None:
    path = text.format(run=run_folder)
    assert sources.parse(path, "dataset", "base.data").text == path


def test_results_of_another_run_are_a_source(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run_folder.parent / "two").mkdir()
    monkeypatch.chdir(run_folder.parent / "two")
    assert sources.parse("../one/results/encoder", "model", "base.model").form == "local"


def test_a_link_to_itself_is_no_source(run_folder: Path) -> None:
    with pytest.raises(UserError, match="there is no file or folder 'loop'"):
        sources.parse("loop", "model", "base.model")
