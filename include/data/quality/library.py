"""Great Expectations, imported as if Spark were not installed: ``gx``.

It imports pyspark wherever that is installed, which takes seconds and ends a process whose main module has no file, such as that of
``python -c`` or of a Dask worker. Nothing of Spark goes through it here: `include.data.sources.lake.spark` reads rows by itself.
"""

from __future__ import annotations

import sys

_hidden = {name: sys.modules.pop(name) for name in [*sys.modules] if name.partition(".")[0] == "pyspark"}
sys.modules["pyspark"] = None  # type: ignore[assignment]  # an import of it fails
try:
    import great_expectations as gx
finally:
    del sys.modules["pyspark"]
    sys.modules.update(_hidden)

__all__ = ["gx"]
