"""Run `python -m MODULE` in forks of a process that has imported the heavy libraries once.

    python fork_server.py serve SOCKET IMPORT...      import the modules, then fork for every request
    python fork_server.py run FOLDER -m MODULE ...    `python -m MODULE ...` by the server of FOLDER/MODULE.sock

A start of Snakemake costs about one second of imports, a job that opens an encoder six. A fork has its own memory, so
runs cannot influence each other, and the server never imports rankrefine: every run reads the checkout that its
PYTHONPATH or Snakefile names. Needs Linux (pidfd). The server ends when its standard input is closed.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

LENGTH = 8  # bytes of the number that says how long a request is
STREAMS = (0, 1, 2)


class ForkServer:
    """A server process for one module, started at the first use."""

    def __init__(self, folder: Path, module: str, imports: tuple[str, ...], environment: dict[str, str]) -> None:
        self._socket = folder / f"{module}.sock"
        self._imports, self._environment = imports, environment
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start the server; requests wait until its imports are done."""
        if self._process is not None:
            return
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | self._environment
        self._process = subprocess.Popen(
            [sys.executable, __file__, "serve", self._socket, *self._imports],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout.read(1), "the server did not start"

    def run(self, *arguments: str, **request: Any) -> int:
        """Run the module with the arguments and return its exit code; see `request`."""
        self.start()
        return request_run(self._socket, list(arguments), **request)

    def stop(self) -> None:
        """End the server."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()


def request_run(
    path: Path,
    arguments: list[str],
    folder: Path | str | None = None,
    environment: dict[str, str] | None = None,
    streams: tuple[int, ...] = STREAMS,
    executable: str = sys.executable,
) -> int:
    """Ask the server at `path` for a run and wait for its exit code (negative after a signal).

    Args:
        path: The server's socket.
        arguments: Arguments of the module.
        folder: Working directory (default: the current one).
        environment: Environment variables (default: the current ones).
        streams: File descriptors of standard input, output and error.
        executable: `sys.executable` of the run.
    """
    request = {
        "module": Path(path).stem,
        "arguments": arguments,
        "folder": str(folder or os.getcwd()),
        "environment": dict(os.environ) if environment is None else environment,
        "executable": executable,
    }
    content = json.dumps(request).encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(path))
        socket.send_fds(connection, [len(content).to_bytes(LENGTH)], list(streams))
        connection.sendall(content)
        return int(connection.recv(32) or -signal.SIGKILL)


def executable(folder: Path) -> Path:
    """Write a program that stands for Python in `folder`: modules with a server there run in it."""
    program = folder / "python"
    program.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -I -S "{__file__}" run "{folder}" "$@"\n', encoding="utf-8"
    )
    program.chmod(0o755)
    return program


def environment(folder: Path) -> dict[str, str]:
    """Environment variables that make `executable(folder)` the `sys.executable` of every Python started with them."""
    text = f"import sys\n\nsys.executable = {str(executable(folder))!r}\n"
    (folder / "sitecustomize.py").write_text(text, encoding="utf-8")
    return os.environ | {"PYTHONPATH": str(folder)}


# --- the server


def serve(path: str, imports: list[str]) -> dict[str, Any] | None:
    """Answer requests until standard input is closed (None); in a fork for a run, return its request."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen(64)
        os.write(1, b"\n")
        for module in imports:
            importlib.import_module(module)
        assert "rankrefine" not in sys.modules
        gc.collect()
        gc.freeze()  # collections in the forks leave what all share alone
        while True:
            ready = select.select([listener, 0], [], [])[0]
            _reap()
            if listener not in ready:
                return None
            connection = listener.accept()[0]
            if os.fork() == 0:
                listener.close()
                if request := _handle(connection):
                    return request
            connection.close()


def _reap() -> None:
    """Collect the handlers that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _handle(connection: socket.socket) -> dict[str, Any] | None:
    """Fork again for one request: return it in that process; wait for its end in this one, and exit."""
    length, streams, _, _ = socket.recv_fds(connection, LENGTH, len(STREAMS))
    content = b""
    while len(content) < int.from_bytes(length):
        content += connection.recv(1 << 20)
    process = os.fork()
    if process == 0:
        connection.close()
        for stream, target in zip(streams, STREAMS, strict=True):
            os.dup2(stream, target)
            os.close(stream)
        return json.loads(content)
    for stream in (*streams, *STREAMS):
        os.close(stream)
    ended = os.pidfd_open(process)
    if connection in select.select([connection, ended], [], [])[0]:  # the client is gone
        with contextlib.suppress(ProcessLookupError):  # no session of its own yet
            os.killpg(process, signal.SIGKILL)
        os.kill(process, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    with contextlib.suppress(OSError):
        connection.sendall(str(code).encode())
    os._exit(0)


def _run(request: dict[str, Any]) -> int:
    """Run the module as `python -m` would, in a session of its own, and return the exit code."""
    os.setsid()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.executable = request["executable"]
    extra = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    sys.path[:1] = [request["folder"], *extra]
    sys.argv = [request["module"], *request["arguments"]]
    importlib.invalidate_caches()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # random has its own hook for forks
    code: Any = 0
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if not isinstance(code, int | None):
        print(code, file=sys.stderr)
        code = 1
    return code or 0


def _end(code: int) -> None:
    """End the process as the interpreter would, without the slow destruction of all objects."""
    threading._shutdown()
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code & 0xFF)


def main(arguments: list[str]) -> None:
    """Do what the module's docstring says."""
    if arguments[0] == "serve":
        if request := serve(arguments[1], arguments[2:]):
            _end(_run(request))
        return
    folder, *command = arguments[1:]
    path = Path(folder) / f"{command[1]}.sock" if command[:1] == ["-m"] else None
    if path and path.exists():
        code = request_run(path, command[2:])
        sys.exit(code if code >= 0 else 128 - code)
    os.execv(sys.executable, [sys.executable, *command])


if __name__ == "__main__":
    main(sys.argv[1:])
