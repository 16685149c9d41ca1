# Functions of the workflow: validate the configuration, and name what jobs depend on (config keys, code, manifests).
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
from rankrefine.cli.commands import COMMANDS
from rankrefine.config import views
from rankrefine.config.load import complete, read
from rankrefine.errors import UserError
from rankrefine.evaluate import catalogue
from rankrefine.generate.recipes import genre_file, recipe_file
from rankrefine.llm import prompts, scoring_prompts
from rankrefine.llm.facts import facts
from rankrefine.ranking_lists.shards import WRITTEN, declared, folders, shards
from rankrefine.report import contents


def or_stop(function, *arguments):
    """Return the function's result; convert a UserError to Snakemake's one-sentence error."""
    try:
        return function(*arguments)
    except UserError as error:
        raise WorkflowError(str(error)) from None


try:
    workflow.configfile("config.yaml")  # same as the directive, which snakefmt cannot parse here
except Exception:  # Snakemake would show a traceback for broken YAML
    or_stop(read, "config.yaml")
    raise

for file in workflow.configfiles:  # Snakemake drops the first of two equal keys; a pipe cannot be read again
    if Path(file).is_file():
        or_stop(read, file)

config = or_stop(complete, config, "config")
or_stop(results_folder.check, Path("results"))

# Rules run this checkout's package with the Python that runs Snakemake, unless conda or a container provides one.
shell.prefix(f"export PYTHONPATH={shlex.quote(str(SRC))}; ".replace("{", "{{").replace("}", "}}"))
PYTHON = "python" if workflow.deployment_settings.deployment_method else sys.executable


# --- assets: all models and data sets of the configuration, by the slug of their files

ASSETS = {}


def manifest(text, kind, key):
    """Path of the manifest of the source string `text`, the value of config key `key`."""
    source = or_stop(sources.parse, text, kind, key)
    ASSETS[source.slug] = source
    return f"results/assets/{source.slug}.json"


def pin(source):
    """Content pin of a remote source: the archive's hash, or the revision in the source string itself.

    Data of an MTEB task stay at the revision that MTEB pinned when they were fetched; the manifest records it.
    """
    return CATALOGUE[source.name].sha256 if source.form == "embedded" else source.text


ENGINE = facts(config["generate"]["engine"])
IMPORTED = config["lists"]["source"] == "import"
DECONTAMINATION = [manifest(s, "dataset", "seeds.decontaminate") for s in config["seeds"]["decontaminate"]]
SEED_SOURCES, LLM, LISTS = [], [], []  # imported lists need neither seed sentences nor a language model
if IMPORTED:
    LISTS = manifest(config["lists"]["file"], "dataset", "lists.file")
else:
    SEED_SOURCES = [
        manifest(s["source"], "dataset", f"seeds.sources ({s['name']})")
        for s in config["seeds"]["sources"]
        if s["source"] != WRITTEN
    ]
WRITTEN_SHARDS, WRITTEN_RECIPE, WRITTEN_FLAGS = {}, "", ""
if views.writes_seeds(config):
    requests, size = config["write"]["count"], config["generate"]["shard_size"]
    WRITTEN_SHARDS = shards(requests, size)
    or_stop(sources.refuse_results, or_stop(genre_file.find, config["write"]["recipe"]), "write.recipe")
    WRITTEN_RECIPE = or_stop(genre_file.digest, config["write"]["recipe"])
    WRITTEN_FLAGS = f"--written results/write --requests {requests} --shard-size {size}"
if ENGINE.needs_model and views.runs_language_model(config):
    LLM = manifest(config["generate"]["model"], "model", "generate.model")
LLM_FLAG = f"--llm {shlex.quote(LLM)}" if LLM else ""
ENGINE_PYTHON = config["generate"]["python"] or PYTHON
if config["generate"]["python"] and not shutil.which(ENGINE_PYTHON):
    raise WorkflowError(f"generate.python: there is no program {ENGINE_PYTHON!r}; see docs/vllm.md for installation.")
