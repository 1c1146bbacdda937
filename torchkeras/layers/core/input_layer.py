"""The entrance of a functional model: `Input` and the layer behind it."""

from __future__ import annotations

from typing import Any

from torchkeras.core.settings import floatx
from torchkeras.core.symbolic.keras_tensor import KerasTensor, standardize_shape
from torchkeras.core.symbolic.node import Node
from torchkeras.core.tensors.dtypes import standardize_dtype
from torchkeras.core.types import DTypeLike, Shape
from torchkeras.core.user_warnings import warn_user
from torchkeras.layers.base.layer import Layer


class InputLayer(Layer):
    """Layer that `Input` makes: its output is the symbolic input of a model.

    Args:
        shape: sizes of one sample, without the batch size; `None` for any size. Default: `None`.
        batch_size: number of samples of a batch; `None` for any number. Default: `None`.
        dtype: dtype of the values, such as `"int32"`; `None` means `keras.config.floatx()`. Default: `None`.
        sparse: whether the model may be given sparse tensors (torch's COO or CSR layout). Default: `None`.
        ragged: not supported, as with Keras's torch backend. Default: `None`.
        batch_shape: `(batch_size, *shape)` in the place of the two. Default: `None`.
        input_tensor: an existing KerasTensor to use as the output. Default: `None`.
        optional: whether a call of the model may give `None` for this input. Default: `False`.
        name: name of the input; `None` numbers it. Default: `None`.
        **kwargs: `input_shape` and `batch_input_shape`, the names of Keras 2.

    Raises:
        ValueError: the shape is given twice or not at all, or `ragged` is set.

    Example:
        >>> layer = keras.layers.InputLayer(shape=(3,), name="image")
        >>> layer.output.shape
        (None, 3)
    """

    def __init__(
        self,
        shape: Shape | None = None,
        batch_size: int | None = None,
        dtype: DTypeLike | None = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Shape | None = None,
        input_tensor: KerasTensor | None = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if "input_shape" in kwargs:
            warn_user("Argument `input_shape` is deprecated. Use `shape` instead.")
            shape = kwargs.pop("input_shape")
        if "batch_input_shape" in kwargs:
            batch_shape = kwargs.pop("batch_input_shape")
        if shape is not None and batch_shape is not None:
            raise ValueError(
                f"You cannot pass both `shape` and `batch_shape` at the same time; received shape={shape}, "
                f"batch_shape={batch_shape}."
            )
        if batch_size is not None and batch_shape is not None:
            raise ValueError(
                f"You cannot pass both `batch_size` and `batch_shape` at the same time; received "
                f"batch_size={batch_size}, batch_shape={batch_shape}."
            )
        if ragged:
            raise ValueError("`ragged=True` is not supported with torch. Pad the rows to one length and mask them.")
        super().__init__(name=name, **kwargs)
        self._tk_input_dtype = standardize_dtype(dtype or floatx())
        if input_tensor is not None:
            if not isinstance(input_tensor, KerasTensor):
                raise ValueError(
                    f"Argument `input_tensor` must be a KerasTensor. Received: input_tensor={input_tensor!r} (of type "
                    f"{type(input_tensor)})"
                )
            wanted = None if dtype is None else self._tk_input_dtype
            _check_agreement(input_tensor, shape, batch_shape, batch_size, wanted, sparse)
            self._tk_input_dtype, batch_shape = input_tensor.dtype, input_tensor.shape
        if batch_shape is None:
            if shape is None:
                raise ValueError("You must pass a `shape` argument. (Or `batch_shape`; neither was received.)")
            batch_shape = (batch_size, *standardize_shape(shape))
        self.batch_shape = standardize_shape(batch_shape)
        self.sparse, self.ragged, self.optional = bool(sparse), bool(ragged), optional
        output = input_tensor
        if output is None:
            output = KerasTensor(self.batch_shape, self.dtype, sparse=self.sparse, name=name)
        Node(self, (), {}, output)
        self.built = True

    @property
    def dtype(self) -> str:
        """The name of the values' type."""
        return self._tk_input_dtype

    def call(self, *args: Any) -> Any:
        """Return the input as it is; `None` without an input: the symbolic one is `output`."""
        return args[0] if args else None

    def compute_output_shape(self, input_shape: Any = None) -> tuple[Any, ...]:
        return self.batch_shape

    def get_config(self) -> dict[str, Any]:
        return {
            "batch_shape": self.batch_shape,
            "dtype": self.dtype,
            "sparse": self.sparse,
            "ragged": self.ragged,
            "name": self.name,
            "optional": self.optional,
        }


def _check_agreement(
    tensor: KerasTensor,
    shape: Shape | None,
    batch_shape: Shape | None,
    batch_size: int | None,
    dtype: str | None,
    sparse: bool | None,
) -> None:
    """Raise a `ValueError` where an argument contradicts the tensor that is to be the input."""
    wrong = {
        "shape": shape is not None and standardize_shape(shape) != tuple(tensor.shape[1:]),
        "batch_shape": batch_shape is not None and standardize_shape(batch_shape) != tuple(tensor.shape),
        "batch_size": batch_size is not None and batch_size != tensor.shape[0],
        "dtype": dtype is not None and dtype != tensor.dtype,
        "sparse": sparse is not None and bool(sparse) != bool(tensor.sparse),
    }
    for name, differs in wrong.items():
        if differs:
            raise ValueError(
                f"When providing the `input_tensor` argument, you cannot provide an incompatible `{name}` argument. "
                f"The tensor has shape {tuple(tensor.shape)} and dtype {tensor.dtype!r}."
            )


def Input(
    shape: Shape | None = None,
    batch_size: int | None = None,
    dtype: DTypeLike | None = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Shape | None = None,
    name: str | None = None,
    tensor: KerasTensor | None = None,
    optional: bool = False,
) -> KerasTensor:
    """Make a symbolic tensor from which a functional model is built.

    Args:
        shape: sizes of one sample, without the batch size; `None` for any size. Default: `None`.
        batch_size: number of samples of a batch; `None` for any number. Default: `None`.
        dtype: dtype of the values, such as `"int32"`; `None` means `keras.config.floatx()`. Default: `None`.
        sparse: whether the model may be given sparse tensors (torch's COO or CSR layout). Default: `None`.
        ragged: not supported, as with Keras's torch backend. Default: `None`.
        batch_shape: `(batch_size, *shape)` in the place of the two. Default: `None`.
        name: name of the input; `None` numbers it. A model with several inputs takes a dict by these names. Default:
            `None`.
        tensor: an existing KerasTensor to use. Default: `None`.
        optional: whether a call of the model may give `None` for this input. Default: `False`.

    Returns:
        A KerasTensor of the shape `(batch_size, *shape)`.

    Raises:
        ValueError: the shape is given twice or not at all, or `ragged` is set.

    Example:
        >>> x = keras.Input(shape=(32,))
        >>> y = keras.layers.Dense(16, activation="softmax")(x)
        >>> model = keras.Model(x, y)
        >>> model(np.ones((2, 32))).shape
        torch.Size([2, 16])
    """
    layer = InputLayer(
        shape=shape,
        batch_size=batch_size,
        dtype=dtype,
        sparse=sparse,
        ragged=ragged,
        batch_shape=batch_shape,
        input_tensor=tensor,
        optional=optional,
        name=name,
    )
    return layer._inbound_nodes[0].outputs
