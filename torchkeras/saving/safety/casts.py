"""Values of a file that a weight of another type can't hold as they are: rounded ones are named, others refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

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

    def problem_after(
        self,
        read: Mapping[str, str],
        variables: Sequence[tuple[str, torch.Tensor]],
        value_of: Callable[[str], np.ndarray],
    ) -> str | None:
        """Compare what an object's own `load_own_variables` read with what its variables hold now.

        A variable that holds exactly what a cast makes of a value was filled by that cast.

        Args:
            read: the names of the types of the values that were read, by key.
            variables: names and variables of the object.
            value_of: reads the value of a key again.

        Returns:
            The reason why a variable can't take its value; `None` if all can. Rounded values are noted.
        """
        for key, dtype in read.items():
            if not any(may_lose(dtype, variable.dtype) for _, variable in variables):
                continue
            value = value_of(key)
            found = _filled_by(key, value, variables)
            if found is not None and _is_cast_of(found[1], value):
                problem = self.problem(found[0], value, found[1])
                if problem is not None:
                    return problem
        return None

    def warn(self) -> None:
        """Name the weights whose values were rounded, if there are any."""
        if self._rounded:
            shown = ", ".join(self._rounded[:5]) + (", ..." if len(self._rounded) > 5 else "")
            warn_user(
                f"Values of {len(self._rounded)} weights of {self.file_name} were rounded, because the model's types "
                f"are narrower than the file's: {shown}."
            )


def _filled_by(
    key: str, value: np.ndarray, variables: Sequence[tuple[str, torch.Tensor]]
) -> tuple[str, torch.Tensor] | None:
    """The variable that a value belongs to: that of its number, as in Keras's files, else the only one of its shape."""
    if key.isdecimal() and int(key) < len(variables) and tuple(variables[int(key)][1].shape) == value.shape:
        return variables[int(key)]
    fitting = [one for one in variables if tuple(one[1].shape) == value.shape]
    return fitting[0] if len(fitting) == 1 else None


def _is_cast_of(variable: torch.Tensor, value: np.ndarray) -> bool:
    """Whether a variable holds what torch's or NumPy's cast makes of a value."""
    held = variable.detach().as_subclass(torch.Tensor).cpu()
    given = torch.from_numpy(np.array(value, value.dtype.newbyteorder("=")))
    if given.is_complex() and not held.is_complex():
        given = given.real
    return bool(torch.equal(held.nan_to_num(), given.to(held.dtype).nan_to_num()))


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
