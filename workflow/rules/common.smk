# The workflow's functions: they validate the config, and name what jobs depend on (config keys, code, manifests).
import hashlib
import json
import shlex
import shutil
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.resources import Resource

SRC = Path(workflow.basedir) / "src"
sys.path.insert(0, str(SRC))

from rankrefine import digest, gpus, results_folder, sources
from rankrefine.assets.embedded import CATALOGUE
from rankrefine.config import load as configuration
from rankrefine.errors import UserError
from rankrefine.evaluate import catalogue
from rankrefine.llm import prompts
from rankrefine.ranking_lists.shards import declared, folders


def or_stop(function, *arguments):
    """The function's result; a UserError becomes Snakemake's one-sentence error."""
    try:
        return function(*arguments)
    except UserError as error:
        raise WorkflowError(str(error)) from None


try:
    workflow.configfile("config.yaml")  # what the directive does, which snakefmt cannot read here
except Exception:  # Snakemake would show a trace of what YAML and Python have against the file
    or_stop(configuration.read, "config.yaml")
    raise

config = or_stop(configuration.complete, config, "config")
or_stop(results_folder.check, Path("results"))

# rules run this checkout's package, with the Python that runs Snakemake unless conda or a container brings its own
PREFIX = f"export PYTHONPATH={shlex.quote(str(SRC))}; "
if not workflow.deployment_settings.deployment_method:
    PREFIX += f'python() ( exec {shlex.quote(sys.executable)} "$@" ); '
shell.prefix(PREFIX.replace("{", "{{").replace("}", "}}"))


# --- assets: every model and data set that the config names, by the slug of its files

ASSETS = {}


def manifest(text, kind, key):
    """Path of the manifest of the source string `text`, found under config key `key`."""
    source = or_stop(sources.parse, text, kind, key)
    ASSETS[source.slug] = source
    return f"results/assets/{source.slug}.json"


def pin(source):
    """What fixes the content of a remote source: the archive's hash, or the revision in the source string itself.

    The data of an MTEB task stay at the revision that MTEB pinned when they were fetched; their manifest says which.
    """
    return CATALOGUE[source.name].sha256 if source.form == "embedded" else source.text


DECONTAMINATION = [manifest(s, "dataset", "seeds.decontaminate") for s in config["seeds"]["decontaminate"]]
SEED_SOURCES, LLM, LISTS = [], [], []  # imported lists need neither sentences nor a language model
if config["lists"]["source"] == "import":
    LISTS = manifest(config["lists"]["file"], "dataset", "lists.file")
else:
    SEED_SOURCES = [
        manifest(s["source"], "dataset", f"seeds.sources ({s['name']})") for s in config["seeds"]["sources"]
    ]
    if config["generate"]["engine"] != "fake":
        LLM = manifest(config["generate"]["model"], "model", "generate.model")
LLM_FLAG = f"--llm {shlex.quote(LLM)}" if LLM else ""
ENGINE_PYTHON = config["generate"]["python"] or "python"
if ENGINE_PYTHON != "python" and not shutil.which(ENGINE_PYTHON):
    raise WorkflowError(f"generate.python: there is no program {ENGINE_PYTHON!r}; docs/vllm.md says how to make it.")
BASE_MODEL = manifest(config["base"]["model"], "model", "base.model")
ENCODER = "results/base/model.json" if configuration.is_prepared(config) else BASE_MODEL  # what is refined
POOL, GENERATED = (f"results/{name}" for name in folders(config))  # where the pool and the shards lie
BASE_EXAMPLES = []  # what a recipe trains on
if config["base"]["recipe"] != "none":
    data = config["base"]["data"]
    BASE_EXAMPLES = manifest(data, "dataset", "base.data") if data else f"{POOL}/pool.parquet"
TEACHERS = {  # of each experiment: slug -> weight
    name: {
        "base" if source == "base" else Path(manifest(source, "model", "refine.teacher")).stem: weight
        for source, weight in sorted(configuration.teachers(configuration.experiment(config, name)).items())
    }
    for name in config["refine"]["experiments"]
}
SHOWN_TEACHER = next(iter(next(iter(TEACHERS.values()))))  # whose opinion of the lists the report shows
ALL_TEACHERS = sorted({teacher for weights in TEACHERS.values() for teacher in weights})
DEVELOPMENT = config["refine"]["development"] and manifest(
    config["refine"]["development"], "dataset", "refine.development"
)
DEVELOPMENT_FLAG = f"--development {shlex.quote(DEVELOPMENT)}" if DEVELOPMENT else ""
TASKS = {
    task: manifest(source, "dataset", catalogue.key(task, config["evaluate"]))
    for task, source in or_stop(catalogue.tasks, config["evaluate"]).items()
}
OTHERS = {  # encoders that are evaluated beside base and refined ones: name -> manifest, and how it is opened
    name: {"manifest": manifest(source, "model", key), "pooling": pooling, "prompt": prompt}
    for name, key, source, pooling, prompt in configuration.other_encoders(config)
}


# --- GPUs: Snakemake counts them; which one is its own a job finds out (rankrefine.gpus). Clusters' profiles give numbers.

