"""LambdaCallback: hooks given as functions."""

from __future__ import annotations

from collections.abc import Callable

from torchkeras.callbacks.callback import Callback, HookLogs
from torchkeras.core.nearest_names import did_you_mean
from torchkeras.core.user_warnings import warn_user


class LambdaCallback(Callback):
    """A callback made of functions.

    Args:
        on_epoch_begin: called with `epoch, logs` when an epoch begins. Default: `None`.
        on_epoch_end: called with `epoch, logs` when an epoch ends. Default: `None`.
        on_train_begin: called with `logs` when `fit` begins. Default: `None`.
        on_train_end: called with `logs` when `fit` ends. Default: `None`.
        on_train_batch_begin: called with `batch, logs` before each batch. Default: `None`.
        on_train_batch_end: called with `batch, logs` after each batch. Default: `None`.
        **kwargs: other hooks of `Callback` by name, and other attributes of the callback.

    Example:
        >>> epochs = []
        >>> callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=3, callbacks=[callback], verbose=0)
        >>> epochs
        [0, 1, 2]
    """

    def __init__(
        self,
        on_epoch_begin: Callable[[int, HookLogs], object] | None = None,
        on_epoch_end: Callable[[int, HookLogs], object] | None = None,
        on_train_begin: Callable[[HookLogs], object] | None = None,
        on_train_end: Callable[[HookLogs], object] | None = None,
        on_train_batch_begin: Callable[[int, HookLogs], object] | None = None,
        on_train_batch_end: Callable[[int, HookLogs], object] | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__()
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        known = [name for name in vars(Callback) if name.startswith("on_")]
        for name in kwargs:
            if name.startswith("on_") and name not in known:
                warn_user(
                    f"LambdaCallback: no hook is called {name!r}, so nothing calls it.{did_you_mean(name, known)}"
                )
        self.__dict__.update({name: hook for name, hook in given.items() if hook is not None}, **kwargs)
