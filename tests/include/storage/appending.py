"""Many processes that append to one log at once: ``python -m tests.include.storage.appending <store> <endpoint> <writers>``.

A program of its own, so that forking starts from a process without threads that has imported little; prints one
``[number of the entry, how often it was decided]`` for each writer, as JSON.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from typing import Any

from include.storage.log import Entry, Log
from include.storage.opening import open_store


def append(url: str, client: Any, writer: int, ready: Any, answers: Any) -> None:
    """Append one entry once all writers are ready."""
    log = Log(open_store(url, s3_client=lambda: client), "model/ledger")
    decided = 0

    def decide(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]]:
        nonlocal decided
        decided += 1
        return "registered", {"writer": writer, "seen": len(entries)}

    ready.wait()
    entry = log.append(decide, at="2013-07-01T00:00:00Z")
    assert entry is not None
    answers.put((writer, (entry.number, decided)))


def main(url: str, endpoint: str, writers: int) -> None:
    """Run all writers and print what became of them."""
    client = None
    if url.startswith("s3:"):
        import boto3

        client = boto3.client("s3", endpoint_url=endpoint)  # once, before the processes part; it has no connection yet
    context = multiprocessing.get_context("fork")
    ready, answers = context.Barrier(writers), context.SimpleQueue()
    processes = [context.Process(target=append, args=(url, client, n, ready, answers)) for n in range(writers)]
    for process in processes:
        process.start()
    won = dict(answers.get() for _ in processes)
    for process in processes:
        process.join()
    print(json.dumps([won[writer] for writer in range(writers)]))  # noqa: T201 - its answer


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
