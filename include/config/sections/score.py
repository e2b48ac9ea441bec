"""The `score` section: additional columns of batch scores, and where scores are delivered."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from include.config.section import Section

_NAME = r"^([A-Za-z_][A-Za-z0-9_]*\.)?[A-Za-z_][A-Za-z0-9_]*$"


class TableDelivery(Section):
    """A table of a database. It is made if it is not there; a second one, `<table>_delivered`, says which scores of each interval are in it."""

    kind: Literal["table"]
    connection: str = Field(min_length=1)
    """The Airflow connection to the database, which may create, read and change the two tables."""
    table: str = Field(pattern=_NAME)
    """Its name, such as `churn_scores` or `analytics.churn_scores`. Several models may share a table if their scores have the same columns."""


class FilesDelivery(Section):
    """Parquet files in a bucket or folder, with manifests that say which file of an interval is in force."""

    kind: Literal["files"]
    path: str = Field(pattern=r"^(s3://[^/]+|file:///)")
    """`s3://bucket/prefix` or `file:///folder`."""
    connection: str | None = None
    """The Airflow connection for a bucket; without it boto3 finds credentials in its usual places."""


class DeltaDelivery(Section):
    """A Delta Lake table, which is made if it is not there. Needs the extra `lake`."""

    kind: Literal["delta"]
    path: str = Field(pattern=r"^(s3://[^/]+/.+|file:///.+)")
    """`s3://bucket/prefix` or `file:///folder`, where the table's `_delta_log` is. Several models may share a table if their scores have the same columns."""
    connection: str | None = None
    """The Airflow connection for a bucket; without it boto3 finds credentials in its usual places."""


Delivery = Annotated[TableDelivery | FilesDelivery | DeltaDelivery, Field(discriminator="kind")]


class Score(Section):
    """What happens with batch scores beside their publication in the store."""

    deliver: tuple[Delivery, ...] = ()
    """Where each published interval is delivered, by a task of its own for each place. A correction delivers only rows that changed."""

    contributions: bool = False
    """Whether batch scores say what each column contributed to each prediction: `contribution_base`, one `contribution_of_<column>` for each feature, and `contribution_scale`, on which base and contributions add up to the prediction (`log-odds` or `prediction`). Of linear models and of trees; other versions are scored without them, and the log says so. `monitor` then watches them beside the predictions."""

    @model_validator(mode="after")
    def _once_each(self) -> Score:
        places = [one.model_dump_json() for one in self.deliver]
        if len(set(places)) < len(places):
            raise ValueError("expected each place in `deliver` once")
        return self
