"""What a plane is called, how old it is, and two corrections of the register, row by row."""

from __future__ import annotations

import pandas as pd

FAMILIES = {
    "717": "Boeing 717",
    "737": "Boeing 737",
    "747": "Boeing 747",
    "757": "Boeing 757",
    "767": "Boeing 767",
    "777": "Boeing 777",
    "787": "Boeing 787",
    "A319": "Airbus A319",
    "A320": "Airbus A320",
    "A321": "Airbus A321",
    "A330": "Airbus A330",
    "A340": "Airbus A340",
    "CL-600": "Bombardier CRJ",
    "DC-9": "McDonnell Douglas DC-9 or MD-80",
    "MD-8": "McDonnell Douglas DC-9 or MD-80",
    "MD-90": "McDonnell Douglas MD-90",
    "EMB-1": "Embraer 135 or 145",
    "ERJ 190": "Embraer 190",
}
"""What the model numbers of the register begin with, and what people call it."""

SEATS = {"ERJ 190-100 IGW": 100, "A321-231": 199}
"""The register has all 80 of the first with 20 seats and all 51 of the second with 379. The two airlines of the first fit it
with 99 and 100; the second is built like the A321-211, which the register has with 199."""


def derive(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the family, the age in years, and the seats as corrected."""
    models = frame["model"].astype(str)
    families = {model: _family(model) for model in models.unique()}
    return frame.assign(
        family=models.map(families),
        age=frame["month_end"].dt.year - frame["built"],
        cabin=models.map(SEATS).fillna(frame["seats"]).astype(float),
    )


def _family(model: str) -> str:
    return next((name for start, name in FAMILIES.items() if model.startswith(start)), "other")
