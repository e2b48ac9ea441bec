"""Small models over small sources."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from include.config.model import ModelConfig

READ_AT = datetime(2030, 1, 1, tzinfo=UTC)
"""When everything has long happened."""


class Doors:
    """Connections of a test: an S3 client and a SQLAlchemy engine, if it has them."""

    def __init__(self, s3: Any = None, sql: Any = None) -> None:
        self._s3, self._sql = s3, sql

    def s3(self, connection: str | None) -> Any:
        return self._s3

    def sql(self, connection: str) -> Any:
        return self._sql


@pytest.fixture
def doors() -> type[Doors]:
    return Doors


@pytest.fixture
def read_at() -> datetime:
    return READ_AT


@pytest.fixture
def model_of() -> Callable[..., ModelConfig]:
    """Build a model over ``source``; whatever else is given belongs to its data section."""

    def build(source: dict[str, Any], derive: str | None = None, **data: Any) -> ModelConfig:
        windows = {"train": "2mo", "holdout": "1mo"}
        declared = {
            "event_time": "at",
            "row_id": ["id"],
            "target": "y",
            "partition": "month",
            "windows": windows,
            **data,
            "source": source,
        }
        return ModelConfig.model_validate(
            {
                "name": "shop",
                "description": "?",
                "owner": "us",
                "task": "classification",
                "schedule": {"start": "2020-01-01"},
                "data": declared,
                "features": {"numeric": {"columns": ["x"]}, "derive": derive},
                "training": {"candidates": [{"estimator": "logistic_regression"}]},
                "gate": {"primary": {"metric": "roc_auc"}},
            }
        )

    return build


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The model's folder."""
    path = tmp_path / "shop"
    path.mkdir()
    return path
