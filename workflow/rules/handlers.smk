# Handlers of the start, success and failure of a run (onstart, onsuccess, onerror), and a warning while it is planned.
import os
import re
import subprocess
import time

STARTED = time.time()


def warn_of_versions():
    """Warn of results that were generated with other library versions than the installed ones.

    Skipped where conda or a container provides the libraries of the jobs.
    """
    if not workflow.is_main_process or workflow.deployment_settings.deployment_method:
        return
    names = ["seeds/pool", "consolidate/lists", "base/history"]
    if not config["generate"]["python"]:
        names += [*(f"write/{shard}" for shard in WRITTEN_SHARDS), *(f"generate/{shard}" for shard in SHARDS)]
    names += [f"teacher/{teacher}/similarity" for teacher in ALL_TEACHERS]
    names += [f"refine/{refined}/history" for refined in REFINED]
    names += [f"evaluate/{model}/{task}" for model in EVALUATED for task in TASKS]
    for message in results_folder.differences(Path(f"results/{name}.json") for name in names):
        print(f"rankrefine: {message}", file=sys.stderr)


def show_machine():
    """Print what this machine is, how long a run takes on it, and where progress is shown, before jobs that take minutes.

    On a cluster other machines compute, and with conda or a container other libraries.
    """
    names = {job.rule.name for job in workflow.dag.needrun_jobs()}
    if not workflow.is_main_process or names.isdisjoint(("write", "generate", "synthesize", "base", "refine")):
        return
    if not workflow.local_exec or workflow.deployment_settings.deployment_method:
        print("\nProgress: a line at least every 30 seconds in results/logs/ (docs/usage.md).\n", file=sys.stderr)
        return
    threads = min(workflow.cores or 1, 16)  # as in the rules
    command = [PYTHON, "-m", "rankrefine", "machine", "--config", json.dumps(config), "--threads", str(threads)]
    environment = os.environ | {"PYTHONPATH": str(SRC)}
    try:
        text = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):  # the run goes on without
        return
    if text:
        print("", text, sep="\n", file=sys.stderr)


def show_scores():
    """Print the score table and the paths of the results, if this run wrote them."""
    table, page = Path("results/scores.md"), Path("results/report.html")
    if table.exists() and table.stat().st_mtime >= STARTED:
        print("", table.read_text(encoding="utf-8"), sep="\n", file=sys.stderr)
    if page.exists() and page.stat().st_mtime >= STARTED:
        print("Report: results/report.html   Encoder: results/encoder\n", file=sys.stderr)


def logs_of_this_run():
    """Return the log files that this run wrote, by their text."""
    files = [file for file in sorted(Path("results/logs").rglob("*.log")) if file.stat().st_mtime >= STARTED]
    return {file: file.read_text("utf-8", errors="replace") for file in files}


def show_warnings():
    """Repeat the warnings of this run's jobs, which scroll away above."""
    texts = logs_of_this_run().values()
    found = [message for text in texts for message in re.findall(r" WARNING rankrefine[\w.]*: (.*)", text)]
    for message in dict.fromkeys(found):
        print(f"rankrefine: warning: {message}\n", file=sys.stderr)


def show_errors():
    """Repeat the error messages of failed jobs, and SLURM's reasons for ending a job, as the last lines of the output."""
    lines = [(file, line) for file, text in logs_of_this_run().items() for line in text.splitlines()]
    end = re.compile(r"(?:slurmstepd.*|srun): error: (.*(?:memory limit|oom|CANCELLED|Node failure).*)")
    ended = {file: found[1] for file, line in reversed(lines) if (found := end.match(line))}
    for file, reason in ended.items():
        print(f"\nSLURM ended a job: {reason} ({file})", file=sys.stderr)
    for message in dict.fromkeys(line.partition("error: ")[2] for _, line in lines if "rankrefine: error: " in line):
        print(f"\nrankrefine: error: {message}", file=sys.stderr)


def refuse_orphans():
    """Stop the run if SLURM jobs of an earlier, killed run in this folder are still queued or running.

    Such a job deletes its outputs when it starts or fails, even where this run has finished them.
    """
    if not shutil.which("squeue"):
        return
    command = ["squeue", "--me", "--noheader", "--format=%i|%j|%Z"]
    lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    jobs = [
        (job, Path(folder)) for job, name, folder in (line.split("|", 2) for line in lines) if "rankrefine_" in name
    ]
    here = [job for job, folder in jobs if folder.resolve() == Path.cwd()]
    if here:
        raise WorkflowError(
            f"SLURM jobs of a killed run are still in the queue; wait for them, or cancel them with: scancel {' '.join(here)}"
        )


warn_of_versions()
