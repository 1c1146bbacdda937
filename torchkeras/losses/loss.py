"""The base of all losses, and the loss made of a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch

from torchkeras.core import settings, tree
from torchkeras.core.config.configurable import Configurable, forgotten_init
from torchkeras.core.config.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.core.fast_paths.batch_means import find_batch_mean
from torchkeras.core.naming import auto_name
from torchkeras.core.registry import register_public
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.tensors.masks import get_mask
from torchkeras.core.types import ArrayLike, Nest
from torchkeras.dtype_policies import get as get_policy
from torchkeras.dtype_policies.policy import PolicyLike
from torchkeras.losses.reduction import BATCH_MEANS, check_reduction, reduce_weighted, without_uncounted
from torchkeras.losses.shapes import match_ranks


class Loss(Configurable):
    """Base class of losses: `call(y_true, y_pred)` gives a value per sample, `__call__` weights and reduces them.

    Subclasses define `call`.

    Args:
        name: name of the loss; `None` derives it from the name of the class. Default: `None`.
        reduction: how the values per sample become one number: `"sum_over_batch_size"` or `"mean"` (their mean),
            `"sum"`, `"mean_with_sample_weight"` (the weighted sum divided by the sum of the weights), `"none"` or
            `None` (no reduction). Default: `"sum_over_batch_size"`.
        dtype: dtype name or policy in which the loss is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Raises:
        ValueError: `reduction` is none of these.

    Example:
        >>> class RootError(keras.losses.Loss):
        ...     def call(self, y_true, y_pred):
        ...         return torch.sqrt(torch.abs(y_true - y_pred)).mean(-1)
        >>> loss = RootError(reduction="sum")
        >>> loss(np.array([[0.0], [0.0]]), np.array([[4.0], [9.0]])).item()
        5.0
    """

    keras_module = "keras.losses"

    _tk_config_keys: tuple[str, ...] = ()
    """Constructor arguments that the config holds beside `name` and `reduction`."""
    _tk_optional_config_keys: tuple[tuple[str, Any], ...] = ()
    """Arguments that Keras's configs leave out, with their defaults; ours hold them where they differ from those."""
    _tk_keeps_integers = False
    """Whether integer targets (class numbers) are left as they are instead of cast to the loss's type."""

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: PolicyLike | None = None
    ) -> None:
        self.name = name or auto_name(type(self).__name__)
        self.reduction = check_reduction(reduction)
        self._dtype = get_policy(dtype or settings.floatx()).compute_dtype
        self._torch_dtype = torch_dtype(self._dtype)

    def __getattr__(self, name: str) -> Any:
        if name in ("_torch_dtype", "_dtype"):
            raise RuntimeError(forgotten_init("loss", self))
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def dtype(self) -> str:
        """The name of the type in which the loss is computed."""
        return self._dtype

    def __call__(
        self, y_true: Nest[ArrayLike], y_pred: Nest[ArrayLike], sample_weight: ArrayLike | None = None
    ) -> torch.Tensor:
        """Compute the loss of a batch, reduced.

        A mask on `y_pred` takes part: masked entries count for nothing.

        Args:
            y_true: targets: array or tensor, or lists and dicts of them.
            y_pred: predictions, of the same structure.
            sample_weight: weight of each sample, `(batch,)` or a shape that broadcasts against the values per sample.
                Default: `None`.

        Returns:
            A scalar tensor, or with `reduction="none"` a tensor of the values per sample.

        Raises:
            ValueError: the shapes do not fit together.
        """
        in_mask = get_mask(y_pred)
        if isinstance(y_pred, torch.Tensor) and isinstance(y_true, torch.Tensor):
            y_true, y_pred = self._cast(y_true), y_pred.to(self._torch_dtype)
        else:
            y_true, y_pred = self._convert(y_true, y_pred)
        if (sample_weight is not None or in_mask is not None) and isinstance(y_true, torch.Tensor):
            y_true = without_uncounted(y_true, sample_weight, in_mask)
        values = self.call(y_true, y_pred)
        out_mask = get_mask(values)
        mask = out_mask if in_mask is None else in_mask if out_mask is None else in_mask & out_mask
        return reduce_weighted(values, sample_weight, mask, self.reduction, self._torch_dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:  # Any: an override may take a narrower type
        """Compute the values per sample. Subclasses define it.

        Args:
            y_true: targets, as tensors.
            y_pred: predictions, as tensors.

        Returns:
            A tensor `(batch, ...)`.

        Raises:
            NotImplementedError: the class does not define it.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement call(y_true, y_pred).")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON-ready values."""
        config = {"name": self.name, "reduction": self.reduction}
        config.update((key, getattr(self, key)) for key in self._tk_config_keys)
        for key, default in self._tk_optional_config_keys:
            if getattr(self, key) != default:
                config[key] = getattr(self, key)
        return config

    def _cast(self, y_true: torch.Tensor) -> torch.Tensor:
        if self._tk_keeps_integers and not y_true.is_floating_point():
            return y_true
        return y_true.to(self._torch_dtype)

    def _convert(self, y_true: Nest[ArrayLike], y_pred: Nest[ArrayLike]) -> tuple[Any, Any]:
        """Nested arrays as nested tensors, all where the first prediction lies."""
        y_pred = tree.map_structure(lambda x: convert_to_tensor(x, self._torch_dtype), y_pred)
        leaves = tree.flatten(y_pred)
        device = leaves[0].device if leaves else None
        return tree.map_structure(lambda x: self._cast(convert_to_tensor(x, None, device)), y_true), y_pred


class LossFunctionWrapper(Loss):
    """Make a loss of a function `(y_true, y_pred)`.

    Args:
        fn: function of targets, predictions and the further keyword arguments; it returns a value per sample.
        reduction: as for `Loss`. Default: `"sum_over_batch_size"`.
        name: name of the loss; `None` derives it from the name of the class. Default: `None`.
        dtype: as for `Loss`. Default: `None`.
        **kwargs: further arguments of `fn`.

    Example:
        >>> def scaled(y_true, y_pred, scale):
        ...     return scale * torch.abs(y_true - y_pred).mean(-1)
        >>> loss = keras.losses.LossFunctionWrapper(scaled, scale=3.0)
        >>> loss(np.array([[0.0]]), np.array([[2.0]])).item()
        6.0
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: PolicyLike | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.fn = fn
        self._fn_kwargs = kwargs
        # A subclass with a call of its own does not want the function's short cut.
        self._batch_mean = find_batch_mean(fn) if type(self).call is LossFunctionWrapper.call else None

    def __call__(
        self, y_true: Nest[ArrayLike], y_pred: Nest[ArrayLike], sample_weight: ArrayLike | None = None
    ) -> torch.Tensor:
        if (
            sample_weight is None
            and self._batch_mean is not None
            and self.reduction in BATCH_MEANS
            and isinstance(y_pred, torch.Tensor)
            and isinstance(y_true, torch.Tensor)
            and get_mask(y_pred) is None
            and y_pred.numel() != 0
        ):
            dtype = self._torch_dtype
            target = y_true if y_true.dtype == dtype else self._cast(y_true)
            pred = y_pred if y_pred.dtype == dtype else y_pred.to(dtype)
            if target.dim() != pred.dim():
                target, pred = match_ranks(target, pred)
            loss = self._batch_mean(target, pred, **self._fn_kwargs)
            if loss is not None:
                return loss
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true: Nest[ArrayLike], y_pred: Nest[ArrayLike]) -> Any:
        if isinstance(y_true, torch.Tensor) and isinstance(y_pred, torch.Tensor):
            y_true, y_pred = match_ranks(y_true, y_pred)
        else:
            pairs = tree.map_structure(match_ranks, y_true, y_pred)
            y_pred = tree.map_structure_up_to(y_true, lambda pair: pair[1], pairs)
            y_true = tree.map_structure_up_to(y_true, lambda pair: pair[0], pairs)
        return self.fn(y_true, y_pred, **self._fn_kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON-ready values, the function by its registered name."""
        return {
            **super().get_config(),
            "fn": serialize_keras_object(self.fn),
            **serialize_keras_object(self._fn_kwargs),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return the loss that `config` describes."""
        return cls(**(deserialize_keras_object(config) if "fn" in config else config))

    def __repr__(self) -> str:
        return f"<LossFunctionWrapper({self.fn}, kwargs={self._fn_kwargs})>"


# Keras's files name it where Keras defines it.
register_public(LossFunctionWrapper, "keras.src.losses.losses")


class FunctionLoss(LossFunctionWrapper):
    """Base of the public losses, whose classes fix the function: the config holds its arguments only."""

    keras_module = None

    def get_config(self) -> dict[str, Any]:
        return Loss.get_config(self)
