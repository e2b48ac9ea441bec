"""Signing: signatures of what the store holds, and detection of a ledger that was rolled back.

Here are keys, signed envelopes (DSSE), the signed heads of ledgers and the anchors that remember the newest one, and in-toto
statements about versions. All of it is optional: without `RATCHET_TRUSTED_KEYS` nothing is signed and nothing is checked.
Not here: the log whose head is signed (`include.storage.log`), and what a version consists of (`include.registry`).
"""

PUBLIC: tuple[str, ...] = ("anchors", "deployment", "envelope", "heads", "keys", "kms")
"""The modules that other rooms may import."""
