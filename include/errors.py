"""The tree of errors: one class for each mistake that a user can make.

    RatchetError
    ├── ConfigError            model.yaml, a setting or a form value is invalid
    │   └── CodeError          a function named in model.yaml is missing or broken
    ├── StoreError
    │   ├── StoreUnavailable   the store did not answer; the only error that a retry can help
    │   ├── StoreUnfit         the store's conditional writes are not atomic, or it does not encrypt as requested
    │   ├── ObjectMissing      a key that should be there is not
    │   │   └── ObjectRemoved  it was removed by retention or erasure, as a tombstone records
    │   ├── ObjectCorrupt      bytes do not match their digest
    │   ├── ChainBroken        a log has a gap, a fork or a changed entry
    │   ├── LedgerRewound      a log is older than, or differs from, its remembered head
    │   └── SignatureRefused   something is not signed, or the signer is not trusted
    ├── DataError
    │   ├── SourceError        raw rows can't be read as declared
    │   ├── SchemaChanged      the source's columns or types differ from those on record
    │   └── NotEnoughRows      a window has too few rows to train on or to evaluate on
    │       └── NotYetThere    the newest partition has not arrived yet, and the run may wait for it
    ├── QualityError           a critical expectation failed, or too many rows were quarantined
    ├── TrainingError          a candidate can't be fitted, or none could be selected
    │   └── ClusterUnavailable the Dask cluster did not answer
    ├── ModelFileRefused       a model file is damaged or has a type that is not permitted
    ├── EvaluationError        evidence can't be measured
    ├── RegistryError          an operation on the ledger that the laws do not allow
    ├── AuditFailed            an object that a ledger names is changed or missing
    ├── MirrorBehind           a mirror in another system is not up to date with the ledger
    ├── LibrariesChanged       a version can't be used unchanged with the installed libraries
    ├── NotReproduced          a version, trained again from its record, is another model
    ├── ImageError             an image registry does not resolve a tag to a digest
    └── RequestError           a request to the server is not valid

Each message says what was expected, what was found, where, and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from datetime import datetime
from itertools import islice


class RatchetError(Exception):
    """An error that a person can act on.

    Parameters
    ----------
    message : str
        What is wrong, in one sentence.
    expected, found, where, remedy : str, optional
        The facts behind the sentence; those given are printed one a line.
    """

    def __init__(
        self,
        message: str,
        *,
        expected: object = None,
        found: object = None,
        where: object = None,
        remedy: str | None = None,
    ) -> None:
        self.message = message
        self.expected = expected
        self.found = found
        self.where = where
        self.remedy = remedy
        facts = {"expected": expected, "found": found, "where": where, "what to do": remedy}
        lines = [message, *(f"  {name}: {fact}" for name, fact in facts.items() if fact is not None)]
        super().__init__("\n".join(lines))


class ConfigError(RatchetError):
    """model.yaml, a setting or a form value is invalid."""


class CodeError(ConfigError):
    """A function named in model.yaml is missing or broken."""


class StoreError(RatchetError):
    """An operation of the object store failed."""


class StoreUnavailable(StoreError):
    """The store did not answer; trying again later can help."""


class StoreUnfit(StoreError):
    """The store's conditional writes are not atomic, so that it can't keep a ledger, or it does not encrypt as requested."""


class ObjectMissing(StoreError):
    """A key that should be there is not."""


class ObjectRemoved(ObjectMissing):
    """It was removed by retention or erasure, as a tombstone records."""


class ObjectCorrupt(StoreError):
    """Bytes do not match their digest."""


class ChainBroken(StoreError):
    """A log has a gap, a fork or a changed entry.

    ``number`` is the first entry that does not follow from the one before it.
    """

    def __init__(self, message: str, *, number: int, **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.number = number


class LedgerRewound(StoreError):
    """A log is older than, or differs from, its remembered head."""


class SignatureRefused(StoreError):
    """Something is not signed, or the signer is not trusted."""


class DataError(RatchetError):
    """Rows are not as declared."""


class SourceError(DataError):
    """Raw rows can't be read as declared."""


class SchemaChanged(DataError):
    """The source's columns or types differ from those on record."""


class NotEnoughRows(DataError):
    """A window has too few rows to train on or to evaluate on."""


class NotYetThere(NotEnoughRows):
    """The newest partition has not arrived yet, and the run may wait for it ``until`` an instant."""

    def __init__(self, message: str, *, until: datetime, **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.until = until


class QualityError(RatchetError):
    """A critical expectation failed, or too many rows were quarantined.

    ``report`` and ``page`` are the digests of the stored report and of its page.
    """

    def __init__(self, message: str, *, report: str, page: str, **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.report = report
        self.page = page


class TrainingError(RatchetError):
    """A candidate can't be fitted, or none could be selected."""


class ClusterUnavailable(TrainingError):
    """The Dask cluster did not answer, or has no workers; the fit itself has no error."""


class ModelFileRefused(RatchetError):
    """A model file is damaged or has a type that is not permitted."""


class EvaluationError(RatchetError):
    """Evidence can't be measured."""


class RegistryError(RatchetError):
    """An operation on the ledger that the laws do not allow."""


class AuditFailed(RatchetError):  # named as the rest of the error tree
    """An object that a ledger names is changed or missing."""


class MirrorBehind(RatchetError):
    """A mirror of the ledger in another system is not up to date with the ledger; the next run updates it."""


class LibrariesChanged(RatchetError):  # named as the rest of the error tree
    """A version can't be used unchanged with the installed libraries."""


class NotReproduced(RatchetError):  # named as the rest of the error tree
    """A version, trained again from its record, is another model, or its record is not sound."""


class ImageError(RatchetError):
    """An image registry does not resolve a tag to a digest."""


class RequestError(RatchetError):
    """A request to the server is not valid.

    Parameters
    ----------
    status : int
        The HTTP status that says so.
    problems : list of dict
        What is wrong with the rows: each with ``row``, ``field``, ``expected``, ``found`` and ``nearest``.
    retry_after : int, optional
        Seconds after which the same request may succeed.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 422,
        problems: Iterable[dict[str, object]] = (),
        retry_after: int | None = None,
        **facts: object,
    ) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.status = status
        self.problems = list(problems)
        self.retry_after = retry_after


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known spelling closest to ``word``, or None if nothing is close; it compares the first 10,000 known spellings."""
    known = list(islice(known, 10_000))
    swapped = [name for name in known if sorted(name.split("_")) == sorted(str(word).split("_"))]
    if swapped:
        return swapped[0]
    matches = difflib.get_close_matches(str(word), known, n=1, cutoff=0.6)
    return matches[0] if matches else None


def did_you_mean(word: str, known: Iterable[str], otherwise: str | None = None, *, mark: str = "`") -> str | None:
    """Return as a remedy the question whether the nearest known spelling is meant; ``otherwise`` if nothing is close.

    Parameters
    ----------
    otherwise : str, optional
        What to do if none of them is close.
    mark : str
        Stands on both sides of the spelling.
    """
    close = nearest(word, known)
    return f"did you mean {mark}{close}{mark}?" if close else otherwise
