"""The base of the wrappers: a model that follows scikit-learn's protocol of estimators.

The classes follow the protocol without inheriting from scikit-learn's classes: the package is optional, and is
imported when a wrapper is made.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from pprint import pformat
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from torchkeras.core.types import ArrayLike
from torchkeras.models import Model, clone_model

if TYPE_CHECKING:
    from sklearn.utils import Tags
    from sklearn.utils.metadata_routing import MetadataRequest

    from torchkeras.callbacks import History

UNCHANGED = "$UNCHANGED$"  # scikit-learn's own mark of a request that stays as it is


class Estimator:
    """A compiled model, or a function that makes one, as an estimator.

    Args:
        model: compiled model, of which each `fit` trains a copy; or a function of `X`, `y` and `model_kwargs` that
            returns a compiled model.
        warm_start: whether `fit` goes on with the model of the `fit` before, instead of a copy.
        model_kwargs: further arguments of the function.
        fit_kwargs: arguments of `model.fit`.

    Raises:
        ImportError: scikit-learn is not installed.
    """

    def __init__(
        self,
        model: Model | Callable[..., Model],
        warm_start: bool = False,
        model_kwargs: dict[str, Any] | None = None,
        fit_kwargs: dict[str, Any] | None = None,
    ) -> None:
        _require_sklearn(type(self).__name__)
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs

    # ------------------------------------------------------------------ parameters

    @classmethod
    def _parameters(cls) -> list[str]:
        return sorted(name for name in inspect.signature(cls.__init__).parameters if name != "self")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments of the constructor by name.

        Args:
            deep: as in scikit-learn; the arguments hold no estimators. Default: `True`.
        """
        return {name: getattr(self, name) for name in self._parameters()}

    def set_params(self, **params: Any) -> Self:
        """Set arguments of the constructor. `model_kwargs__units=3` sets one entry of a dict, so that searches can.

        Args:
            **params: the arguments.

        Raises:
            ValueError: there is no such argument.
        """
        known = self._parameters()
        for name, value in params.items():
            whole, _, entry = name.partition("__")
            if whole not in known or (entry and whole not in ("model_kwargs", "fit_kwargs")):
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {self!r}. Valid parameters are: {known}; entries of "
                    "dicts are named as in model_kwargs__units and fit_kwargs__epochs."
                )
            setattr(self, whole, {**(getattr(self, whole) or {}), entry: value} if entry else value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        changed = {
            name: value
            for name, value in self.get_params().items()
            if defaults[name].default is inspect.Parameter.empty or value != defaults[name].default
        }
        listed = [f"{name}={pformat(value, width=999)}" for name, value in changed.items()]
        return f"{type(self).__name__}({', '.join(listed)})"

    # ------------------------------------------------------------------ scikit-learn's protocols

    def __sklearn_tags__(self) -> Tags:
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            transformer_tags=None,
            regressor_tags=None,
            classifier_tags=None,
            input_tags=InputTags(),
            non_deterministic=True,
        )

    def __sklearn_clone__(self) -> Self:
        copies = {
            name: value if name == "model" and not isinstance(value, Model) else copy.deepcopy(value)
            for name, value in self.get_params().items()
        }
        return type(self)(**copies)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def get_metadata_routing(self) -> MetadataRequest:
        """The requests of metadata that `set_fit_request` and `set_score_request` made."""
        from sklearn.utils.metadata_routing import MetadataRequest

        requests = getattr(self, "_requests", None)
        return MetadataRequest(owner=self) if requests is None else copy.deepcopy(requests)

    def set_fit_request(self, **kwargs: bool | str | None) -> Self:
        """Say which arguments of `fit` a meta-estimator should pass on, such as `sample_weight=True`.

        Args:
            **kwargs: by name of the argument: `True`, `False`, `None` or another name for it.

        Returns:
            The estimator itself.

        Raises:
            RuntimeError: scikit-learn's metadata routing is off.
        """
        return self._request("fit", kwargs)

    def _request(self, method: str, wanted: Mapping[str, Any]) -> Self:
        import sklearn
        from sklearn.utils.metadata_routing import MetadataRequest

        if not sklearn.get_config().get("enable_metadata_routing", False):
            raise RuntimeError(
                "This method is only available when metadata routing is enabled. You can enable it using "
                "sklearn.set_config(enable_metadata_routing=True)."
            )
        if not hasattr(self, "_requests"):
            self._requests = MetadataRequest(owner=self)
        for param, alias in wanted.items():
            if alias != UNCHANGED:
                getattr(self._requests, method).add_request(param=param, alias=alias)
        return self

    # ------------------------------------------------------------------ training

    @property
    def epoch_(self) -> int:
        """The number of epochs of the last `fit`; 0 before it."""
        history: History | None = getattr(self, "history_", None)
        return 0 if history is None else len(history.epoch)

    def fit(self, X: ArrayLike, y: ArrayLike, **kwargs: Any) -> Self:
        """Train the model.

        Args:
            X: samples, of shape `(samples, features)`.
            y: targets, of shape `(samples,)` or `(samples, outputs)`.
            **kwargs: arguments of `model.fit`; they win over `fit_kwargs`.

        Returns:
            The estimator itself; `model_` is the trained model, `history_` its `History`.

        Raises:
            ValueError: the samples or targets do not fit.
            RuntimeError: the model is not compiled.
        """
        from sklearn.utils import column_or_1d
        from sklearn.utils.validation import validate_data

        X, y = validate_data(self, X, y, multi_output=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        y = self._encode(y)
        model = self._model_for(X, y)
        if not model.compiled or not model.loss or not model.optimizer:
            raise RuntimeError("Given model needs to be compiled, and have a loss and an optimizer.")
        self.history_ = model.fit(X, y, **{**(self.fit_kwargs or {}), **kwargs})
        self.model_ = model
        return self

    def _model_for(self, X: np.ndarray, y: np.ndarray) -> Model:
        if self.warm_start:
            kept = getattr(self, "model_", self.model)
            if isinstance(kept, Model):
                return kept
        if isinstance(self.model, Model):
            return _copied(self.model)
        return self.model(X=X, y=y, **(self.model_kwargs or {}))

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The predictions for samples.

        Args:
            X: samples, of shape `(samples, features)`.

        Raises:
            sklearn.exceptions.NotFittedError: `fit` was not called.
        """
        return self._decode(self._outputs(X))

    def _outputs(self, X: ArrayLike) -> np.ndarray:
        from sklearn.utils.validation import check_is_fitted, validate_data

        check_is_fitted(self)
        verbose = (self.fit_kwargs or {}).get("verbose", "auto")
        return self.model_.predict(validate_data(self, X, reset=False), verbose=verbose)

    def _encode(self, y: np.ndarray) -> np.ndarray:
        """Targets as the model sees them: with two axes."""
        kind_of_target(y)
        self._is_flat = y.ndim == 1
        return y.reshape(-1, 1) if self._is_flat else y

    def _decode(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs of the model in the form of the targets."""
        return outputs[:, 0] if self._is_flat and outputs.ndim == 2 and outputs.shape[1] == 1 else outputs


def kind_of_target(y: np.ndarray) -> str:
    """Scikit-learn's name for a kind of targets.

    Raises:
        ValueError: the targets are of no kind that is known.
    """
    from sklearn.utils.multiclass import type_of_target

    kind = type_of_target(y)
    if kind == "unknown":
        raise ValueError(f"Unknown label type for data: {y!r}")
    return kind


def _copied(model: Model) -> Model:
    """A copy with weights drawn afresh, compiled like the original."""
    clone = clone_model(model)
    if model.compiled and not clone.compiled:
        clone.compile_from_config(model.get_compile_config())
    return clone


def _require_sklearn(name: str) -> None:
    try:
        import sklearn.utils.metadata_routing  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{name} requires `scikit-learn` to be installed. Run `pip install scikit-learn` to install it."
        ) from error
