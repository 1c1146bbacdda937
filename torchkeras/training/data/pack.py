"""The data of a step: `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`."""

from __future__ import annotations

from typing import Any


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """Split the data of a step into `(x, y, sample_weight)`, with `None` for missing parts.

    Args:
        data: `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`.

    Returns:
        A tuple of three.

    Raises:
        ValueError: `data` is a tuple or list of none or more than three parts.

    Example:
        >>> keras.utils.unpack_x_y_sample_weight(("x", "y"))
        ('x', 'y', None)
    """
    if not isinstance(data, (tuple, list)):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(
            f"Data must be x, (x,), (x, y) or (x, y, sample_weight); received a {type(data).__name__} "
            f"with {len(data)} parts."
        )
    return (*data, None, None)[:3]


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Put `x`, `y` and `sample_weight` together as the data of a step: the inverse of `unpack_x_y_sample_weight`.

    Args:
        x: the inputs.
        y: the targets. Default: `None`.
        sample_weight: the weights of the samples. Default: `None`.

    Returns:
        A tuple without missing parts; `x` itself if it is alone and no list or tuple.

    Example:
        >>> keras.utils.pack_x_y_sample_weight("x", "y")
        ('x', 'y')
    """
    if y is None:
        return (x,) if isinstance(x, (tuple, list)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)
