"""Whether operations may be replaced by others that give the same numbers: nobody follows them."""

from __future__ import annotations

from torchkeras.core.state import state
from torchkeras.core.torch_internals import (
    count_dispatch_modes,
    count_function_modes,
    forward_ad,
    in_functorch_transform,
    tracing_state,
)


def is_unseen() -> bool:
    """Whether no tracer, no mode and no transform of torch follows the operations of this thread.

    Forward-mode gradients count, too: `torch.no_grad()` does not switch them off. Compiled code must not ask. A call
    that is run again for its intermediate results gets the answer of its first run, since it must compute the same.
    """
    if state.unseen is not None:
        return state.unseen
    return (
        tracing_state() is None
        and count_dispatch_modes() == 0
        and count_function_modes() == state.own_modes
        and not in_functorch_transform()
        and getattr(forward_ad, "_current_level", 0) < 0
    )
