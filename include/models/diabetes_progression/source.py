"""442 diabetes patients with ten baseline measurements, and how far the disease had progressed a year later.

The table comes with scikit-learn and is the one of Efron, Hastie, Johnstone and Tibshirani (2004), *Least Angle Regression*,
in its own units. It has no time and no patient's name: each run reads it as a whole, and a row is named by its values. Which
of the two codes of ``sex`` stands for whom is not said there, so they stay codes.
"""

from __future__ import annotations

import pandas as pd

_NAMES = {
    "bp": "blood_pressure",
    "s1": "total_cholesterol",
    "s2": "ldl",
    "s3": "hdl",
    "s4": "cholesterol_ratio",
    "s5": "log_triglycerides",
    "s6": "glucose",
    "target": "progression",
}


def read() -> pd.DataFrame:
    """Return all patients."""
    # Imported here: parsing a DAG reads this file's declaration and needs no scikit-learn.
    from sklearn.datasets import load_diabetes

    frame: pd.DataFrame = load_diabetes(as_frame=True, scaled=False).frame
    return frame.rename(columns=_NAMES).assign(sex="code " + frame["sex"].astype(int).astype(str))
