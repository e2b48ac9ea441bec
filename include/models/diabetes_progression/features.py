"""What a physician would look at by groups."""

from __future__ import annotations

import numpy as np
import pandas as pd


def derive(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the age group, by which errors are compared."""
    groups = np.array(["under 40", "40 to 59", "60 and over"])
    return frame.assign(age_group=groups[np.digitize(frame["age"], [40, 60])])
