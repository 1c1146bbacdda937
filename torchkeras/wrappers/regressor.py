"""`SKLearnRegressor`: a model as a regressor of scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from torchkeras.core.types import ArrayLike
from torchkeras.wrappers.estimator import UNCHANGED, Estimator

if TYPE_CHECKING:
    from sklearn.utils import Tags


class SKLearnRegressor(Estimator):
    """Make a model a regressor of scikit-learn, for its pipelines, searches and scores.

    Args:
        model: compiled model, of which each `fit` trains a copy with weights drawn afresh; or a function of `X`, `y`
            (of shape `(samples, outputs)`) and `model_kwargs` that returns a compiled model.
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
        >>> regressor = keras.wrappers.SKLearnRegressor(model, fit_kwargs={"epochs": 2, "verbose": 0})
        >>> X = np.random.rand(20, 3)
        >>> regressor.fit(X, X.sum(axis=1)).predict(X).shape
        (20,)
    """

    _estimator_type = "regressor"

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """The coefficient of determination, R^2, of the predictions.

        Args:
            X: samples.
            y: their targets.
            sample_weight: weights of the samples. Default: `None`, all alike.
        """
        from sklearn.metrics import r2_score

        return r2_score(y, self.predict(X), sample_weight=sample_weight)

    def set_score_request(self, *, sample_weight: bool | str | None = UNCHANGED) -> Self:
        """Say whether a meta-estimator should pass weights to `score`.

        Args:
            sample_weight: `True`, `False`, `None` or another name for it. Default: `"$UNCHANGED$"`, as it was.

        Raises:
            RuntimeError: scikit-learn's metadata routing is off.
        """
        return self._request("score", {"sample_weight": sample_weight})

    def __sklearn_tags__(self) -> Tags:
        from sklearn.utils import RegressorTags

        tags = super().__sklearn_tags__()
        tags.estimator_type = "regressor"
        tags.regressor_tags = RegressorTags(poor_score=True)
        tags.target_tags.required = True
        return tags
