"""Columns: the six declared types, conversion of foreign values to them, and inference of types from texts.

Not here: encodings that a model learns (`include.training.preprocessing`).
"""

PUBLIC: tuple[str, ...] = (
    "conversion",
    "epochs",
    "equal_values",
    "lookalikes",
    "pandas_frames",
    "rectified_texts",
    "text_parsing",
    "type_inference",
)
"""The modules that other rooms may import."""
