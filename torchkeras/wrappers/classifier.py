"""`SKLearnClassifier`: a model as a classifier of scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from torchkeras.core.types import ArrayLike
from torchkeras.wrappers.estimator import UNCHANGED, Estimator, kind_of_target

if TYPE_CHECKING:
    from sklearn.utils import Tags


class SKLearnClassifier(Estimator):
    """Make a model a classifier of scikit-learn, for its pipelines, searches and scores.

    The model sees one-hot targets, so that its loss is `"categorical_crossentropy"`, say, and it has one output for
    each class.

    Args:
        model: compiled model, of which each `fit` trains a copy with weights drawn afresh; or a function of `X`, `y`
            (one-hot) and `model_kwargs` that returns a compiled model.
        warm_start: whether `fit` trains the given model, or the one that the `fit` before trained, instead of a new
            one. Default: `False`.
        model_kwargs: further arguments of the function. A search sets one of them as `model_kwargs__units`. Default:
            `None`.
        fit_kwargs: arguments of `model.fit`, such as `{"epochs": 5}`. Default: `None`.

    Raises:
        ImportError: scikit-learn is not installed.

    Example:
        >>> def make(X, y, units=8):
        ...     model = keras.Sequential(
        ...         [keras.Input((X.shape[1],)), keras.layers.Dense(units), keras.layers.Dense(y.shape[1], "softmax")]
        ...     )
        ...     model.compile("adam", "categorical_crossentropy")
        ...     return model
        >>> classifier = keras.wrappers.SKLearnClassifier(make, model_kwargs={"units": 4}, fit_kwargs={"verbose": 0})
        >>> X = np.random.rand(20, 3)
        >>> classifier.fit(X, np.where(X[:, 0] > 0.5, "high", "low")).predict(X).shape
        (20,)
        >>> classifier.classes_.tolist()
        ['high', 'low']
    """

    _estimator_type = "classifier"

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """The outputs of the model: one column for each class.

        Args:
            X: samples, of shape `(samples, features)`.

        Raises:
            sklearn.exceptions.NotFittedError: `fit` was not called.
        """
        return self._outputs(X)

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """The share of samples whose class is predicted.

        Args:
            X: samples.
            y: their classes.
            sample_weight: weights of the samples. Default: `None`, all alike.
        """
        from sklearn.metrics import accuracy_score

        return accuracy_score(y, self.predict(X), sample_weight=sample_weight)

    def set_score_request(self, *, sample_weight: bool | str | None = UNCHANGED) -> Self:
        """Say whether a meta-estimator should pass weights to `score`.

        Args:
            sample_weight: `True`, `False`, `None` or another name for it. Default: `"$UNCHANGED$"`, as it was.

        Raises:
            RuntimeError: scikit-learn's metadata routing is off.
        """
        return self._request("score", {"sample_weight": sample_weight})

    def __sklearn_tags__(self) -> Tags:
        from sklearn.utils import ClassifierTags

        tags = super().__sklearn_tags__()
        tags.estimator_type = "classifier"
        tags.classifier_tags = ClassifierTags(poor_score=True)
        tags.target_tags.required = True
        return tags

    def _encode(self, y: np.ndarray) -> np.ndarray:
        """Classes as one-hot rows."""
        kind = kind_of_target(y)
        if kind not in ("binary", "multiclass"):
            raise ValueError(f"Only binary and multiclass target types are supported. Target type: {kind}")
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) == 1:
            raise ValueError("Classifier can't train when only one class is present.")
        return np.eye(len(self.classes_))[numbers.reshape(-1)]

    def _decode(self, outputs: np.ndarray) -> np.ndarray:
        return self.classes_[outputs.argmax(axis=-1)]
