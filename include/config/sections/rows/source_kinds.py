"""The kinds of sources that `data.source` and a join may have."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from include.config.sections.rows.lake import DeltaSource, DuckdbSource, IcebergSource, SparkSource
from include.config.sections.rows.sources import FilesSource, PythonSource, SqlSource

Source = Annotated[
    FilesSource | SqlSource | PythonSource | DeltaSource | IcebergSource | DuckdbSource | SparkSource,
    Field(discriminator="kind"),
]
