"""`SKLearnTransformer`: a model as a transformer of scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from torchkeras.core.types import ArrayLike
from torchkeras.wrappers.estimator import Estimator

if TYPE_CHECKING:
    from sklearn.utils import Tags


class SKLearnTransformer(Estimator):
    """Make a model a step that transforms samples in a pipeline of scikit-learn, such as one that gives embeddings.

    This is a transformer in scikit-learn's sense: it has nothing to do with attention.

    Args:
        model: compiled model, of which each `fit` trains a copy with weights drawn afresh; or a function of `X`, `y`
            and `model_kwargs` that returns a compiled model.
        warm_start: whether `fit` trains the given model, or the one that the `fit` before trained, instead of a new
            one. Default: `False`.
        model_kwargs: further arguments of the function. A search sets one of them as `model_kwargs__units`. Default:
            `None`.
        fit_kwargs: arguments of `model.fit`, such as `{"epochs": 5}`. Default: `None`.

    Raises:
        ImportError: scikit-learn is not installed.

    Example:
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> transformer = keras.wrappers.SKLearnTransformer(model, fit_kwargs={"verbose": 0})
        >>> transformer.fit_transform(np.random.rand(20, 3), np.random.rand(20)).shape
        (20, 1)
    """

    def transform(self, X: ArrayLike) -> np.ndarray:
        """The outputs of the model for samples.

        Args:
            X: samples, of shape `(samples, features)`.

        Raises:
            sklearn.exceptions.NotFittedError: `fit` was not called.
        """
        return self._outputs(X)

    def fit_transform(self, X: ArrayLike, y: ArrayLike, **kwargs: Any) -> np.ndarray:
        """Train the model, then transform the samples.

        Args:
            X: samples.
            y: targets.
            **kwargs: arguments of `model.fit`.
        """
        return self.fit(X, y, **kwargs).transform(X)

    def __sklearn_tags__(self) -> Tags:
        from sklearn.utils import TransformerTags

        tags = super().__sklearn_tags__()
        tags.transformer_tags = TransformerTags(preserves_dtype=[])
        return tags
