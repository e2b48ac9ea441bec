"""Audit: read everything that a ledger names and verify it, a part in each run.

Here are the audit of a model, its log, and packs for an auditor. Not here: what is looked at of a version or a decision
(`include.registry.verification`), and signatures (`include.signing`).
"""

PUBLIC: tuple[str, ...] = ("audit", "audit_log", "pack", "sbom")
"""The modules that other rooms may import."""
