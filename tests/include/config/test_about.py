"""What a team says of data and use is part of no version."""

from __future__ import annotations

from pathlib import Path

from chain_run import declare

from include.config.sections.about import About


def test_what_is_said_of_data_and_use_changes_no_version_and_no_decision(tmp_path: Path) -> None:
    model = declare(tmp_path / "parcels")
    other = model.model_copy(update={"about": About(intended_use="To call the customer.")})
    assert other.identity == model.identity and "about" not in model.said()
    assert other.said()["about"] == {"intended_use": "To call the customer."}
