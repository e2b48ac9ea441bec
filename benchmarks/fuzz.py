"""Give mutated inputs to every parser that reads stored or foreign bytes: each must be taken, or refused by an error of ours.

    python -m benchmarks.fuzz --inputs 20000
    python -m benchmarks.fuzz --parser "model file" --number 17    # one input again

Anything else is a finding: another exception, a process that ended, more than two seconds of processor time, or more
memory than a refusal may take four times over. The inputs follow from the seed; 20,000 take about half a minute on one core.
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import os
import random
import resource
import signal
import sys
import time
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

for _name, _value in {"OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"}.items():
    os.environ.setdefault(_name, _value)
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests")]

from include.errors import RatchetError  # noqa: E402 (after the path is set)
from tests import hostile  # noqa: E402

SECONDS = 2.0
_NUMBERS = (
    b"0",
    b"-1",
    b"1e999",
    b"NaN",
    b"9" * 30,
    b"2147483648",
    b"-9223372036854775809",
    b"null",
    b"[]",
    b"{}",
    b'""',
)
_WORDS = tuple(
    value.to_bytes(size, "little")
    for size in (1, 2, 4, 8)
    for value in (0, 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1)
)


@dataclass(frozen=True)
class Finding:
    """An input that was neither taken nor refused as it should be."""

    parser: str
    number: int
    said: str


def mutated(parser: str, number: int, seed: int) -> bytes:
    """Return the input of a number, which is the same in every process."""
    draw = random.Random(f"{seed}/{parser}/{number}")  # noqa: S311 (no secret)
    seeds = hostile.SEEDS[parser]
    body = draw.choice(seeds)
    if draw.random() < 0.7 and (inside := _inside(draw, body)) is not None:
        return inside
    return _changed(draw, body, draw.choice(seeds))


def _inside(draw: random.Random, body: bytes) -> bytes | None:
    """Mutate what a container holds, and pack it anew, so that its own sums are right."""
    if body.startswith(b"PK"):
        members = hostile.members(body)
        name = draw.choice(sorted(members))
        members[name] = _changed(draw, members[name], draw.choice(sorted(members.values())))
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for member, content in members.items():
                archive.writestr(member, content)
        return out.getvalue()
    if body.startswith(b"\x1f\x8b"):
        content = zlib.decompress(body, wbits=31)
        packer = zlib.compressobj(wbits=31)
        return packer.compress(_changed(draw, content, content)) + packer.flush()
    return None


def _changed(draw: random.Random, body: bytes, other: bytes) -> bytes:
    """Return bytes after one to six changes of the kinds that break parsers."""
    new = bytearray(body)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 6))):
        at, length = draw.randrange(len(new) + 1), draw.choice((1, 2, 4, 8, 16, 64, 256))
        kind = draw.randrange(9)
        if kind == 0 and at < len(new):
            new[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            new[at : at + length] = draw.randbytes(length)
        elif kind == 2:
            del new[at : at + length]
        elif kind == 3:
            new[at:at] = new[at : at + length] * draw.choice((1, 2, 100))
        elif kind == 4:
            del new[at:]
        elif kind == 5:
            word = draw.choice(_WORDS)
            new[at : at + len(word)] = word
        elif kind == 6:
            start = draw.randrange(len(other) + 1)
            new[at : at + length] = other[start : start + length]
        elif kind == 7:
            new = bytearray(_other_number(draw, bytes(new)))
        else:
            new[at:at] = draw.choice(
                (
                    b"\x00",
                    b"\xff\xfe",
                    b"{",
                    b"[" * 200,
                    b'"',
                    b"\n",
                    b"../",
                    b"\xed\xa0\x80",
                    b": !!python/name:os.system ",
                )
            )
    return bytes(new)


def _other_number(draw: random.Random, body: bytes) -> bytes:
    """Replace a number, a word or a text of a readable format."""
    places = [at for at in range(len(body)) if body[at : at + 1].isdigit() and not body[at - 1 : at].isdigit()]
    if not places:
        return body
    start = draw.choice(places)
    end = start
    while body[end : end + 1].isdigit():
        end += 1
    return body[:start] + draw.choice(_NUMBERS) + body[end:]


def fuzz(
    inputs: int, seed: int = 0, parsers: tuple[str, ...] = tuple(hostile.PARSERS)
) -> tuple[collections.Counter[str], list[Finding]]:
    """Give each parser its share of the inputs.

    Parameters
    ----------
    inputs : int
        How many inputs there are at least, of all parsers together.
    parsers : tuple of str
        Names of `tests.hostile.PARSERS`.

    Returns
    -------
    counts : Counter
        How many were ``taken`` and ``refused``.
    findings : list of Finding
    """
    hostile.warm()
    counts: collections.Counter[str] = collections.Counter()
    findings: list[Finding] = []
    for parser in parsers:
        number, end = 0, -(-inputs // len(parsers))
        while number < end:
            for said in _batch(parser, number, end, seed):
                counts[said if said in ("taken", "refused") else "found"] += 1
                if said not in ("taken", "refused"):
                    findings.append(Finding(parser, number, said))
                number += 1
    return counts, findings


def _batch(parser: str, number: int, end: int, seed: int) -> Iterator[str]:
    """Yield what becomes of inputs, in another process; after the one that ends it, the caller begins a new one."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receiver)
        with os.fdopen(sender, "w", buffering=1) as answer:
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + 4 * hostile.MEGABYTES * 2**20,) * 2)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            for one in range(number, end):
                answer.write(json.dumps(_said(parser, mutated(parser, one, seed))) + "\n")
        os._exit(0)
    os.close(sender)
    told = 0
    with os.fdopen(receiver) as answers:
        for line in answers:
            told += 1
            yield json.loads(line)
    _, status = os.waitpid(child, 0)
    if number + told < end:
        yield signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"status {status}"


def _said(parser: str, body: bytes) -> str:
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + 10), hard))
    began = time.process_time()
    try:
        hostile.PARSERS[parser](body)
        said = "taken"
    except RatchetError:
        said = "refused"
    except BaseException as error:  # noqa: BLE001 - this is what is looked for
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = "" if trace is None else f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        said = f"{type(error).__name__}{place}"
    took = time.process_time() - began
    return f"{took:.1f} s" if took > SECONDS else said


def main() -> int:
    """Run it and say what was found; the status is 1 if anything was."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parser", choices=hostile.PARSERS)
    parser.add_argument("--number", type=int, help="give the parser this input alone, in this process")
    asked = parser.parse_args()
    if asked.parser and asked.number is not None:
        hostile.PARSERS[asked.parser](mutated(asked.parser, asked.number, asked.seed))
        return 0
    began = time.monotonic()
    counts, findings = fuzz(asked.inputs, asked.seed, (asked.parser,) if asked.parser else tuple(hostile.PARSERS))
    told = [f"{counts.total():,} inputs, seed {asked.seed}, {time.monotonic() - began:.0f} s"]
    told += [f"{counts['refused']:,} refused, {counts['taken']:,} taken, {len(findings)} found"]
    for (name, said), times in collections.Counter((one.parser, one.said) for one in findings).most_common():
        first = next(one.number for one in findings if (one.parser, one.said) == (name, said))
        told.append(f"  {name}: {said}, {times} times, first of number {first}")
    sys.stdout.write("\n".join(told) + "\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
