"""What a model sees of a row: groups of columns, each prepared by a few named steps."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal, NamedTuple
from zoneinfo import available_timezones

from pydantic import BeforeValidator, Field, field_validator, model_validator

from include.config.names import ESTIMATORS
from include.config.section import Section
from include.errors import nearest


def _listed(value: Any) -> Any:
    if value is None:
        return ()
    return value if isinstance(value, list | tuple) else (value,)


class StepFacts(NamedTuple):
    """The transformer behind a word of `skew` or `scale`.

    Parameters
    ----------
    path : str
        Where its class is; it is made without arguments.
    stored : str, optional
        Of a class of our own: the name under which model files store it, which no renaming changes.
    """

    path: str
    stored: str | None = None


STEPS: dict[str, StepFacts] = {
    "log": StepFacts("include.training.preprocessing.signed_log.SignedLog", stored="SignedLog"),
    "power": StepFacts("sklearn.preprocessing.PowerTransformer"),
    "standard": StepFacts("sklearn.preprocessing.StandardScaler"),
    "min_max": StepFacts("sklearn.preprocessing.MinMaxScaler"),
    "robust": StepFacts("sklearn.preprocessing.RobustScaler"),
}
"""Every word but `none`. Model files may hold these classes because they stand here."""


class Outliers(Section):
    """What counts as an outlier, by bounds learned on training rows, and what becomes of it."""

    method: Literal["iqr", "z_score"]
    """`iqr`: beyond `factor` interquartile ranges from the quartiles. `z_score`: beyond `factor` standard deviations from the mean."""
    action: Literal["clip", "mark_missing", "drop_row"] = "clip"
    """`clip` to the bound; `mark_missing` and impute; or `drop_row`: nothing is learned from that row. Scored rows are never dropped: their values go in as they are."""
    factor: float | None = Field(default=None, gt=0)
    """How far is too far; 1.5 for `iqr` and 3 for `z_score` if left out."""


class Group(Section):
    """Columns that are prepared in the same way."""

    columns: tuple[str, ...] = Field(min_length=1)


class Numeric(Group):
    """Columns that hold quantities. Steps, in this order: `max_missing`, `outliers`, `impute`, `skew`, `scale`, `degree`."""

    max_missing: float | None = Field(default=None, ge=0, lt=1)
    """Leave out those columns of the group that are missing in a larger share of the training rows."""
    outliers: Outliers | None = None
    impute: Literal["mean", "median", "mode", "constant", "drop_row", "none"] = "median"
    """What stands in for a missing value. `drop_row`: nothing is learned from rows with a gap, and scored rows get the median. `none` leaves it to an estimator that can, others get the median. Infinite counts as missing."""
    fill_value: float = 0.0
    """The value for `impute: constant`."""
    indicator: bool = False
    """Add a column that says where a value was missing."""
    skew: Literal["log", "power", "none"] = "none"
    """Draw in long tails: `log` is `sign(x) * log(1 + |x|)`; `power` is the Yeo-Johnson power that makes training rows most normal."""
    scale: Literal["standard", "min_max", "robust", "none"] = "none"
    degree: int = Field(default=1, ge=1, le=4)
    """Add products and powers of the group's columns up to this degree: 2 gives squares and products of two."""
    products_only: bool = False
    """With `degree`: only products of different columns (interactions), no powers."""

    @model_validator(mode="after")
    def _steps_agree(self) -> Numeric:
        if self.indicator and self.impute in ("none", "drop_row"):
            raise ValueError(
                f"expected `indicator: true` together with an `impute` that fills the gaps, found `{self.impute}`"
            )
        if self.products_only and (self.degree == 1 or len(self.columns) == 1):
            raise ValueError("expected `products_only` with a `degree` of 2 or more and at least two columns")
        return self


class Categorical(Group):
    """Columns that hold one of several levels. Steps, in this order: `max_missing`, `cross`, `impute`, `min_frequency`, `encode`."""

    max_missing: float | None = Field(default=None, ge=0, lt=1)
    """Leave out those columns of the group that are missing in a larger share of the training rows."""
    cross: bool = False
    """Make one column of the group's: each combination is a level. These columns may stand in another group as well."""
    impute: Literal["mode", "constant", "drop_row", "none"] = "constant"
    """What stands in for a missing level; `constant` makes missing a level of its own. `drop_row`: nothing is learned from rows with a gap, and in scored rows missing is like unknown."""
    encode: Literal["one_hot", "ordinal", "target", "native"] = "one_hot"
    """Levels unknown at training become all zeros (`one_hot`), -1 (`ordinal`), the mean target of all (`target`, which has a mean for missing ones where `impute: none` leaves any) or missing (`native`). `target` is the mean target of a level, learned in training rows from other rows than the one encoded (cross-fitted). `native` is for hist_gradient_boosting, lightgbm, xgboost and catboost, which split by sets of levels; others get `one_hot`, and so does every estimator with `select` or SMOTE, which read numbers as quantities."""
    min_frequency: float | None = Field(default=None, gt=0, lt=1)
    """Levels rarer than this share of the training rows are grouped into one."""

    @model_validator(mode="after")
    def _enough_to_cross(self) -> Categorical:
        if self.cross and (len(self.columns) < 2 or self.max_missing is not None):
            raise ValueError("expected `cross` with at least two columns and without `max_missing`")
        return self