BASE_MODEL = manifest(config["base"]["model"], "model", "base.model")
ENCODER = "results/base/model.json" if views.is_prepared(config) else BASE_MODEL  # the base encoder
POOL, GENERATED = (f"results/{name}" for name in folders(config))  # folders of the pool and of the shards
EXAMPLE_SHARDS, EXAMPLE_RECIPE, EXAMPLE_FILE = {}, "", []
if views.writes_examples(config):
    EXAMPLE_SHARDS = shards(config["examples"]["count"], config["generate"]["shard_size"])
    or_stop(sources.refuse_results, or_stop(recipe_file.find, config["examples"]["recipe"]), "examples.recipe")
    EXAMPLE_RECIPE = or_stop(recipe_file.digest, config["examples"]["recipe"])
elif config["examples"]["recipe"] == "import":
    EXAMPLE_FILE = manifest(config["examples"]["file"], "dataset", "examples.file")
SCORER, SCORING = config["examples"]["scorer"], ""
if SCORER == views.LIKELIHOOD:
    SCORING = or_stop(scoring_prompts.digest, config["examples"]["scoring_prompt"])
    or_stop(
        sources.refuse_results, scoring_prompts.find(config["examples"]["scoring_prompt"]), "examples.scoring_prompt"
    )
elif SCORER:
    SCORER = manifest(SCORER, "model", "examples.scorer")
RATERS = [SCORER] if SCORER and not SCORING else []  # the scorer if it is an encoder
EXAMPLE_TABLES = []  # the last one is the training data of `base`
if config["examples"]["recipe"] != "none":
    names = ("examples", "ratings", "curated") if SCORER else ("examples",)
    EXAMPLE_TABLES = [f"results/examples/{name}.parquet" for name in names]
BASE_EXAMPLES, BASE_RECORDS = [], []  # training data of `base`; records of its training and of its examples
if config["base"]["objective"] != "none":
    data = config["base"]["data"]
    written = EXAMPLE_TABLES[-1] if EXAMPLE_TABLES else f"{POOL}/pool.parquet"
    BASE_EXAMPLES = manifest(data, "dataset", "base.data") if data else written
    BASE_RECORDS = ["results/base/history.json", *(table.replace(".parquet", ".json") for table in EXAMPLE_TABLES)]
GUIDES = {  # of the objective of `base`: manifest -> weight
    manifest(source, "model", "base.guide"): weight for source, weight in sorted(views.guides(config).items())
}
TEACHERS = {  # of each experiment: slug -> weight
    name: {
        "base" if source == "base" else Path(manifest(source, "model", "refine.teacher")).stem: weight
        for source, weight in sorted(views.teachers(views.experiment(config, name)).items())
    }
    for name in config["refine"]["experiments"]
}
SHOWN_TEACHER = next(iter(next(iter(TEACHERS.values()))))  # the report shows its similarities
ALL_TEACHERS = sorted({teacher for weights in TEACHERS.values() for teacher in weights})
DEVELOPMENT = config["refine"]["development"] and manifest(
    config["refine"]["development"], "dataset", "refine.development"
)
DEVELOPMENT_FLAG = f"--development {shlex.quote(DEVELOPMENT)}" if DEVELOPMENT else ""
TASKS = {
    task: manifest(source, "dataset", catalogue.key(task, config["evaluate"]))
    for task, source in or_stop(catalogue.tasks, config["evaluate"]).items()
}
for task in TASKS if config["evaluate"]["data"] else ():  # also folders that do not exist yet
    or_stop(sources.refuse_results, f"{config['evaluate']['data']}/{task}", "evaluate.data")
OTHERS = {  # encoders to evaluate beside base and refined ones: name -> manifest, pooling, prompt
    name: {"manifest": manifest(source, "model", key), "pooling": pooling, "prompt": prompt}
    for name, key, source, pooling, prompt in views.other_encoders(config)
}


# --- GPUs: Snakemake counts them, each job reserves its own (rankrefine.gpus). Cluster profiles give numbers.

GPUS = gpus.places() if workflow.local_exec else 0
if GPUS:
    workflow.global_resources.setdefault("gpu", Resource("gpu", GPUS))  # `--resources gpu=N` overrides it


def gpu(count=1):
    """GPUs to plan for a job that can use `count`: 0 on a machine without GPUs."""
    return count if GPUS else 0


