"""A temporary SLURM cluster of two nodes on this machine, from the distribution's packages.

    python tests/slurm/cluster.py install           apt-get install (root, or sudo without a password)
    python tests/slurm/cluster.py up FOLDER         start it; it writes to FOLDER only
    eval "$(python tests/slurm/cluster.py env FOLDER)"
    python tests/slurm/cluster.py down FOLDER       end every process that it or its jobs started

Root is not required. All daemons listen on free ports of the loopback device. There are no cgroups and no accounting
database: memory limits are enforced by sampling, and small replacements of sacct and sacctmgr answer the queries that
need the database. The nodes declare more cores and memory than the machine has.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
NODES = ("n1", "n2")
ACCOUNT, PARTITION, GPU_PARTITION = "lab", "main", "gpu"
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])

CONFIGURATION = """\
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
GresTypes=gpu
ReturnToService=2
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.%n.pid
SlurmdSpoolDir={folder}/spool/%n
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
MailProg=/bin/true
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
# memory is sampled every second, and a job above its limit is killed
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,NoShared
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=5,bf_interval=5,sched_min_interval=0
SlurmctldTimeout=30
# a node that does not answer for this many seconds is down
SlurmdTimeout=5
InactiveLimit=0
KillWait=5
MinJobAge=300
SlurmdParameters=config_overrides
{nodes}
# the least loaded node first, so that both are used
PartitionName={partition} Nodes={names} LLN=YES Default=YES MaxTime=INFINITE State=UP
PartitionName={gpu_partition} Nodes={names} LLN=YES MaxTime=INFINITE State=UP
"""
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=16 Boards=1 SocketsPerBoard=1"
    " CoresPerSocket=16 ThreadsPerCore=1 RealMemory=64000 Gres=gpu:8 State=UNKNOWN"
)
DAEMONS = ("munged ", "slurmctld ", "slurmd ", "slurmstepd")

STAND_INS = {
    # the step inside a job does not inherit SLURM_CONF; a real cluster has its configuration in /etc
    "srun": 'SLURM_CONF={folder}/etc/slurm.conf exec {srun} "$@"\n',
    # two queries that use the accounting database whatever the status command is
    "sacct": "exit 0\n",
    "sacctmgr": "echo {account}\n",
}


class Unavailable(Exception):
    """SLURM cannot be installed or started here; the message gives the reason."""


def install() -> None:
    """Install the packages unless they are installed.

    Raises:
        Unavailable: apt-get is missing, not permitted, or failed.
    """
    if all(shutil.which(program, path=PATH) for program in ("slurmctld", "slurmd", "sbatch", "munged")):
        return
    if not shutil.which("apt-get"):
        raise Unavailable("SLURM is not installed, and apt-get is not available to install it.")
    root = [] if os.getuid() == 0 else ["sudo", "-n"]
    if root and not shutil.which("sudo"):
        raise Unavailable(f"SLURM is not installed; run as root: apt-get install {' '.join(PACKAGES)}")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    subprocess.run([*root, "apt-get", "update", "-qq"], **quiet)
    options = ["-y", "-qq", "--no-install-recommends"]
    done = subprocess.run([*root, "apt-get", "install", *options, *PACKAGES], **quiet)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Unavailable(f"SLURM could not be installed: {reason}")


def free_ports(count: int) -> list[int]:
    """Unused TCP ports of the loopback device."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class Cluster:
    """Cluster in `folder`, whose path must be short: paths of sockets have at most 107 bytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of a user of this cluster."""
        path = os.pathsep.join([str(self.folder / "bin"), PATH])
        return os.environ | {"SLURM_CONF": str(self.folder / "etc" / "slurm.conf"), "PATH": path}

    def call(self, *command: str) -> str:
        """Run one of SLURM's commands and return its output."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise Unavailable(f"{shlex.join(command)} failed: {done.stderr.strip()}")
        return done.stdout

    def up(self) -> None:
        """Write the configuration, start all daemons, and wait until both nodes are ready.

        Raises:
            Unavailable: they were not ready after 30 seconds.
        """
        self._write()
        run, etc, log = (self.folder / name for name in ("run", "etc", "log"))
        self.call(
            "munged",
            *(f"--key-file={etc}/munge.key", f"--socket={run}/munge.socket", f"--pid-file={run}/munged.pid"),
            *(f"--log-file={log}/munged.log", f"--seed-file={run}/munged.seed", "--force"),
        )
        self.call("slurmctld", "-f", f"{etc}/slurm.conf")
        for node in NODES:
            self.start_node(node)
        self.wait_for_nodes()

    def start_node(self, node: str) -> None:
        """Start the daemon of one node."""
        self.call("slurmd", "-f", f"{self.folder}/etc/slurm.conf", "-N", node)

    def wait_for_nodes(self, seconds: float = 30) -> None:
        """Wait until both nodes respond."""
        deadline = time.monotonic() + seconds
        states: list[str] = []
        while time.monotonic() < deadline:
            with contextlib.suppress(Unavailable):
                states = self.call("sinfo", "-h", "-N", "-p", PARTITION, "-o", "%N %T").split("\n")[:-1]
                if len(states) == len(NODES) and all(s.split()[1] in ("idle", "mixed", "allocated") for s in states):
                    return
            time.sleep(0.1)
        raise Unavailable(f"The nodes of the cluster are not ready after {seconds:.0f} s: {', '.join(states)}.")

    def kill_node(self, node: str) -> None:
        """kill -9 of a node's daemon and of the processes that supervise its jobs; the jobs themselves survive."""
        log = str(self.folder / "log" / f"slurmd.{node}.log")
        for process, command in processes():
            if command.startswith(("slurmd ", "slurmstepd")) and log in opened(process):
                kill(process)

    def down(self) -> None:
        """End every process of the cluster and of its jobs."""
        if not (self.folder / "etc" / "slurm.conf").exists():  # it was never started
            return
        with contextlib.suppress(Unavailable, subprocess.TimeoutExpired):
            self.call("scancel", "--signal=KILL", "--full", f"--user={getpass.getuser()}")
            time.sleep(1)
        for _ in range(20):
            left = [process for process, command in processes() if self._is_ours(process, command)]
            if not left:
                return
            for process in left:
                kill(process)
            time.sleep(0.1)
        raise Unavailable(f"These processes of the cluster could not be ended: {left}")

    def _is_ours(self, process: int, command: str) -> bool:
        """Return True for a daemon of this cluster or a process started by one of its jobs."""
        if command.startswith(DAEMONS):
            return any(name.startswith(f"{self.folder}/") for name in opened(process))
        try:
            environment = Path(f"/proc/{process}/environ").read_bytes()
        except OSError:  # it has ended, or belongs to somebody else
            return False
        return b"\0SLURM_JOB_ID=" in b"\0" + environment and f"{self.folder}/bin".encode() in environment

    def _write(self) -> None:
        for name in ("etc", "bin", "run", "log", "state", *(f"spool/{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)  # munge refuses a socket that other users cannot reach
        host = socket.gethostname().partition(".")[0]
        control, *ports = free_ports(1 + len(NODES))
        nodes = [NODE.format(name=node, host=host, port=port) for node, port in zip(NODES, ports, strict=True)]
        etc = self.folder / "etc"
        text = CONFIGURATION.format(
            host=host,
            port=control,
            user=getpass.getuser(),
            folder=self.folder,
            nodes="\n".join(nodes),
            names=",".join(NODES),
            partition=PARTITION,
            gpu_partition=GPU_PARTITION,
        )
        (etc / "slurm.conf").write_text(text, encoding="utf-8")
        for number in range(8):  # files in place of the devices, which nothing opens
            (self.folder / "run" / f"gpu{number}").touch()
        (etc / "gres.conf").write_text(f"Name=gpu File={self.folder}/run/gpu[0-7]\n", encoding="utf-8")
        (etc / "munge.key").write_bytes(secrets.token_bytes(1024))
        (etc / "munge.key").chmod(0o600)
        for name, text in STAND_INS.items():
            file = self.folder / "bin" / name
            srun = shutil.which("srun", path=PATH)
            file.write_text(
                "#!/bin/sh\n" + text.format(folder=self.folder, srun=srun, account=ACCOUNT), encoding="utf-8"
            )
            file.chmod(0o755)


def processes() -> list[tuple[int, str]]:
    """All processes with a command line, and that command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if command := (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip():
                found.append((int(folder.name), command))
    return found


def opened(process: int) -> set[str]:
    """Paths of the files that a process has open."""
    names = set()
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{process}/fd").iterdir():
            with contextlib.suppress(OSError):
                names.add(os.readlink(link))
    return names


def kill(process: int) -> None:
    """kill -9, if the process still exists."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def main(arguments: list[str] | None = None) -> int:
    """Run the command-line program that the module's docstring describes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["install", "up", "env", "down"])
    parser.add_argument("folder", nargs="?", type=Path)
    options = parser.parse_args(arguments)
    if options.command != "install" and options.folder is None:
        parser.error("FOLDER is missing")
    try:
        if options.command == "install":
            install()
        elif options.command == "env":
            environment = Cluster(options.folder).environment
            print(
                f"export SLURM_CONF={shlex.quote(environment['SLURM_CONF'])} PATH={shlex.quote(environment['PATH'])}"
            )
        else:
            getattr(Cluster(options.folder), options.command)()
    except Unavailable as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
