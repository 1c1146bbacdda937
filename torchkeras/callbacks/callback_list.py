"""The callbacks of one call, called together; a hook that no callback overrides is never called."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from torchkeras.callbacks.callback import Callback, HookLogs
from torchkeras.callbacks.history import History
from torchkeras.callbacks.optimizer_epochs import OptimizerEpochs
from torchkeras.callbacks.progbar_logger import ProgbarLogger
from torchkeras.callbacks.run import Run
from torchkeras.core import tree
from torchkeras.core.types import Nest
from torchkeras.reporting.logs import Logs

HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))
_OLDER_NAMES = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}


class CallbackList(Callback):
    """A list of callbacks that is itself a callback: each of its hooks calls those of its members.

    Args:
        callbacks: a callback, or a (nested) list of them. Default: `None`.
        add_history: whether to add a `History` if there is none in the list. Default: `False`.
        add_progbar: whether to add a `ProgbarLogger` if there is none in the list. Default: `False`.
        model: the model that the callbacks get. Default: `None`.
        **params: what the callbacks' `set_params` gets: `verbose`, `epochs`, `steps`.

    Raises:
        TypeError: something in the list is no callback: a function, say, or a class that was not called.

    Example:
        >>> history = keras.callbacks.History()
        >>> callbacks = keras.callbacks.CallbackList([history], model=keras.Sequential(), epochs=1)
        >>> callbacks.on_epoch_end(0, {"loss": 0.5})
        >>> history.history
        {'loss': [0.5]}
    """

    def __init__(
        self,
        callbacks: Nest[Callback] | None = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        super().__init__()
        self.callbacks: list[Any] = tree.flatten(callbacks) if callbacks else []
        for callback in self.callbacks:
            _check_is_callback(callback)
        self._history = self._find(History)
        if self._history is None and add_history:
            self._history = History()
            self.callbacks.append(self._history)
        if add_history and OptimizerEpochs.is_wanted(model):
            self.callbacks.append(OptimizerEpochs())
        if self._find(ProgbarLogger) is None and add_progbar:
            self.callbacks.append(ProgbarLogger())
        self.set_model(model)
        self.set_params(params)
        self._collect()

    def append(self, callback: Callback) -> None:
        """Add a callback at the end.

        Args:
            callback: the callback.

        Raises:
            TypeError: it is no callback.
        """
        _check_is_callback(callback)
        self.callbacks.append(callback)
        if self._model is not None:
            callback.set_model(self._model)
        if self.params:
            callback.set_params(self.params)
        self._collect()

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params
        if params:
            for callback in self.callbacks:
                callback.set_params(params)

    def set_model(self, model: Any) -> None:
        if model is None:
            return
        super().set_model(model)
        if self._history is not None:
            self.model.history = self._history
        for callback in self.callbacks:
            callback.set_model(model)
            if hasattr(callback, "_tk_set_callbacks"):
                callback._tk_set_callbacks(self.callbacks)

    def _tk_set_run(self, run: Run) -> None:
        """Hand the training in progress to the callbacks that have a method `set_run`.

        Args:
            run: the call of `fit`, `evaluate` or `predict`.
        """
        for callback in self.callbacks:
            if hasattr(callback, "_tk_set_run"):
                callback._tk_set_run(run)

    def _tk_set_exits(self, exits: ExitStack) -> None:
        """Hand the functions to call when `fit`, `evaluate` or `predict` ends, also by an error, to the callbacks.

        Args:
            exits: takes such functions.
        """
        for callback in self.callbacks:
            if hasattr(callback, "_tk_set_exits"):
                callback._tk_set_exits(exits)

    # ------------------------------------------------------------------ what the loop asks

    @property
    def watches_train_batches(self) -> bool:
        """Whether any callback has a hook for the batches of `fit`."""
        return self._watches("train")

    @property
    def watches_test_batches(self) -> bool:
        """Whether any callback has a hook for the batches of `evaluate`."""
        return self._watches("test")

    @property
    def watches_predict_batches(self) -> bool:
        """Whether any callback has a hook for the batches of `predict`."""
        return self._watches("predict")

    @property
    def only_progress_watches(self) -> bool:
        """Whether only the progress bar, which looks a few times per second, reads the logs of batches."""
        ends = [hook for stage in ("train", "test") for hook in self._hooks[f"on_{stage}_batch_end"]]
        return all(isinstance(getattr(hook, "__self__", None), ProgbarLogger) for hook in ends)

    @property
    def acts_on_train_batches(self) -> bool:
        """Whether a callback other than the progress bar is called between the batches of `fit`."""
        return bool(self._hooks["on_train_batch_begin"]) or not self.only_progress_watches

    @property
    def acts_on_test_batches(self) -> bool:
        """Whether a callback other than the progress bar is called between the batches of `evaluate`."""
        return bool(self._hooks["on_test_batch_begin"]) or not self.only_progress_watches

    def _watches(self, stage: str) -> bool:
        return bool(self._hooks[f"on_{stage}_batch_begin"] or self._hooks[f"on_{stage}_batch_end"])

    # ------------------------------------------------------------------ calling

    def _find(self, kind: type) -> Any:
        return next((callback for callback in reversed(self.callbacks) if isinstance(callback, kind)), None)

    def _collect(self) -> None:
        """Keep, for each hook, the methods of the callbacks that override it."""
        ordered = sorted(self.callbacks, key=lambda callback: getattr(callback, "runs_last", False))
        self._hooks = {name: [f for c in ordered if (f := _own_hook(c, name))] for name in HOOKS}

    def _call(self, name: str, logs: HookLogs | None, *place: int) -> None:
        hooks = self._hooks[name]
        if hooks:
            if not isinstance(logs, Logs):
                logs = Logs(logs or {})
            for hook in hooks:
                hook(*place, logs)

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        self._collect()
        self._call("on_train_begin", logs)
        self._collect()  # a callback may have set itself up there for hooks that it had no work for

    def on_train_end(self, logs: HookLogs | None = None) -> None:
        self._call("on_train_end", logs)

    def on_epoch_begin(self, epoch: int, logs: HookLogs | None = None) -> None:
        self._call("on_epoch_begin", logs, epoch)

    def on_epoch_end(self, epoch: int, logs: HookLogs | None = None) -> None:
        self._call("on_epoch_end", logs, epoch)

    def on_train_batch_begin(self, batch: int, logs: HookLogs | None = None) -> None:
        self._call("on_train_batch_begin", logs, batch)

    def on_train_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        self._call("on_train_batch_end", logs, batch)

    def on_batch_begin(self, batch: int, logs: HookLogs | None = None) -> None:
        self._call("on_batch_begin", logs, batch)

    def on_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        self._call("on_batch_end", logs, batch)

    def on_test_begin(self, logs: HookLogs | None = None) -> None:
        self._collect()
        self._call("on_test_begin", logs)

    def on_test_end(self, logs: HookLogs | None = None) -> None:
        self._call("on_test_end", logs)

    def on_test_batch_begin(self, batch: int, logs: HookLogs | None = None) -> None:
        self._call("on_test_batch_begin", logs, batch)

    def on_test_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        self._call("on_test_batch_end", logs, batch)

    def on_predict_begin(self, logs: HookLogs | None = None) -> None:
        self._collect()
        self._call("on_predict_begin", logs)

    def on_predict_end(self, logs: HookLogs | None = None) -> None:
        self._call("on_predict_end", logs)

    def on_predict_batch_begin(self, batch: int, logs: HookLogs | None = None) -> None:
        self._call("on_predict_batch_begin", logs, batch)

    def on_predict_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        self._call_with_outputs("on_predict_batch_end", logs, batch)

    def _call_with_outputs(self, name: str, logs: HookLogs | None, batch: int) -> None:
        for hook in self._hooks[name]:  # outputs are arrays: there is nothing to read later
            hook(batch, logs if logs is not None else {})


def _check_is_callback(callback: object) -> None:
    """Raise `TypeError` if an object can't be called as callbacks are."""
    if isinstance(callback, type):
        raise TypeError(f"callbacks must be Callback instances; received the class {callback.__name__}: call it first.")
    if all(callable(getattr(callback, name, None)) for name in ("set_params", "set_model")):
        return
    remedy = "a Callback has the hooks"
    if callable(callback):
        remedy = "wrap a function, as in LambdaCallback(on_epoch_end=function)"
    raise TypeError(
        f"callbacks must be Callback instances; received {callback!r} (of type {type(callback).__name__}): {remedy}."
    )


def _own_hook(callback: object, name: str) -> Callable | None:
    """The callback's own method for a hook; `None` if it has only the one that does nothing."""
    hook = getattr(callback, name, None)
    function = getattr(hook, "__func__", hook)
    if function is None or getattr(function, "_is_default", False):  # Keras marks its empty hooks so
        return None
    if function in getattr(callback, "idle_hooks", ()):
        return None
    if function is not getattr(Callback, name):
        return hook
    return _own_hook(callback, _OLDER_NAMES[name]) if name in _OLDER_NAMES else None
