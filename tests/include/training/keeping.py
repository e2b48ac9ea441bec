"""An estimator of somebody else's library, which keeps what it learned in containers of several kinds."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


class Keeping(ClassifierMixin, BaseEstimator):
    """Predicts the share of positives, and keeps it in one container inside the other."""

    def fit(self, X: Any, y: Any) -> Keeping:
        self.classes_ = np.unique(y)
        self.shares_ = defaultdict(OrderedDict)
        self.shares_["training"]["positive"] = float(np.mean(y))
        self.seen_ = {"rows", "columns"}
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        one = np.full(len(X), self.shares_["training"]["positive"])
        assert self.shares_["never asked"] == OrderedDict() and self.seen_ == {"rows", "columns"}
        return np.column_stack([1 - one, one])
