"""The asset whose events request a retraining."""

from __future__ import annotations

from airflow.sdk import Asset, AssetAlias


def alarm_asset(model: str) -> Asset:
    """Return the asset whose events request a retraining."""
    return Asset(name=f"{model}_alarm", uri=f"x-ratchet://{model}/alarm")


def alarm_events(model: str) -> AssetAlias:
    """Return the alias under which tasks emit events of the alarm asset."""
    return AssetAlias(name=f"{model}_retraining_asked")
