"""Keys in KMS sign ledgers and versions, and everybody verifies them without KMS: by the library, and by an audit pack's own code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import boto3
import pytest
from chain_run import NOW, declare, month, run_chain
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from include.audit.offline_check import P256_ORDER, ecdsa_verifies
from include.audit.pack import make_pack
from include.command_line.signing import make_key
from include.errors import ConfigError, SignatureRefused, StoreUnavailable
from include.registry.ledger import Ledger
from include.signing import kms
from include.signing.deployment import _key_of_kms
from include.signing.keys import TrustedKeys
from include.signing.kms import KmsKey
from include.storage.local import LocalStore


@pytest.fixture
def server(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", s3_server)
    for cached in (kms._client, _key_of_kms):
        cached.cache_clear()
    yield boto3.client("kms")
    for cached in (kms._client, _key_of_kms):
        cached.cache_clear()


def key_in(server: Any, spec: str = "ECC_NIST_P256") -> str:
    return str(server.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"])


def test_a_ledger_signed_by_kms_is_verified_offline(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.create_alias(AliasName="alias/ratchet", TargetKeyId=key_in(server))
    place = "awskms:///alias/ratchet"
    (tmp_path / "trusted.json").write_text(f"[{make_key(place, 'production', NOW - timedelta(days=1))}]")
    model, store = declare(tmp_path / "parcels"), LocalStore(tmp_path / "store")
    settings = {"STORE": store.url, "MODELS": str(tmp_path), "SIGNING_KEY": place}
    for name, value in (settings | {"TRUSTED_KEYS": str(tmp_path / "trusted.json")}).items():
        monkeypatch.setenv(f"RATCHET_{name}", value)
    run_chain(store, model, tmp_path / "parcels", month(7))
    ledger = Ledger(store, "parcels")
    version = ledger.timeline().champion
    assert version is not None
    # From here on there is no KMS.
    monkeypatch.delenv("RATCHET_SIGNING_KEY")
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:9")
    assert Ledger(store, "parcels").verify() >= 2 and Ledger(store, "parcels").statement(version) is not None
    (tmp_path / "pack.zip").write_bytes(make_pack(Ledger(store, "parcels"), version, whole=False))
    import include.audit.offline_check as verifier

    command = [sys.executable, "-I", verifier.__file__, "pack.zip", "--trusted", "trusted.json"]
    done = subprocess.run(command, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True)
    assert done.stdout.endswith("SOUND\n") and "signed by production" in done.stdout, done.stdout + done.stderr
    (head, *_) = sorted(store.list("parcels/heads/"))
    path = store.root / head
    envelope = json.loads(path.read_bytes())
    other = json.loads((store.root / sorted(store.list("parcels/heads/"))[-1]).read_bytes())
    envelope["signatures"] = other["signatures"]
    trusted = TrustedKeys.from_file(tmp_path / "trusted.json")
    from include.signing.envelope import unseal
    from include.signing.heads import HEAD

    with pytest.raises(SignatureRefused, match="not that of its signer"):
        unseal(HEAD, json.dumps(envelope).encode(), trusted, where=head)


def test_the_packs_own_verifier_agrees_with_the_library() -> None:
    for number in range(8):
        private, message = ec.generate_private_key(ec.SECP256R1()), b"x" * number * 100
        public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        signature = private.sign(message, ec.ECDSA(SHA256()))
        assert ecdsa_verifies(public, signature, message)
        assert not ecdsa_verifies(public, signature, message + b"y")
        assert not ecdsa_verifies(public, signature + b"\x00", message), "one signature has one spelling"
        for place in range(0, len(signature), 7):
            broken = signature[:place] + bytes([signature[place] ^ 1]) + signature[place + 1 :]
            assert not ecdsa_verifies(public, broken, message)
        other = ec.generate_private_key(ec.SECP256R1()).public_key()
        assert not ecdsa_verifies(
            other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), signature, message
        )
        assert not ecdsa_verifies(public[:-1] + bytes([public[-1] ^ 1]), signature, message), "a point off the curve"
    zero = b"0\x06\x02\x01\x00\x02\x01\x00"
    assert not ecdsa_verifies(public, zero, message) and P256_ORDER.bit_length() == 256


def test_a_key_that_can_not_sign_this_and_a_kms_that_refuses_say_so(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="can't sign what"):
        KmsKey(key_in(server, "ECC_NIST_P384"))
    with pytest.raises(ConfigError, match="NotFound"):
        KmsKey("alias/nobody")
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    kms._client.cache_clear()
    with pytest.raises(StoreUnavailable):
        KmsKey("alias/ratchet")


def test_two_signatures_of_one_message_differ_and_both_count(server: Any) -> None:
    key = KmsKey(key_in(server))
    trusted = key.trusted("production", NOW)
    one, other = key.sign(b"head"), key.sign(b"head")
    assert one != other and trusted.verifies(one, b"head") and trusted.verifies(other, b"head")
    assert not trusted.verifies(one, b"heads") and key.id == sha256(key.public).hexdigest()
