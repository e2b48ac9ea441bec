"""The types that a model file may contain; the loader owns the list, never the file."""

from __future__ import annotations

import importlib
from collections import defaultdict

from include.config.names import ESTIMATORS
from include.config.settings import Settings
from include.training.persistence.type_names import STORED, TYPES
from include.training.preprocessing.column_transformer import STORED_STEPS

_OBJECTS = """
    sklearn._loss.link.Interval
    sklearn._loss.link.IdentityLink
    sklearn._loss.link.LogitLink
    sklearn._loss.link.LogLink
    sklearn._loss.link.MultinomialLogit
    sklearn._loss.loss.AbsoluteError
    sklearn._loss.loss.HalfBinomialLoss
    sklearn._loss.loss.HalfGammaLoss
    sklearn._loss.loss.HalfMultinomialLoss
    sklearn._loss.loss.HalfPoissonLoss
    sklearn._loss.loss.HalfSquaredError
    sklearn._loss.loss.PinballLoss
    sklearn.calibration.CalibratedClassifierCV
    sklearn.calibration._CalibratedClassifier
    sklearn.calibration._SigmoidCalibration
    sklearn.compose._column_transformer.ColumnTransformer
    sklearn.dummy.DummyClassifier
    sklearn.dummy.DummyRegressor
    sklearn.ensemble._hist_gradient_boosting.binning._BinMapper
    sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor
    sklearn.feature_extraction.text.TfidfTransformer
    sklearn.feature_extraction.text.TfidfVectorizer
    sklearn.impute._base.MissingIndicator
    sklearn.impute._base.SimpleImputer
    sklearn.isotonic.IsotonicRegression
    sklearn.neural_network._stochastic_optimizers.AdamOptimizer
    sklearn.neural_network._stochastic_optimizers.SGDOptimizer
    sklearn.pipeline.Pipeline
    sklearn.preprocessing._data.QuantileTransformer
    sklearn.preprocessing._encoders.OrdinalEncoder
    sklearn.preprocessing._function_transformer.FunctionTransformer
    sklearn.preprocessing._label.LabelBinarizer
    sklearn.preprocessing._label.LabelEncoder
    sklearn.preprocessing._polynomial.PolynomialFeatures
    sklearn.preprocessing._target_encoder.TargetEncoder
    sklearn.tree._classes.ExtraTreeClassifier
    sklearn.tree._classes.ExtraTreeRegressor
"""

_LOSSES = "CyAbsoluteError CyHalfBinomialLoss CyHalfGammaLoss CyHalfMultinomialLoss CyHalfPoissonLoss CyHalfSquaredError CyPinballLoss"

TRUSTED_TYPES: dict[str, frozenset[str]] = {
    "ObjectNode": frozenset(_OBJECTS.split())
    | {f"{STORED}.{name}" for name in TYPES}
    | {name for facts in ESTIMATORS.values() for name in facts.stores}
    | STORED_STEPS,
    "TreeNode": frozenset({"sklearn.tree._tree.Tree"}),
    "LossNode": frozenset(f"sklearn._loss._loss.{name}" for name in _LOSSES.split()),
    "NdArrayNode": frozenset({"numpy.ndarray", "numpy.float64", "numpy.int64", "numpy.uint64"}),
    "DTypeNode": frozenset({"numpy.dtype"}),
    "TypeNode": frozenset({"builtins.float", "builtins.int", "builtins.str", "numpy.float64", "numpy.int64"}),
    # Gradient boosting checks its input by a function object. None but this one can be named, and reading calls none.
    "FunctionNode": frozenset({"sklearn.utils.validation.check_array"}),
    "PartialNode": frozenset({"functools.partial"}),
    "RandomStateNode": frozenset({"numpy.random.mtrand.RandomState"}),
    "RandomGeneratorNode": frozenset({"numpy.random._generator.Generator"}),
    "DictNode": frozenset({"builtins.dict"}),
    "ListNode": frozenset({"builtins.list"}),
    "TupleNode": frozenset({"builtins.tuple"}),
    "SliceNode": frozenset({"builtins.slice"}),
    "JsonNode": frozenset({"builtins.str"}),
}
"""For each reader of skops, the types that it may build; bound methods and stored constructor calls are not among them."""


_CONTAINERS: dict[str, type | tuple[type, ...]] = {
    "DictNode": dict,
    "DefaultDictNode": defaultdict,
    "ListNode": list,
    "SetNode": (set, frozenset),
    "TupleNode": tuple,
}
"""The readers that call a class with what it holds, and what kind of container they may do so for."""


def is_trusted(reader: str, name: str, *, factory: bool = False) -> bool:
    """Tell whether a reader of skops may build a type: by `TRUSTED_TYPES`, or by what the deployment adds.

    A class of ``RATCHET_PERMITTED_TYPES`` may be an object, a container if it is one, or what a ``defaultdict`` makes of a
    key that it does not have.

    Parameters
    ----------
    reader : str
        Name of the reader, such as ``ObjectNode``.
    name : str
        Dotted path of the type.
    factory : bool
        Whether the type is the default factory of a ``defaultdict``.
    """
    if name in TRUSTED_TYPES.get(reader, frozenset()):
        return True
    if name not in Settings.from_environment().permitted_types:
        return False
    if reader in _CONTAINERS:
        return issubclass(_imported(name), _CONTAINERS[reader])
    return reader == "ObjectNode" or (reader == "TypeNode" and factory)


def _imported(name: str) -> type:
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError):
        return object
    return found if isinstance(found, type) else object
