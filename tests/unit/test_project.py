"""Consistency of the project's files."""

from __future__ import annotations

import io
import re
import tokenize
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import rankrefine

ROOT = Path(__file__).parents[2]


def name(requirement: str) -> str:
    return re.split(r"[=<>\[ ]", requirement)[0].lower().replace("_", "-")


def pins(lines: list[str]) -> dict[str, str]:
    return {name(line): line.partition("==")[2].strip() for line in lines if "==" in line}


def needs(package: str) -> list[str]:
    try:
        return requires(package) or []
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed in this environment")


def test_pins_ranges_and_environment_agree() -> None:
    exact = pins((ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    direct = {name(requirement) for requirement in project["dependencies"]}
    optional = {name(r) for group in project["optional-dependencies"].values() for r in group}
    assert direct | optional <= set(exact)
    environment = yaml.safe_load((ROOT / "envs" / "rankrefine.yaml").read_text(encoding="utf-8"))
    inside = pins(environment["dependencies"][-1]["pip"])
    assert set(inside) == direct | {"setuptools"}
    assert all(exact[package] == version for package, version in inside.items())


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_the_pins_are_complete(python: str) -> None:
    """So pip has nothing to search, and a version is installed nowhere but by a change of the list.

    The exception is torch on Linux: its builds with CUDA need libraries that depend on the build.
    """
    exact = pins((ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines())
    target = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    for package, version in exact.items():
        for line in needs(package):
            needed = Requirement(line)
            if package == "torch" and needed.marker and "platform_system" in str(needed.marker):
                continue
            if needed.marker and not needed.marker.evaluate(target):
                continue
            pinned = exact.get(name(needed.name))
            assert pinned, f"{package} {version} needs {line}, which has no pin"
            assert needed.specifier.contains(pinned, prereleases=True), f"{package} {version} needs {line}"


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert project["version"] == citation["version"] == rankrefine.__version__


def test_every_rule_is_a_command_with_its_name_and_a_module_of_its_package() -> None:
    """A package's command is its module `run`; further commands of a package are modules with their names."""
    from rankrefine.cli.commands import COMMANDS, rule

    rules = set()
    for file in (ROOT / "workflow" / "rules").glob("*.smk"):
        text = file.read_text(encoding="utf-8")
        found = set(re.findall(r"^ *(?:use )?rule (?:\w+ as )?(\w+)(?: with)?:", text, re.MULTILINE))
        assert not found or file.stem in found | {"assets"}, f"{file.name} has no rule of its name"
        rules |= found
    others = {"config", "preview", "machine", "list-tasks"}
    assert rules - {"local_asset", "gguf_asset"} == {rule(command) for command in COMMANDS} - {
        rule(command) for command in others
    }
    for command, module in {module: (command, module) for command, module in reversed(COMMANDS.items())}.values():
        # of the commands of one module, the first has its name
        *_, package, name = module.split(".")
        assert command == "config" or rule(command) in ((package, name) if name != "run" else (package, package[:-1]))


def test_the_pins_of_vllms_environments_agree_with_the_rest() -> None:
    """A package pinned in several environments has the same version in all of them."""
    files = {"main": "requirements.txt", "processor": "requirements-vllm.txt"}
    exact = {name: pins((ROOT / file).read_text(encoding="utf-8").splitlines()) for name, file in files.items()}
    environment = yaml.safe_load((ROOT / "envs" / "vllm.yaml").read_text(encoding="utf-8"))
    for package, version in pins(environment["dependencies"][-1]["pip"]).items():
        if package != "vllm":
            assert {pinned[package] for pinned in exact.values()} == {version}, package


def test_the_image_copies_existing_files_and_runs_the_program_of_make_run() -> None:
    lines = (ROOT / "envs" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]]
    assert {"requirements.txt", "Snakefile", "src", "workflow", "envs"} <= set(copied)
    assert all((ROOT / name).exists() for name in copied)
    required = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["readme"]
    assert required in copied
    assert any("workflow/run.py" in line for line in lines if line.startswith("ENTRYPOINT"))
    assert "NOT BUILT HERE" in "\n".join(lines)
    python = yaml.safe_load((ROOT / "envs" / "rankrefine.yaml").read_text(encoding="utf-8"))["dependencies"][0]
    assert any(line.startswith(f"FROM python:{python.partition('=')[2]}") for line in lines)


# matched against code without comments and strings, with a space between all tokens
FORBIDDEN = re.compile(
    r"\b(?:pickle|cloudpickle|dill|joblib|shelve|marshal)\b|\bos \. (?:system|popen)\b|\bshell = True\b"
    r"|\btrust_remote_code = (?!False\b)|(?<!\. )\b(?:eval|exec) \("
    r"|\btorch \. load \((?![^()]*\bweights_only = True\b)|\ballow_pickle = (?!False\b)|\buse_safetensors = (?!True\b)"
)
TEXT = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", None)}


def forbidden(code: str) -> str | None:
    """First forbidden construct in the code of a Python file or a Snakefile, or None."""
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    found = FORBIDDEN.search(" ".join(token.string for token in tokens if token.type not in TEXT))
    return found and found[0]


def test_no_code_unpickles_or_executes_text() -> None:
    files = [
        *ROOT.glob("src/**/*.py"),
        *ROOT.glob("workflow/**/*.py"),
        *ROOT.glob("workflow/**/*.smk"),
        ROOT / "Snakefile",
    ]
    assert len(files) > 80
    found = {file.name: bad for file in files if (bad := forbidden(file.read_text(encoding="utf-8")))}
    assert not found


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(file)",
        "torch.load(file, map_location='cpu', weights_only=False)",
        "open_model(x, trust_remote_code=True)",
        "open_model(x, trust_remote_code=config['trust'])",
        "open_model(x, use_safetensors=None)",
        "np.load(x, allow_pickle=True)",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
        "rule a:\n    params:\n        x=lambda wc: eval(wc.x),\n",
        "exec(text)",
    ],
)
def test_what_unpickles_or_runs_text_is_found(code: str) -> None:
    assert forbidden(code)


@pytest.mark.parametrize(
    "code",
    [
        "model.eval()",
        "ast.literal_eval(text)",
        "retrieval(x)",
        "'pickle'  # shell=True",
        "torch.load(file, weights_only=True)",
        "open_model(x, trust_remote_code=False, use_safetensors=True)",
    ],
)
def test_what_only_looks_like_it_is_not(code: str) -> None:
    assert forbidden(code) is None