def processes(rule):
    """Processes of a rule, from the command line or a profile."""
    given = workflow.resource_settings.overwrite_resources.get(rule, {})
    return given["processes"].value if "processes" in given else 1


# --- dependencies of jobs

SHARDS = declared(config)
# the encoders to train, EXPERIMENT/SEED
REFINED = [f"{name}/{seed}" for name in config["refine"]["experiments"] for seed in views.random_seeds(config)]
EVALUATED = ["base", *REFINED, *OTHERS]
PROMPT = or_stop(prompts.digest, config["generate"]["prompt"])
or_stop(sources.refuse_results, prompts.find(config["generate"]["prompt"]), "generate.prompt")


def python(wildcards, input):
    """Python of a job. Snakemake ignores params computed from `input` when it decides about reruns."""
    return PYTHON


def engine_python(wildcards, input):
    """Python of the engine; see `python`."""
    return ENGINE_PYTHON


def code(command, *modules):
    """Digests of the code of a command, and of further modules that it loads by name."""
    return [digest.code(module) for module in (COMMANDS[command], *modules)]


def task_code(command):
    """Digests of the code of a command and of the task's module, which it loads by name."""
    return lambda wc: code(command, f"rankrefine.evaluate.tasks.{catalogue.module(wc.task)}")


def reads(rule):
    """Canonical JSON of the config keys that a rule reads (`x-reads` of the schema), for its params.

    A function, because Snakemake would take the braces of a plain string for wildcards.
    """
    text = json.dumps(views.for_rule(config, rule), sort_keys=True)
    return lambda wildcards: text


def training(wildcards):
    """Canonical JSON of the config keys that one training reads."""
    return json.dumps(views.training(config, wildcards.experiment, int(wildcards.seed)), sort_keys=True)


def embedding(wildcards):
    """Canonical JSON of the config keys that embedding the lists with a teacher reads."""
    return json.dumps(views.embedding(config, wildcards.teacher), sort_keys=True)


def teacher_manifest(wildcards):
    """Manifest of a teacher, which may be the base encoder."""
    return ENCODER if wildcards.teacher == "base" else f"results/assets/{wildcards.teacher}.json"


def rows(folder, shards, shard):
    """Flags with the rows of the pool for a shard: at least as many as the existing shard has.

    Lowering seeds.count thus keeps a last shard that is larger than needed; consolidation takes the rows it needs. Full
    shards are not looked at.
    """
    first, needed = shards[shard]
    path = Path(folder, f"{shard}.json")
    if needed < config["generate"]["shard_size"] and path.exists():
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            if record["first"] == first and record["rows"] <= config["generate"]["shard_size"]:
                needed = max(needed, record["rows"])
        except (ValueError, KeyError, TypeError):
            pass  # the job that reads a damaged record reports it
    return f"--first {first} --rows {needed}"


def pool_flags(input, budget):
    """Flags with the pool of a shard and the number of seed sentences that the run needs."""
    return f"--pool {shlex.quote(input.pool)} --pool-stats {shlex.quote(input.stats)} --budget {budget}"


def model_manifest(wildcards):
    """Manifest of a model to evaluate: the base encoder, a refined one, a teacher or one of evaluate.encoders."""
    if wildcards.model in OTHERS:
        return OTHERS[wildcards.model]["manifest"]
    return ENCODER if wildcards.model == "base" else f"results/refine/{wildcards.model}/model.json"


def opening(wildcards):
    """Flags with pooling and prompt of a model to evaluate; base and refined encoders have theirs in their folder."""
    settings = OTHERS.get(wildcards.model, {"pooling": "model", "prompt": None})
    flags = [f"--pooling={settings['pooling']}"]
    return flags if settings["prompt"] is None else [*flags, f"--prompt={settings['prompt']}"]


def content_digest(folder):
    """Digest of all files in a folder, for content that no code digest covers."""
    texts = [file.read_bytes() for file in sorted(Path(workflow.basedir, folder).iterdir())]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]


wildcard_constraints:
    shard=r"\d+",
    model=r"[^/]+(/\d+)?",
    name=r"[^/]+",
    seed=r"\d+",
    task=r"[^/]+",