GPUS = gpus.places() if workflow.local_exec else 0
if GPUS:
    workflow.global_resources.setdefault("gpu", Resource("gpu", GPUS))  # `--resources gpu=N` goes before it


def gpu(wanted=1):
    """GPUs to plan for a job that makes use of `wanted`: none where there are none."""
    return wanted if GPUS else 0


def generation_gpus():
    """GPUs that a generation job makes use of."""
    settings = config["generate"]
    if settings["engine"] == "fake" or settings["device"] == "cpu":
        return 0
    return settings["tensor_parallel"] if settings["engine"] == "vllm" else 1


def processes(rule):
    """How many processes the rule is given on the command line or by a profile."""
    given = workflow.resource_settings.overwrite_resources.get(rule, {})
    return given["processes"].value if "processes" in given else 1


# --- what a job depends on

SHARDS = declared(config)
# the config keys that say how many sentences are used, and how they are cut into shards
BUDGET = ["lists"] if LISTS else ["seeds.count", "generate.shard_size"]
# the encoders that are trained, EXPERIMENT/SEED
REFINED = [f"{name}/{seed}" for name in config["refine"]["experiments"] for seed in configuration.seeds(config)]
EVALUATED = ["base", *REFINED, *OTHERS]
PROMPT = or_stop(prompts.digest, config["generate"]["prompt"])


def stage(*keys, without=()):
    """Canonical JSON of the config keys that a job reads, for its params: nothing else makes it run again.

    As a function, because Snakemake would take the braces of a plain string for wildcards.
    """
    part = config
    for key in without:
        part = configuration.without(part, *key.split("."))
    text = configuration.section(part, *keys)
    return lambda wildcards: text


def base_config():
    """Canonical JSON of what making the encoder reads of the config; without a recipe, none of its settings count."""
    names = ["model"]  # an input by its manifest; so are the data, but the config is checked as a whole
    if config["base"]["recipe"] == "none":
        names = [key for key in config["base"] if key not in ("recipe", "pooling", "prompt")]
    text = configuration.section(configuration.without(config, "base", *names), "seed", "base")
    return lambda wildcards: text


def experiment(wildcards):
    """Canonical JSON of what one training reads of the config: its experiment's settings and its seed.

    Encoders and data are inputs by their manifests, trackers change no result.
    """
    settings = configuration.experiment(config, wildcards.experiment)
    elsewhere = ("teacher", "teacher_pooling", "teacher_prompt", "development", "report_to")
    kept = {key: settings[key] for key in settings if key not in elsewhere}
    base = {"pooling": config["base"]["pooling"]}
    return json.dumps({"seed": int(wildcards.seed), "refine": kept, "base": base}, sort_keys=True)


def teacher_config(wildcards):
    """Canonical JSON of what embedding the lists reads of the config; the encoder that is refined is as it is."""
    keys = ("max_length",) if wildcards.teacher == "base" else ("max_length", "teacher_pooling", "teacher_prompt")
    return configuration.section(config, *(f"refine.{key}" for key in keys))


def teacher_manifest(wildcards):
    """Manifest of a teacher, which may be the encoder that is refined."""
    return ENCODER if wildcards.teacher == "base" else f"results/assets/{wildcards.teacher}.json"


def rows(shard):
    """Flags with the rows of the pool that a shard takes: at least as many as it already holds.

    So lowering seeds.count leaves a last shard that holds more than is now needed as it is; consolidation takes what
    it needs. Full shards are never looked at.
    """
    first, needed = SHARDS[shard]
    made = Path(f"results/generate/{shard}.json")
    if needed < config["generate"]["shard_size"] and made.exists():
        try:
            held = json.loads(made.read_text(encoding="utf-8"))
            if held["first"] == first and held["rows"] <= config["generate"]["shard_size"]:
                needed = max(needed, held["rows"])
        except (ValueError, KeyError, TypeError):
            pass  # a damaged record says nothing; the job that reads it will name it
    return f"--first {first} --rows {needed}"


def model_manifest(wildcards):
    """Manifest of the model to evaluate: the base encoder, a refined one, a teacher or one that the config adds."""
    if wildcards.model in OTHERS:
        return OTHERS[wildcards.model]["manifest"]
    return ENCODER if wildcards.model == "base" else f"results/refine/{wildcards.model}/model.json"


def opening(wildcards):
    """Flags that say how the model to evaluate is opened; base and refined encoders are whole."""
    settings = OTHERS.get(wildcards.model, {"pooling": "model", "prompt": None})
    flags = [f"--pooling={settings['pooling']}"]
    return flags if settings["prompt"] is None else [*flags, f"--prompt={settings['prompt']}"]


def captions():
    """Digest of the report's captions and stylesheet."""
    texts = [file.read_bytes() for file in sorted(Path(workflow.basedir, "workflow/report").iterdir())]
    return hashlib.sha256(b"".join(texts)).hexdigest()[:16]


wildcard_constraints:
    shard=r"\d+",
    model=r"[^/]+(/\d+)?",
    name=r"[^/]+",
    seed=r"\d+",
    task=r"[^/]+",
