"""The signed heads of a ledger: an envelope beside each event, and the newest of them in the anchors.

An event's digest covers all events before it, so the signature of the newest one vouches for the whole ledger. It is written
before its event: an event that stands is signed, whenever its writer was killed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from include.errors import ConfigError, LedgerRewound, ObjectMissing, SignatureRefused, StoreUnavailable
from include.signing.anchors import Anchor
from include.signing.envelope import seal, unseal
from include.signing.keys import SigningKey, TrustedKey, TrustedKeys
from include.storage.content import from_iso
from include.storage.log import Entry
from include.storage.store import ObjectStore

log = logging.getLogger(__name__)

HEAD = "application/vnd.ratchet.head+json"
"""The payload type of a head: ``{"model", "number", "digest", "at"}``."""


@dataclass(frozen=True)
class HeadsFound:
    """What `SignedHeads.verify` found.

    Attributes
    ----------
    signed : int
        How many events are signed one by one.
    before : int
        How many came before the first signed one; its digest covers them.
    signers : tuple of str
        The names of the keys, in order of their first signature.
    anchored : tuple of str
        The anchors that hold the newest head.
    behind : tuple of str
        Those that hold an older one, or none.
    """

    signed: int
    before: int
    signers: tuple[str, ...]
    anchored: tuple[str, ...]
    behind: tuple[str, ...]


class SignedHeads:
    """Signs events that are appended to one model's ledger, and refuses a ledger whose newest event is not signed.

    Parameters
    ----------
    store : ObjectStore
        The ledger's own.
    model : str
    trusted : TrustedKeys
    key : callable or None
        Returns the key to sign with; None where a process only reads.
    anchors : sequence of Anchor
    """

    def __init__(
        self,
        store: ObjectStore,
        model: str,
        trusted: TrustedKeys,
        *,
        key: Callable[[], SigningKey] | None = None,
        anchors: Sequence[Anchor] = (),
    ) -> None:
        self._store, self._model, self.trusted = store, model, trusted
        self._key, self._anchors = key, anchors
        self._newest: bytes | None = None

    def sign(self, number: int, digest: str, at: str) -> None:
        """Store the signature of an event beside the key that the event will be written to.

        Raises
        ------
        ConfigError
            When this process has no key, or one that is not trusted.
        """
        self._newest = seal(HEAD, {"model": self._model, "number": number, "digest": digest, "at": at}, self.key(at))
        place = self._key_of(number, digest)
        if not self._store.put_if_absent(place, self._newest):
            self._opened(self._store.get(place), number, digest, f"{self._store.url}: {place}")

    def key(self, at: str) -> SigningKey:
        """Return the key that this process signs with, if it is trusted at an instant.

        Raises
        ------
        ConfigError
            When this process has no key, or one that is not trusted.
        """
        if self._key is None:
            raise ConfigError(
                f"The ledger of {self._model} is signed, and this process has no key to sign with.",
                expected="RATCHET_SIGNING_KEY or RATCHET_SIGNING_CONNECTION beside RATCHET_TRUSTED_KEYS",
                remedy="append from a process that has the key",
            )
        key = self._key()
        try:
            self.trusted.named(key.id, from_iso(at), where=key.where)
        except SignatureRefused as refused:
            raise ConfigError(
                "This process's signing key is not trusted.",
                expected=refused.expected,
                found=refused.found,
                where=key.where,
                remedy=f"add its public key to {self.trusted.where}, on every machine that reads",
            ) from None
        return key

    def appended(self, entry: Entry) -> None:
        """Remember in the anchors the event that was just written; raises `StoreUnavailable`."""
        assert self._newest is not None  # noqa: S101 (signed before it was written)
        for anchor in self._anchors:
            anchor.keep(self._model, entry.number, self._newest)

    def check(
        self, entries: tuple[Entry, ...], read_on: Callable[[tuple[Entry, ...]], tuple[Entry, ...]]
    ) -> tuple[Entry, ...]:
        """Return the entries if their newest is signed, and not older than what any anchor remembers.

        Parameters
        ----------
        read_on : callable
            Returns the entries with those that were written since.

        Raises
        ------
        LedgerRewound, SignatureRefused
        """
        kept = list(self._kept(entries))
        if any(head["number"] >= len(entries) for _, head in kept):
            entries = read_on(entries)  # written between the two looks
        for anchor, head in kept:
            self._require(entries, anchor, head)
        if not entries:
            return entries
        envelope = self._signature(entries[-1])
        self._signed(entries[-1], envelope)
        newest = {anchor.where: head["number"] for anchor, head in kept}
        for anchor in self._anchors:
            if newest.get(anchor.where, -1) < entries[-1].number:
                try:
                    anchor.keep(self._model, entries[-1].number, envelope)
                except StoreUnavailable as error:  # a reader may not be allowed to write
                    log.warning("%s does not remember event %s: %s", anchor.where, entries[-1].number, error.message)
        return entries

    def verify(self, entries: tuple[Entry, ...]) -> HeadsFound:
        """Check the signature of every event since the first signed one, and every anchor.

        Raises
        ------
        LedgerRewound, SignatureRefused
        """
        anchored = {}
        for anchor, head in self._kept(entries):
            self._require(entries, anchor, head)
            anchored[anchor.where] = head["number"] == len(entries) - 1
        first, _ = self._unsigned(entries)
        signers: list[TrustedKey] = []
        for entry in entries[min(first, len(entries) - 1) :] if entries else ():
            at, signer = self._signed(entry, self._signature(entry))
            if later := [key for key in signers if from_iso(at) < key.since]:
                raise SignatureRefused(
                    "an event is signed as of an instant before a key came into use that signed an earlier event",
                    expected=f"an instant from {later[0].since.isoformat()} on",
                    found=f"{at}, by {signer.name}",
                    where=f"event {entry.number}",
                    remedy="a retired key may have been stolen: set its `until`, and check what it signed last",
                )
            signers += [signer] if signer not in signers else []
        return HeadsFound(
            signed=len(entries) - first,
            before=first,
            signers=tuple(key.name for key in signers),
            anchored=tuple(anchor.where for anchor in self._anchors if anchored.get(anchor.where)),
            behind=tuple(anchor.where for anchor in self._anchors if not anchored.get(anchor.where)),
        )

    def adopt(self, entries: Sequence[Entry], *, at: str) -> None:
        """Sign the newest event, and those since the first signed one that are not signed; a person has verified the events.

        Parameters
        ----------
        at : str
            The instant of the signature; the event's own may be from before the key came into use.

        Raises
        ------
        LedgerRewound
            When an anchor remembers another ledger.
        """
        for anchor, head in self._kept(entries):
            self._require(entries, anchor, head)
        for one in (*self._unsigned(entries)[1], entries[-1]):
            self.sign(one.number, one.digest, at)
        self.appended(entries[-1])

    def _unsigned(self, entries: Sequence[Entry]) -> tuple[int, list[Entry]]:
        """Return the number of the first signed event, that of all if there is none, and the events after it that are not signed."""
        there = set(self._store.list(f"{self._model}/heads/"))
        signed = [self._key_of(one.number, one.digest) in there for one in entries]
        first = signed.index(True) if True in signed else len(entries)
        return first, [one for one, known in zip(entries[first:], signed[first:], strict=True) if not known]

    def _kept(self, entries: Sequence[Entry]) -> Iterator[tuple[Anchor, dict[str, Any]]]:
        for anchor in self._anchors:
            if (envelope := anchor.newest(self._model, len(entries) - 1)) is not None:
                head, _ = unseal(HEAD, envelope, self.trusted, where=anchor.where)
                if head["model"] == self._model:
                    yield anchor, head

    def _require(self, entries: Sequence[Entry], anchor: Anchor, head: dict[str, Any]) -> None:
        number = head["number"]
        if number < len(entries) and entries[number].digest == head["digest"]:
            return
        rewound = number >= len(entries)
        raise LedgerRewound(
            "the ledger is older than its remembered head"
            if rewound
            else "the ledger differs from its remembered head",
            expected=f"event {number} of {head['at']}, with digest {head['digest'][:12]}",
            found=f"{len(entries)} events" if rewound else f"event {number} with digest {entries[number].digest[:12]}",
            where=f"{self._store.url}: {self._model}/ledger, against {anchor.where}",
            remedy="restore the events from a backup, and find out who could remove them. If you restored an older state on "
            "purpose, remove what that anchor remembers of the model",
        )

    def _signature(self, entry: Entry) -> bytes:
        try:
            return self._store.get(self._key_of(entry.number, entry.digest))
        except ObjectMissing:
            raise SignatureRefused(
                "an event of the ledger is not signed",
                expected=f"a signature by a key of {self.trusted.where}",
                found=f"none of event {entry.number} of {entry.at}",
                where=f"{self._store.url}: {self._model}/ledger",
                remedy="a ledger from before signing: look at it (`python -m include verify` without RATCHET_TRUSTED_KEYS), "
                "then `python -m include sign`. Otherwise look for who could write it",
            ) from None

    def _signed(self, entry: Entry, envelope: bytes) -> tuple[str, TrustedKey]:
        where = f"{self._store.url}: {self._key_of(entry.number, entry.digest)}"
        return self._opened(envelope, entry.number, entry.digest, where)

    def _opened(self, envelope: bytes, number: int, digest: str, where: str) -> tuple[str, TrustedKey]:
        """Return when an event was signed, and by which key."""
        head, key = unseal(HEAD, envelope, self.trusted, where=where)
        expected = {"model": self._model, "number": number, "digest": digest}
        if any(head.get(name) != fact for name, fact in expected.items()):
            raise SignatureRefused(
                "a signature is that of another event",
                expected=f"event {number} of {self._model}, {digest[:12]}",
                found=f"event {head.get('number')} of {head.get('model')}",
                where=where,
            )
        return str(head["at"]), key

    def _key_of(self, number: int, digest: str) -> str:
        return f"{self._model}/heads/{number:08d}-{digest}.json"
