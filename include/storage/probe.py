"""Probe an S3 server: conditional writes must be atomic, and objects encrypted as requested."""

from __future__ import annotations

import logging
import os
import re
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.errors import ConfigError, ObjectMissing, StoreUnfit
from include.storage.content import canonical_json, digest_json
from include.storage.s3 import S3Store

log = logging.getLogger(__name__)

ROUNDS = 4
RACERS = 8  # fewer than the connections that a client keeps, so that all of them really race
# No model's name starts with an underscore.
MARKER = "_store/conditional-put.json"
_ENCRYPTION = "RATCHET_STORE_ENCRYPTION"


@dataclass(frozen=True)
class Encryption:
    """What an S3 server is to encrypt objects with.

    Attributes
    ----------
    algorithm : str
        ``AES256`` (SSE-S3) or ``aws:kms`` (SSE-KMS).
    key : str or None
        The key's id or ARN for SSE-KMS; the account's own if None.
    """

    algorithm: str
    key: str | None = None

    @classmethod
    def from_environment(cls) -> Encryption | None:
        """Return what ``RATCHET_STORE_ENCRYPTION`` asks for; None if it is unset.

        Raises
        ------
        ConfigError
        """
        wanted = os.environ.get(_ENCRYPTION)
        if not wanted:
            return None
        found = re.fullmatch(r"(AES256)|(aws:kms)(?:/(\S+))?", wanted)
        if found is None:
            raise ConfigError(
                "The setting for the encryption of the store is not valid.",
                expected="AES256, aws:kms, or aws:kms/ and a key's id or ARN",
                found=wanted,
                where=f"environment variable {_ENCRYPTION}",
            )
        return cls(found[1] or found[2], found[3])

    @property
    def put(self) -> dict[str, str]:
        """The arguments of a put."""
        named = {} if self.key is None else {"SSEKMSKeyId": self.key}
        return {"ServerSideEncryption": self.algorithm, **named}

    def require(self, head: dict[str, Any], where: str) -> None:
        """Raise `StoreUnfit` unless a server reports that an object is encrypted like this.

        Parameters
        ----------
        head : dict
            What ``head_object`` returned.
        where : str
            The store and the object, for the message.
        """
        algorithm, key = head.get("ServerSideEncryption"), head.get("SSEKMSKeyId")
        # A server names a key by its ARN, of which the id is the end.
        named = self.key is None or (key is not None and re.split("[:/]", key)[-1] == re.split("[:/]", self.key)[-1])
        if algorithm != self.algorithm or not named:
            raise StoreUnfit(
                "This S3 server does not encrypt objects as requested.",
                expected=f"{self.algorithm}{f' with key {self.key}' if self.key else ''}",
                found=f"{algorithm or 'no encryption'}{f' with key {key}' if key else ''}",
                where=where,
                remedy=f"use a server that encrypts, look at the bucket's own encryption, or unset {_ENCRYPTION}",
            )


class ProbedS3Store(S3Store):
    """An `S3Store` that, before its first write, holds its server to `ObjectStore.put_if_absent`.

    Some servers take ``If-None-Match`` and ignore it, and some look first and write later, so that two writers win: on those,
    a ledger would lose events without a word. A store that passed keeps a marker, and is not probed again. Reading needs no
    probe, and no right to write.
    """

    _fit = False

    def put_if_absent(self, key: str, body: bytes | Path) -> bool:
        """Write ``body`` under ``key`` unless something is there already; raises `StoreUnfit` as `require_fit` does."""
        self.require_fit()
        return super().put_if_absent(key, body)

    def require_fit(self) -> None:
        """Probe the server unless that was done before.

        Raises
        ------
        StoreUnfit
            When the server let more than one writer of a key win, or does not encrypt as it is asked to.
        """
        if self._fit:
            return
        if not self.exists(MARKER):
            self._probe()
            super().put_if_absent(MARKER, canonical_json({"racers": RACERS, "rounds": ROUNDS}))
        if self.encryption is not None:
            self._require_encrypted(self.encryption)
        self._fit = True

    def _require_encrypted(self, encryption: Encryption) -> None:
        """Read, in each process, an object that was written with the setting, since the server may have changed since."""
        key = f"_store/encrypted-{digest_json(encryption.put)[:12]}.json"
        try:
            head = self.head(key)
        except ObjectMissing:
            super().put_if_absent(key, canonical_json(encryption.put))
            head = self.head(key)
        encryption.require(head, f"{self.url} at {self.client.meta.endpoint_url}: {key}")

    def _probe(self) -> None:
        name = secrets.token_hex(8)
        # A store makes no more requests at a time than its client keeps connections; here all racers have to be under way at once.
        race = S3Store(self.client, self.bucket, self._folder.rstrip("/"), encryption=self.encryption, parallel=RACERS)
        with ThreadPoolExecutor(RACERS) as racers:
            for number in range(ROUNDS):
                key, start = f"_store/probes/{name}-{number}", threading.Barrier(RACERS)
                bodies = [f"writer {writer}".encode() for writer in range(RACERS)]
                told = list(racers.map(lambda body, key=key, start=start: _enter(race, key, body, start), bodies))
                won = [body for body, first in zip(bodies, told, strict=True) if first]
                # An answer may be lost, so that no writer knows that it won; the object must not change even then.
                stands = self.get(key)
                late = super().put_if_absent(key, b"late")
                if len(won) > 1 or late or (won and won != [stands]) or self.get(key) != stands:
                    self._refuse(len(won), late=late)
        log.info("%s keeps conditional writes: %d races of %d writers had one winner each", self.url, ROUNDS, RACERS)

    def _refuse(self, winners: int, *, late: bool) -> None:
        if late:
            found = "a later writer was told that it wrote an object that was there already: the server ignores the condition"
        elif winners > 1:
            found = f"{winners} writers were told that they won: the server looks first and writes later"
        else:
            found = "a writer that was refused has written"
        raise StoreUnfit(
            "This S3 server can't keep the ledger: events would be lost.",
            expected=f"one winner of {RACERS} racing writes with `If-None-Match: *`",
            found=found,
            where=f"{self.url} at {self.client.meta.endpoint_url}",
            remedy="use Amazon S3, or a server (and a release of it) whose conditional PUT is atomic; docs/compose.md names one",
        )


def _enter(race: S3Store, key: str, body: bytes, start: threading.Barrier) -> bool:
    start.wait()
    return race.put_if_absent(key, body)
