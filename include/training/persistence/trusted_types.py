"""The types that a model file may hold, by the way that they are built: owned here, and never by the file."""

from __future__ import annotations

import importlib
from collections import defaultdict

from include.config.settings import Settings
from include.training.persistence.type_names import STORED, TYPES

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
    sklearn.cluster._kmeans.KMeans
    sklearn.compose._column_transformer.ColumnTransformer
    sklearn.discriminant_analysis.LinearDiscriminantAnalysis
    sklearn.discriminant_analysis.QuadraticDiscriminantAnalysis
    sklearn.dummy.DummyClassifier
    sklearn.dummy.DummyRegressor
    sklearn.ensemble._forest.ExtraTreesClassifier
    sklearn.ensemble._forest.ExtraTreesRegressor
    sklearn.ensemble._forest.RandomForestClassifier
    sklearn.ensemble._forest.RandomForestRegressor
    sklearn.ensemble._gb.GradientBoostingClassifier
    sklearn.ensemble._gb.GradientBoostingRegressor
    sklearn.ensemble._hist_gradient_boosting.binning._BinMapper
    sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier
    sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingRegressor
    sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor
    sklearn.ensemble._weight_boosting.AdaBoostClassifier
    sklearn.ensemble._weight_boosting.AdaBoostRegressor
    sklearn.feature_extraction.text.TfidfTransformer
    sklearn.feature_extraction.text.TfidfVectorizer
    sklearn.impute._base.MissingIndicator
    sklearn.impute._base.SimpleImputer
    sklearn.isotonic.IsotonicRegression
    sklearn.linear_model._base.LinearRegression
    sklearn.linear_model._bayes.BayesianRidge
    sklearn.linear_model._coordinate_descent.ElasticNet
    sklearn.linear_model._coordinate_descent.Lasso
    sklearn.linear_model._glm.glm.GammaRegressor
    sklearn.linear_model._glm.glm.PoissonRegressor
    sklearn.linear_model._huber.HuberRegressor
    sklearn.linear_model._logistic.LogisticRegression
    sklearn.linear_model._quantile.QuantileRegressor
    sklearn.linear_model._ridge.Ridge
    sklearn.linear_model._stochastic_gradient.SGDClassifier
    sklearn.linear_model._stochastic_gradient.SGDRegressor
    sklearn.mixture._gaussian_mixture.GaussianMixture
    sklearn.naive_bayes.BernoulliNB
    sklearn.naive_bayes.GaussianNB
    sklearn.neighbors._classification.KNeighborsClassifier
    sklearn.neighbors._regression.KNeighborsRegressor
    sklearn.neural_network._multilayer_perceptron.MLPClassifier
    sklearn.neural_network._multilayer_perceptron.MLPRegressor
    sklearn.neural_network._stochastic_optimizers.AdamOptimizer
    sklearn.neural_network._stochastic_optimizers.SGDOptimizer
    sklearn.pipeline.Pipeline
    sklearn.preprocessing._data.MinMaxScaler
    sklearn.preprocessing._data.PowerTransformer
    sklearn.preprocessing._data.QuantileTransformer
    sklearn.preprocessing._data.RobustScaler
    sklearn.preprocessing._data.StandardScaler
    sklearn.preprocessing._encoders.OrdinalEncoder
    sklearn.preprocessing._function_transformer.FunctionTransformer
    sklearn.preprocessing._label.LabelBinarizer
    sklearn.preprocessing._label.LabelEncoder
    sklearn.preprocessing._polynomial.PolynomialFeatures
    sklearn.preprocessing._target_encoder.TargetEncoder
    sklearn.svm._classes.LinearSVC
    sklearn.svm._classes.LinearSVR
    sklearn.svm._classes.SVC
    sklearn.svm._classes.SVR
    sklearn.tree._classes.DecisionTreeClassifier
    sklearn.tree._classes.DecisionTreeRegressor
    sklearn.tree._classes.ExtraTreeClassifier
    sklearn.tree._classes.ExtraTreeRegressor
"""

_LOSSES = "CyAbsoluteError CyHalfBinomialLoss CyHalfGammaLoss CyHalfMultinomialLoss CyHalfPoissonLoss CyHalfSquaredError CyPinballLoss"

TRUSTED_TYPES: dict[str, frozenset[str]] = {
    "ObjectNode": frozenset(_OBJECTS.split()) | {f"{STORED}.{name}" for name in TYPES},
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
        Whether the type stands where a ``defaultdict`` keeps what makes its values.
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
