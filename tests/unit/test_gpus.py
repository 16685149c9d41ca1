"""Detection of GPUs, and locks: concurrent jobs never share a GPU."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rankrefine import gpus
from rankrefine.errors import UserError

SRC = Path(gpus.__file__).parents[1]
# lock GPUs, print them, and keep them until standard input is closed
JOB = """
import os, sys
from pathlib import Path
from rankrefine import gpus
gpus.WAIT = 0.02
gpus.take(int(sys.argv[1]), sys.argv[3].split(","), Path(sys.argv[2]))
assert "torch" not in sys.modules
print(os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get("CUDA_DEVICE_ORDER"), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _nothing_chosen(monkeypatch) -> None:
    for name in ("SLURM_JOB_ID", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.setenv(name, "")  # so that what a test sets is undone
        monkeypatch.delenv(name)


def start(folder: Path, count: int, devices: str = "0,1,2", **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", JOB, str(count), str(folder), devices],
        env=os.environ | environment | {"PYTHONPATH": str(SRC)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def devices_of(job: subprocess.Popen[str]) -> set[str]:
    return set(job.stdout.readline().split()[0].split(","))


def end(*jobs: subprocess.Popen[str]) -> None:
    for job in jobs:
        job.communicate(timeout=30)


def test_concurrent_jobs_get_a_device_each_and_the_next_job_gets_that_of_a_killed_one(tmp_path: Path) -> None:
    running = [start(tmp_path, 1) for _ in range(3)]
    locked = [devices_of(job) for job in running]
    assert sorted(device for devices in locked for device in devices) == ["0", "1", "2"]
    waiting = start(tmp_path, 1)
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.5)
    running[1].send_signal(signal.SIGKILL)
    assert devices_of(waiting) == locked[1]
    end(*running, waiting)


def test_jobs_of_several_devices_do_not_deadlock(tmp_path: Path) -> None:
    """Six jobs need two of three devices each, so only one can run at a time."""
    running = [start(tmp_path, 2) for _ in range(6)]
    for job in running:
        job.stdin.close()  # each ends as soon as it has its devices
    for job in running:
        assert job.wait(60) == 0
        assert len(devices_of(job)) == 2
        job.stdout.close()


def test_numbers_count_in_bus_order(tmp_path: Path) -> None:
    running = start(tmp_path, 1)
    assert running.stdout.readline().split()[1] == "PCI_BUS_ID"
    end(running)


@pytest.mark.parametrize("chosen", [{"SLURM_JOB_ID": "7"}, {"CUDA_VISIBLE_DEVICES": "5"}])
def test_what_a_scheduler_or_the_user_chose_is_left_alone(tmp_path: Path, monkeypatch, chosen: dict[str, str]) -> None:
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    gpus.take(1, ["0", "1"], tmp_path)
    assert dict(os.environ) == before
    assert not list(tmp_path.iterdir())
    assert gpus.places() == (1 if "CUDA_VISIBLE_DEVICES" in chosen else 0)


def test_without_a_gpu_nothing_is_locked_and_nothing_set(tmp_path: Path) -> None:
    gpus.take(1, [], tmp_path)
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert not list(tmp_path.iterdir())


def test_a_job_of_no_gpu_sees_none(tmp_path: Path) -> None:
    gpus.take(0, ["0"], tmp_path)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert not list(tmp_path.iterdir())


def test_more_than_there_are_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="3 GPUs were requested but this machine has 2; request at most 2"):
        gpus.take(3, ["0", "1"], tmp_path)


def test_the_listing_of_nvidia_smi() -> None:
    text = """GPU 0: NVIDIA A100 (UUID: GPU-aaaa)
GPU 1: NVIDIA A100 (UUID: GPU-bbbb)
  MIG 3g.20gb     Device  0: (UUID: MIG-cccc)
  MIG 3g.20gb     Device  1: (UUID: MIG-dddd)
GPU 12: NVIDIA A100 (UUID: GPU-eeee)
"""
    assert gpus.parse_listing(text) == ["0", "MIG-cccc", "MIG-dddd", "12"]
    assert gpus.parse_listing("No devices were found\n") == []


def test_devices_come_from_nvidia_smi_and_without_it_from_the_driver(tmp_path: Path, monkeypatch) -> None:
    program = tmp_path / "nvidia-smi"
    monkeypatch.setattr(gpus, "DRIVER", tmp_path / "gpus")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.detected() == []
    (tmp_path / "gpus" / "0000:01:00.0").mkdir(parents=True)
    assert gpus.detected() == ["0"]
    program.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: GPU-a)'\necho 'GPU 1: A (UUID: GPU-b)'\n")
    program.chmod(0o755)
    assert gpus.detected() == ["0", "1"]
    program.write_text("#!/bin/sh\nexit 9\n")  # the driver does not answer
    assert gpus.detected() == []
    assert gpus.places() == 0


def test_the_folder_of_the_locks_is_the_users_alone(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(gpus.tempfile, "gettempdir", lambda: str(tmp_path))
    assert gpus._folder().stat().st_mode & 0o777 == 0o700
    gpus._folder().rmdir()
    (tmp_path / f"rankrefine-gpus-{os.getuid()}").symlink_to(tmp_path)
    with pytest.raises(UserError, match="belongs to another user"):
        gpus._folder()
