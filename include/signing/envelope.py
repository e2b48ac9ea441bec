"""Signed envelopes: DSSE, the form that in-toto and sigstore use.

The specification is https://github.com/secure-systems-lab/dsse: what is signed is the type and the bytes of the payload,
each with its length before it, so that no payload passes for one of another type.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from include.errors import SignatureRefused
from include.signing.keys import SigningKey, TrustedKey, TrustedKeys
from include.storage.content import canonical_json, from_iso, read_json


def pre_authentication(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that are signed for a payload."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal(payload_type: str, value: Any, key: SigningKey) -> bytes:
    """Return the envelope of a JSON value; the same value and key give the same bytes."""
    payload = canonical_json(value)
    signature = key.sign(pre_authentication(payload_type, payload))
    return canonical_json(
        {
            "payloadType": payload_type,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [{"keyid": key.id, "sig": base64.b64encode(signature).decode()}],
        }
    )


def unseal(payload_type: str, envelope: bytes, trusted: TrustedKeys, *, where: str) -> tuple[Any, TrustedKey]:
    """Return what an envelope holds, and the trusted key that signed it.

    Parameters
    ----------
    payload_type : str
        The type that is expected.
    where : str
        Where the envelope is kept, for messages.

    Raises
    ------
    SignatureRefused
        When it is no envelope of this type, or not signed by a key that is trusted for the instant ``at`` that it names.
    """
    try:
        outer = json.loads(envelope)
        payload = base64.b64decode(outer["payload"], validate=True)
        (one,) = outer["signatures"]
        signer, signature = str(one["keyid"]), base64.b64decode(one["sig"], validate=True)
        value = read_json(payload)
        at = from_iso(value.get("predicate", value)["at"])  # in-toto's statements keep our own facts there
        if outer["payloadType"] != payload_type:
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise SignatureRefused(
            "this is not a signed envelope",
            expected=f"DSSE with a payload of {payload_type}",
            where=where,
            remedy=_REMEDY,
        ) from None
    key = trusted.named(signer, at, where=where)
    if not key.verifies(signature, pre_authentication(payload_type, payload)):
        raise SignatureRefused(
            "the signature is not that of its signer",
            expected=f"a signature by {key.name}",
            where=where,
            remedy=_REMEDY,
        )
    return value, key


_REMEDY = "restore the object from a backup; find out who could write there"