class Dates(Group):
    """Columns that hold dates or times, taken apart; missing ones get the median of each part unless the estimator takes gaps."""

    parts: tuple[Literal["hour", "weekday", "day", "day_of_year", "week", "month", "year", "days_since_1970"], ...] = (
        Field(min_length=1)
    )
    """The numbers to make of each column; Monday is 0."""
    cyclic: bool = False
    """Give each part that returns as its place on a circle (sine and cosine), so that 23 h is near 0 h."""
    timezone: str = "UTC"
    """Where the clock hangs that the parts are read from, as an IANA name; columns without a zone are read as they are."""
    scale: Literal["standard", "min_max", "robust", "none"] = "none"

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        if name != "UTC" and name not in (zones := available_timezones()):
            close = nearest(name, zones)
            raise ValueError(f"`{name}` is not a time zone" + (f"; did you mean `{close}`?" if close else ""))
        return name


class Text(Group):
    """Columns that hold free text, as TF-IDF weights of their words; a missing text is an empty one."""

    max_features: int = Field(default=1000, ge=1)
    """How many words of each column count: the most frequent."""
    ngrams: int = Field(default=1, ge=1, le=5)
    """Runs of up to so many words (or characters) count as well."""
    unit: Literal["word", "character"] = "word"
    """`character` counts runs of characters inside words: for codes and many languages."""
    min_rows: int = Field(default=1, ge=1)
    """Words in fewer training rows do not count."""


class Selection(Section):
    """Which of the prepared columns go on to the estimator, chosen on training rows."""

    method: Literal["variance", "k_best", "model"]
    """`variance`: those that vary more than `threshold`; `k_best`: the `k` that alone say most about the target; `model`: those that `estimator` finds important."""
    k: int | None = Field(default=None, ge=1)
    """How many to keep, for `k_best` and `model`."""
    threshold: float | None = Field(default=None, ge=0)
    """For `variance`, 0 if left out: constants go. For `model`: how many times the mean importance is enough, 1 if neither this nor `k` is given."""
    score: Literal["anova", "mutual_information"] = "anova"
    """For `k_best`: the F statistic, or mutual information, which sees curves too."""
    estimator: str = "extra_trees"
    """For `model`: an estimator that has importances or coefficients, such as `lasso`."""

    @model_validator(mode="after")
    def _needs(self) -> Selection:
        if self.method == "k_best" and (self.k is None or self.threshold is not None):
            raise ValueError("expected `k`, and no `threshold`, with `method: k_best`")
        if self.method == "variance" and self.k is not None:
            raise ValueError("expected `threshold`, and no `k`, with `method: variance`")
        if self.method == "model" and self.k is not None and self.threshold is not None:
            raise ValueError("expected `k` or `threshold`, found both")
        if self.estimator not in ESTIMATORS:
            close = nearest(self.estimator, ESTIMATORS)
            raise ValueError(
                f"`{self.estimator}` is not an estimator" + (f"; did you mean `{close}`?" if close else "")
            )
        return self


class Features(Section):
    """What a model sees of a row. Each kind takes one group of columns or a list of groups."""

    derive: str | None = Field(default=None, pattern=r"^[A-Za-z_]\w*:[A-Za-z_]\w*$")
    """`module:function` in the model's folder: takes a pandas frame, returns it with more columns, row by row."""
    numeric: Annotated[
        tuple[Numeric, ...], BeforeValidator(_listed, json_schema_input_type=Numeric | tuple[Numeric, ...])
    ] = ()
    categorical: Annotated[
        tuple[Categorical, ...], BeforeValidator(_listed, json_schema_input_type=Categorical | tuple[Categorical, ...])
    ] = ()
    dates: Annotated[tuple[Dates, ...], BeforeValidator(_listed, json_schema_input_type=Dates | tuple[Dates, ...])] = ()
    text: Annotated[tuple[Text, ...], BeforeValidator(_listed, json_schema_input_type=Text | tuple[Text, ...])] = ()
    select: Annotated[
        tuple[Selection, ...], BeforeValidator(_listed, json_schema_input_type=Selection | tuple[Selection, ...])
    ] = ()
    """One step or a list of steps, each choosing among what the one before kept."""

    @model_validator(mode="after")
    def _something_to_see(self) -> Features:
        if not self.columns:
            raise ValueError("expected `numeric`, `categorical`, `dates`, `text` or several of them")
        plain = [group for group in self.groups if not (isinstance(group, Categorical) and group.cross)]
        counts = Counter(column for group in plain for column in group.columns)
        if twice := sorted(column for column, count in counts.items() if count > 1):
            found = [type(group).__name__.lower() for group in plain if twice[0] in group.columns]
            raise ValueError(f"expected each column once, found in {' and '.join(found)}: {', '.join(twice)}")
        return self

    @property
    def for_targets_only(self) -> list[str]:
        """What is declared that learns from the target."""
        encoded = ["encode: target"] if any(group.encode == "target" for group in self.categorical) else []
        return encoded + [f"select: {step.method}" for step in self.select if step.method != "variance"]

    @property
    def groups(self) -> tuple[Group, ...]:
        """All groups of columns: numeric, categorical, dates, text."""
        return (*self.numeric, *self.categorical, *self.dates, *self.text)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a model is fitted on, each once, numeric first."""
        return tuple(dict.fromkeys(column for group in self.groups for column in group.columns))
