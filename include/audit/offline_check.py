"""Verify an audit pack, with nothing but Python 3.9 and this file: python verify.py PACK.zip [--trusted keys.json].

It checks the chain of events, the digest of everything enclosed, the signatures, and that event, version, fits, evidence and
statement name each other. Keys: give the list that you got from the deployment by another way (--trusted); without it
the list in the pack is used, and only says who claims to have signed.
"""

from __future__ import annotations

import argparse
import base64
import datetime
import hashlib
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Point = tuple[int, int, int, int]
"""In extended coordinates."""
Found = dict[str, Any]
Keys = list[dict[str, str]]

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def _recover_x(y: int, sign: int) -> int | None:
    """Return the x of a point on the curve -x^2 + y^2 = 1 + D x^2 y^2, or None if there is none."""
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * SQRT_M1 % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    return P - x if x & 1 != sign else x


def _point(encoded: bytes) -> Point | None:
    number = int.from_bytes(encoded, "little")
    y, sign = number & (2**255 - 1), number >> 255
    x = None if y >= P else _recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


def _add(one: Point, other: Point) -> Point:
    """Add two points in extended coordinates (RFC 8032, section 5.1.4)."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _times(scalar: int, point: Point) -> Point:
    total: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = _add(total, point)
        point = _add(point, point)
        scalar >>= 1
    return total


def _base() -> Point:
    y = 4 * pow(5, P - 2, P) % P
    x = _recover_x(y, 0) or 0
    return (x, y, 1, x * y % P)


BASE = _base()


def ed25519_verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether a signature is that of the message by the public key (RFC 8032)."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key, commitment = _point(public), _point(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or scalar >= ORDER:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % ORDER
    left, right = _times(scalar, BASE), _add(commitment, _times(challenge, key))
    return not ((left[0] * right[2] - right[0] * left[2]) % P or (left[1] * right[2] - right[1] * left[2]) % P)


# The curve P-256 (FIPS 186-5): y^2 = x^3 - 3 x + b over a prime field, and a group of prime order.
P256 = 2**256 - 2**224 + 2**192 + 2**96 - 1
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P256_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
P256_BASE = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
P256_INFO = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")  # before x and y in a key


def _p256_add(one: Any, other: Any) -> Any:
    """Add two points, of which None is the neutral one."""
    if one is None or other is None:
        return one or other
    if one[0] == other[0]:
        if (one[1] + other[1]) % P256 == 0:
            return None
        slope = 3 * (one[0] * one[0] - 1) * pow(2 * one[1], -1, P256)
    else:
        slope = (other[1] - one[1]) * pow(other[0] - one[0], -1, P256)
    x = (slope * slope - one[0] - other[0]) % P256
    return x, (slope * (one[0] - x) - one[1]) % P256


def _p256_times(scalar: int, point: Any) -> Any:
    total = None
    while scalar:
        if scalar & 1:
            total = _p256_add(total, point)
        point = _p256_add(point, point)
        scalar >>= 1
    return total


def ecdsa_verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether a DER signature is that of the message's SHA-256 by a key on P-256 (FIPS 186-5, section 6.4.2)."""
    x, y = (int.from_bytes(public[start : start + 32], "big") for start in (27, 59))
    on_curve = (y * y - x * x * x + 3 * x - P256_B) % P256 == 0
    if len(public) != 91 or public[:27] != P256_INFO or max(x, y) >= P256 or not on_curve:
        return False
    numbers, rest = [], signature[2:]
    while len(rest) > 2:
        numbers.append(int.from_bytes(rest[2 : 2 + rest[1]], "big"))
        rest = rest[2 + rest[1] :]
    encoded = b"".join(
        b"\x02%c%b" % (n.bit_length() // 8 + 1, n.to_bytes(n.bit_length() // 8 + 1, "big")) for n in numbers
    )
    if len(numbers) != 2 or signature != b"0%c%b" % (len(encoded), encoded):
        return False
    r, s = numbers
    if not (0 < r < P256_ORDER and 0 < s < P256_ORDER):
        return False
    inverse = pow(s, -1, P256_ORDER)
    digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
    found = _p256_add(
        _p256_times(digest * inverse % P256_ORDER, P256_BASE), _p256_times(r * inverse % P256_ORDER, (x, y))
    )
    return found is not None and found[0] % P256_ORDER == r


class Problem(Exception):  # this file stands alone, without the tree of errors
    """Something in the pack is not as it must be."""


def _require(holds: object, sentence: str) -> None:
    if not holds:
        raise Problem(sentence)


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _instant(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def open_envelope(body: bytes, keys: Keys, where: str) -> tuple[Found, str]:
    """Return what a DSSE envelope holds, and the name of the key that signed it."""
    outer = json.loads(body)
    payload, kind = base64.b64decode(outer["payload"]), outer["payloadType"].encode()
    (one,) = outer["signatures"]
    value = json.loads(payload)
    at = _instant(value.get("predicate", value)["at"])
    named = [key for key in keys if _sha256(base64.b64decode(key["public"])) == one["keyid"]]
    _require(named, f"{where}: signed by a key that is not in the list")
    key = named[0]
    _require(_instant(key["from"]) <= at, f"{where}: signed before {key['name']} was trusted")
    _require(
        "until" not in key or at < _instant(key["until"]), f"{where}: signed when {key['name']} was no longer trusted"
    )
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    public, signature = base64.b64decode(key["public"]), base64.b64decode(one["sig"])
    verifies = ed25519_verifies if len(public) == 32 else ecdsa_verifies
    good = verifies(public, signature, signed)
    _require(good, f"{where}: the signature is not that of {key['name']}")
    return value, key["name"]


def check_chain(files: dict[str, bytes], model: str) -> list[Found]:
    """Return the events, each of which must follow from the one before."""
    events: list[Found] = []
    previous = None
    for name in sorted(name for name in files if name.startswith(f"{model}/ledger/")):
        digest = files[name][11:75].decode()
        _require(_sha256(b"{" + files[name][77:]) == digest, f"{name}: it was changed")
        event = json.loads(files[name])
        _require((event["number"], event["previous"]) == (len(events), previous), f"{name}: it does not follow")
        events.append(event)
        previous = digest
    _require(events, "there is no event")
    return events


def decided_by(events: list[Found], version: str) -> tuple[Found, list[Found]]:
    """Return the event that decided on a version, or on the one that it rebuilds, and the rebuilds between, the newest first."""
    rebuilds: list[Found] = []
    for event in reversed(events):
        if event["body"]["version"] == version and event["kind"] == "decided":
            return event, rebuilds
        if event["body"]["version"] == version and event["kind"] == "rebuilt":
            rebuilds.append(event)
            version = event["body"]["rebuild_of"]
    raise Problem(f"nothing was decided on {version}")


def check(read: zipfile.ZipFile, trusted: Keys | None) -> Iterator[str]:
    """Verify a pack and yield what was found, a sentence at a time.

    Parameters
    ----------
    trusted : list of dict or None
        The keys that count; None for those in the pack.

    Raises
    ------
    Problem
        When something is not as it must be.
    """
    inflated, stored = (sum(getattr(one, size) for one in read.infolist()) for size in ("file_size", "compress_size"))
    _require(inflated <= 2**24 + 10 * stored, "its members claim to grow beyond what a pack holds")
    files = {name[6:]: read.read(name) for name in read.namelist() if name.startswith("store/")}
    subject = json.loads(read.read("subject.json"))
    model, version = subject["model"], subject["version"]
    keys = trusted if trusted is not None else json.loads(read.read("trusted.json"))
    events = check_chain(files, model)
    yield f"{len(events)} events follow from each other"
    last = events[-1]
    _require(last["kind"] in ("decided", "rebuilt") and last["body"]["version"] == version, "the last event is another")
    decided, rebuilds = decided_by(events, version)
    body = decided["body"]

    named: set[str] = set()

    def holds(key: str, digest: str) -> Any:
        if key not in files:
            named.add(key)
            return None
        _require(_sha256(files[key]) == digest, f"{key}: it is not what it is named by")
        return json.loads(files[key]) if key.endswith(".json") else files[key]

    def made(version: str) -> tuple[Found, Found, int]:
        """Return the record of a version and of its fit, all that they name being sound, and the number of its fits."""
        registered = next(e for e in events if e["kind"] == "registered" and e["body"]["version"] == version)["body"]
        key = f"{model}/versions/{version}.json"
        record = holds(key, registered.get("record") or _sha256(files[key]))
        _require(record["model_file"] == registered["model_file"], "event and version name different model files")
        fits = {key: holds(f"{model}/fits/{key}.json", digest) for key, digest in record.get("records", {}).items()}
        fit = fits.get(record["fit"]) or json.loads(files[f"{model}/fits/{record['fit']}.json"])
        for name in ("model_file", "snapshot", "candidate", "estimator"):
            _require(fit[name] == record[name], f"version and fit differ in {name}")
        holds(f"{model}/models/{record['model_file']}.skops", record["model_file"])
        for name, digest in (holds(f"{model}/code/{fit['code']}.json", fit["code"]) or {}).items():
            _require(holds(f"{model}/code/{digest}.py", digest) is not None, f"{name}: the code is not enclosed")
        if fit.get("config"):
            holds(f"{model}/configs/{fit['config']}.json", fit["config"])
        return record, fit, len(fits)

    record, fit, count = made(version)
    judged, measured = record, fit
    snapshot = holds(f"{model}/snapshots/{record['snapshot']}.json", record["snapshot"])
    for event in rebuilds:
        proof, rebuilt = event["body"]["proof"], measured
        report = holds(f"{model}/reproductions/{proof}.json", proof)
        made_file, (judged, measured, _) = judged["model_file"], made(event["body"]["rebuild_of"])
        proven = report["reproduced"] and not (report["predictions"] or {}).get("beyond")
        _require(proven, "a rebuild is not proven by its report")
        _require(
            (report["version"], report["made_file"]) == (judged["id"], made_file), "the report is of another rebuild"
        )
        same = ("snapshot", "candidate", "estimator", "seed", "config", "code", "classes", "columns", "train")
        _require(all(rebuilt.get(one) == measured.get(one) for one in same), "more than libraries differ in a rebuild")
        yield f"rebuilt: {event['body']['version']} has the place of {judged['id']}, since event {event['number']}, by its report"
    config = holds(f"{model}/configs/{body['config']}.json", body["config"])
    if body["evidence"]:
        evidence = holds(f"{model}/evidence/{body['evidence']}.json", body["evidence"])
        who = (evidence["version"], evidence["incumbent"])
        _require(who == (judged["id"], body["incumbent"]), "the evidence is of others")
        asked = evidence["subjects"].get("challenger", measured)["model_file"]
        _require(asked == measured["model_file"], "another model was measured")
    yield f"version, {count} fits, rows, code, configuration and evidence are those that the events name"

    sbom = {one["name"]: one["version"] for one in json.loads(read.read("sbom.cdx.json"))["components"]}
    _require(sbom == fit["libraries"], "the list of libraries is not that of the fit")

    heads = {name: body for name, body in files.items() if name.startswith(f"{model}/heads/")}
    signers: set[str] = set()
    for name, envelope in heads.items():
        head, signer = open_envelope(envelope, keys, name)
        event = events[head["number"]]
        _require((head["model"], head["digest"]) == (model, event["digest"]), f"{name}: it signs another event")
        signers.add(signer)
    if f"{model}/heads/{last['number']:08d}-{last['digest']}.json" in heads:
        yield f"the last event, and so all before it, is signed by {', '.join(sorted(signers))}"
    else:
        _require(trusted is None, "the last event carries no signature")
        yield "NOT SIGNED: the last event carries no signature"
    for name in sorted(name for name in files if name.startswith(f"{model}/statements/")):
        statement, signer = open_envelope(files[name], keys, name)
        about = statement["predicate"]["version"]
        _require(about == name.split("/")[-2], f"{name}: it is about another version")
        for one in statement["subject"]:
            holds(one["name"], one["digest"]["sha256"])
        yield f"signed by {signer}: {len(statement['subject'])} objects of {about} ({name.rpartition('/')[2][:10]})"
    if trusted is None and signers:
        yield "the keys are those that the pack itself brings: compare them with a list from elsewhere (--trusted)"

    yield from _facts(record, body, decided, config, fit, snapshot)
    for key in sorted(named):
        yield f"named, not enclosed: {key}"


def _facts(record: Found, body: Found, decided: Found, config: Found, fit: Found, snapshot: Found) -> Iterator[str]:
    actor = ", ".join(f"{name} {value}" for name, value in sorted(body["actor"].items()))
    yield f"version: {record['id']}, as of {record['as_of']}, fitted by {record['candidate']} ({record['estimator']})"
    yield f"decided: {body['version']} {body['outcome']} on {decided['at']}, event {decided['number']}, by {actor}"
    yield f"because: {body['reason']}"
    yield f"approval: {json.dumps(body['approval'], sort_keys=True) if body.get('approval') else 'no person was asked'}"
    yield f"measured: {json.dumps(body['primary'], sort_keys=True)}"
    yield f"against: {body['incumbent'] or 'the baselines'}"
    yield f"rules: {json.dumps(config['gate'], sort_keys=True)}"
    rows = sum(one.get("rows", 0) for one in snapshot["partitions"])
    yield f"rows: snapshot {record['snapshot']}, {len(snapshot['partitions'])} partitions by digest, {rows:,} rows"
    yield f"code: {fit['code']}; {len(fit['libraries'])} libraries"


def main(arguments: list[str]) -> int:
    """Verify the pack that is named on the command line; the status is 0 only if all of it is sound."""
    parser = argparse.ArgumentParser(description="Verify an audit pack.")
    parser.add_argument("pack")
    parser.add_argument("--trusted", help="a JSON list of trusted keys, from elsewhere than the pack")
    asked = parser.parse_args(arguments)
    try:
        trusted = json.loads(Path(asked.trusted).read_bytes()) if asked.trusted else None
        with zipfile.ZipFile(asked.pack) as pack:
            for sentence in check(pack, trusted):
                sys.stdout.write(f"  {sentence}\n")
    except Exception as error:  # noqa: BLE001 - any error: the pack is not sound
        told = error if isinstance(error, Problem) else f"{type(error).__name__}: it can't be read"
        sys.stdout.write(f"WRONG: {told}\n")
        return 1
    sys.stdout.write("SOUND\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
