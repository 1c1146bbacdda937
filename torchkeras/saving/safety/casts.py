"""Values of a file that a weight of another type can't hold as they are: rounded ones are named, others refused."""

from __future__ import annotations

import numpy as np
import torch

from torchkeras.core.user_warnings import warn_user

_CHUNK = 1 << 22


class Casts:
    """The values of one file that change their types on the way into a model.

    Args:
        file_name: for messages.
    """

    def __init__(self, file_name: str) -> None:
        self.file_name = file_name
        self._rounded: list[str] = []

    def problem(self, name: str, value: np.ndarray, tensor: torch.Tensor) -> str | None:
        """Compare a value with the type of its weight, and note it if it will be rounded.

        Args:
            name: of the weight, for messages.
            value: the value as the file has it.
            tensor: the weight.

        Returns:
            The reason why the weight can't take the value; `None` if it can.
        """
        if not may_lose(value.dtype.name, tensor.dtype):
            return None
        wanted = str(tensor.dtype).removeprefix("torch.")
        flat = np.ascontiguousarray(value, value.dtype.newbyteorder("=")).reshape(-1)
        if flat.dtype.kind == "c" and not tensor.is_complex():
            if flat.imag.any():
                return f"weight {name!r} is {wanted}, and the file has complex numbers for it"
            flat = flat.real.copy()
        rounded, has_nan = False, tensor.is_floating_point() or tensor.is_complex()
        for start in range(0, len(flat), _CHUNK):
            chunk = torch.from_numpy(flat[start : start + _CHUNK])
            cast = chunk.to(tensor.dtype)
            changed = cast.to(chunk.dtype) != chunk
            if has_nan:
                changed &= chunk == chunk  # a NaN stays one
            if not changed.any():
                continue
            if not has_nan or not torch.isfinite(cast[changed]).all():
                return (
                    f"weight {name!r} is {wanted} and can't hold the file's {value.dtype.name} values, such as "
                    f"{chunk[changed][_worst(cast[changed])].item()}"
                )
            rounded = True
        if rounded:
            self._rounded.append(f"{name!r} ({value.dtype.name} to {wanted})")
        return None

    def warn(self) -> None:
        """Name the weights whose values were rounded, if there are any."""
        if self._rounded:
            shown = ", ".join(self._rounded[:5]) + (", ..." if len(self._rounded) > 5 else "")
            warn_user(
                f"Values of {len(self._rounded)} weights of {self.file_name} were rounded, because the model's types "
                f"are narrower than the file's: {shown}."
            )


def _worst(cast: torch.Tensor) -> int:
    """The place of a number that did not fit, or the first."""
    wrong = (~torch.isfinite(cast)).nonzero()
    return int(wrong[0]) if len(wrong) else 0


def may_lose(file_dtype: str, dtype: torch.dtype) -> bool:
    """Whether some number of the file's type has no equal in another type."""
    found = getattr(torch, file_dtype, None)
    if found is dtype:
        return False
    if not isinstance(found, torch.dtype) or found.itemsize < 1:
        return True
    if not (found.is_floating_point or found.is_complex) and dtype.is_floating_point:
        return found.itemsize >= dtype.itemsize  # integers of as many bits as a float are rounded
    try:
        return torch.promote_types(found, dtype) is not dtype
    except RuntimeError:  # float8 and others that promote to nothing
        return True
