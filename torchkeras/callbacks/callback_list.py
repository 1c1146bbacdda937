"""The callbacks of one call, called together; a hook that nobody overrides is never called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torchkeras.callbacks.callback import Callback
from torchkeras.callbacks.history import History
from torchkeras.callbacks.optimizer_epochs import OptimizerEpochs
from torchkeras.callbacks.progbar_logger import ProgbarLogger
from torchkeras.callbacks.run import Run
from torchkeras.core import tree
from torchkeras.reporting.logs import Logs

HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))
_OLDER_NAMES = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}


class CallbackList(Callback):
    """A list of callbacks that is itself one.

    Args:
        callbacks: a callback or a (nested) list of them.
        add_history: whether to add a `History` where there is none.
        add_progbar: whether to add a `ProgbarLogger` where there is none.
        model: the model they get.
        params: what their `set_params` gets.
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        super().__init__()
        self.callbacks: list[Any] = tree.flatten(callbacks) if callbacks else []
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

    def append(self, callback: Any) -> None:
        """Add a callback at the end."""
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
            if hasattr(callback, "set_callbacks"):
                callback.set_callbacks(self.callbacks)

    def set_run(self, run: Run) -> None:
        """Hand the training in progress to the callbacks that want it: those with a method `set_run`."""
        for callback in self.callbacks:
            if hasattr(callback, "set_run"):
                callback.set_run(run)

    # ------------------------------------------------------------------ what the loop asks

    @property
    def watches_train_batches(self) -> bool:
        """Whether anybody wants to hear of the batches of `fit`."""
        return self._watches("train")

    @property
    def watches_test_batches(self) -> bool:
        return self._watches("test")

    @property
    def watches_predict_batches(self) -> bool:
        return self._watches("predict")

    @property
    def only_progress_watches(self) -> bool:
        """Whether the progress bar, which looks a few times a second, is alone in reading the logs of batches."""
        ends = [hook for stage in ("train", "test") for hook in self._hooks[f"on_{stage}_batch_end"]]
        return all(isinstance(getattr(hook, "__self__", None), ProgbarLogger) for hook in ends)

    def _watches(self, stage: str) -> bool:
        return bool(self._hooks[f"on_{stage}_batch_begin"] or self._hooks[f"on_{stage}_batch_end"])

    # ------------------------------------------------------------------ calling

    def _find(self, kind: type) -> Any:
        return next((callback for callback in reversed(self.callbacks) if isinstance(callback, kind)), None)

    def _collect(self) -> None:
        """Note for each hook which callbacks override it."""
        ordered = sorted(self.callbacks, key=lambda callback: getattr(callback, "runs_last", False))
        self._hooks = {name: [f for c in ordered if (f := _own_hook(c, name))] for name in HOOKS}

    def _call(self, name: str, logs: Any, *place: int) -> None:
        hooks = self._hooks[name]
        if hooks:
            if not isinstance(logs, Logs):
                logs = Logs(logs or {})
            for hook in hooks:
                hook(*place, logs)

    def on_train_begin(self, logs: Any = None) -> None:
        self._collect()
        self._call("on_train_begin", logs)
        self._collect()  # what a callback found there may give it work

    def on_train_end(self, logs: Any = None) -> None:
        self._call("on_train_end", logs)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._call("on_epoch_begin", logs, epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._call("on_epoch_end", logs, epoch)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._call("on_train_batch_begin", logs, batch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._call("on_train_batch_end", logs, batch)

    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._call("on_batch_begin", logs, batch)

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        self._call("on_batch_end", logs, batch)

    def on_test_begin(self, logs: Any = None) -> None:
        self._collect()
        self._call("on_test_begin", logs)

    def on_test_end(self, logs: Any = None) -> None:
        self._call("on_test_end", logs)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._call("on_test_batch_begin", logs, batch)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self._call("on_test_batch_end", logs, batch)

    def on_predict_begin(self, logs: Any = None) -> None:
        self._collect()
        self._call("on_predict_begin", logs)

    def on_predict_end(self, logs: Any = None) -> None:
        self._call("on_predict_end", logs)

    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._call("on_predict_batch_begin", logs, batch)

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self._call_with_outputs("on_predict_batch_end", logs, batch)

    def _call_with_outputs(self, name: str, logs: Any, batch: int) -> None:
        for hook in self._hooks[name]:  # outputs are arrays of the user's: nothing to read late
            hook(batch, logs if logs is not None else {})


def _own_hook(callback: Any, name: str) -> Callable | None:
    """The callback's own method for a hook, `None` where it has only the one that does nothing."""
    hook = getattr(callback, name, None)
    function = getattr(hook, "__func__", hook)
    if function is None or getattr(function, "_is_default", False):  # Keras marks its empty hooks so
        return None
    if function in getattr(callback, "idle_hooks", ()):
        return None
    if function is not getattr(Callback, name):
        return hook
    return _own_hook(callback, _OLDER_NAMES[name]) if name in _OLDER_NAMES else None
