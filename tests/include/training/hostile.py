"""Model files with other trees or weights in them than a fit wrote."""

from __future__ import annotations

import hashlib
import io
import zipfile

import numpy as np
import pytest

from include.errors import ModelFileRefused
from include.training.persistence.model_file import load


def refuses(body: bytes, native: bytes) -> None:
    """Put other bytes where a file holds an estimator's own, and hold that the file is refused."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(body)) as archive, zipfile.ZipFile(out, "w") as hostile:
        for member in archive.namelist():
            kept = archive.read(member)
            if member.endswith(".npy") and np.load(io.BytesIO(kept)).dtype == np.uint8:
                array = io.BytesIO()
                np.save(array, np.frombuffer(native, dtype=np.uint8))
                kept = array.getvalue()
            hostile.writestr(member, kept)
    with pytest.raises(ModelFileRefused):
        load(out.getvalue(), hashlib.sha256(out.getvalue()).hexdigest())
