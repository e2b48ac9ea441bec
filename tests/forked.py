"""Scripts in processes that are forked from one that has what a task imports and the API that it asks: that is paid once.

Each script still begins in a process without anything of another's: its environment, standard streams and exit are its own.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, TextIO


class ForkServer:
    """One process that has imported what the scripts need.

    Parameters
    ----------
    environment : dict
        What it is started with. A script may have other variables, but what is read while modules are imported is of these.
    folder : Path
        Where the output of scripts is kept while they run.
    """

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.environment, self.folder = environment, folder
        self.process: subprocess.Popen[str] | None = None

    def run(self, script: str, *arguments: str, environment: dict[str, str], timeout: int = 300) -> tuple[str, str]:
        """Run a script in a new process and return what it wrote to standard output and standard error.

        Raises
        ------
        TimeoutError
            If it has not ended after ``timeout`` seconds. It is killed.
        """
        written = [self.folder / name for name in ("stdout", "stderr")]
        asked = {
            "script": script,
            "arguments": arguments,
            "environment": environment,
            "written": list(map(str, written)),
            "folder": str(Path.cwd()),
            "timeout": timeout,
        }
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-P", __file__],
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        process = self.process
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BaseException:  # its next answer would be of this script
            self.close()
            raise
        if not answer:
            self.close()
            raise RuntimeError("the process that scripts are forked from has ended")
        if json.loads(answer) == "late":
            raise TimeoutError(f"a script has not ended after {timeout} seconds")
        out, error = (path.read_text(errors="replace") for path in written)
        return out, error

    def close(self) -> None:
        """End the process, and a script that it runs."""
        if self.process is not None:
            self.process.terminate()
            self.process.communicate()
            self.process = None


def serve(answers: TextIO) -> dict[str, Any]:
    """Fork for each line of standard input; return what is asked for in the fork, and exit when nothing more comes."""
    child = 0

    def end(*_: object) -> None:
        if child:
            os.kill(child, signal.SIGKILL)
        os._exit(0)

    def late(*_: object) -> None:
        raise TimeoutError

    while line := sys.stdin.readline():
        asked: dict[str, Any] = json.loads(line)
        child = os.fork()
        if child == 0:
            answers.close()
            return asked
        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGALRM, late)
        signal.alarm(asked["timeout"])
        try:
            answer: object = os.waitpid(child, 0)[1]
        except TimeoutError:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            answer = "late"
        signal.alarm(0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        child = 0
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    sys.exit()


def become(asked: dict[str, Any]) -> None:
    """Take the environment, folder, arguments and standard streams of a script."""
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    sys.argv = ["-c", *asked["arguments"]]
    for descriptor, path in zip((1, 2), asked["written"], strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)


if __name__ == "__main__":
    to_parent = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is logged while modules are imported is no answer
    logging.disable(logging.CRITICAL)
    gc.disable()
    import airflow.dag_processing.dagbag  # noqa: F401
    from airflow.sdk.execution_time.supervisor import in_process_api_server
    from sqlalchemy.orm import configure_mappers

    from ratchet_operators.warm import warm

    warm()
    # `dag.test` has an API server in its process; its routes are made for every version of the API, at the first request.
    in_process_api_server().app._cadwyn_initialize()
    configure_mappers()
    gc.collect()
    gc.freeze()  # or each fork would copy what its collector looks at
    gc.enable()
    of_script = serve(to_parent)
    become(of_script)
    exec(compile(of_script["script"], "<string>", "exec"), {"__name__": "__main__"})
