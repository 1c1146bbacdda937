"""GradientNorm: the norm of all gradients in the logs."""

from __future__ import annotations

import torch

from torchkeras.callbacks.callback import Callback, HookLogs


class GradientNorm(Callback):
    """Add the norm of all gradients together, `(sum of g**2) ** 0.5`, to the logs. Keras has no such callback.

    The gradients are those that the optimizer gets, before it clips them, freed of a loss scale. The logs of an epoch
    have the mean over the batches that were looked at, as `gradient_norm`, and the largest one, as
    `gradient_norm_max`. Nobody waits for the device before the end of the epoch. With several processes the norm is
    that of the reduced gradients, but for the first batch of `fit`, where it is that of this rank's share, and for
    weights in parts, where it is that of this rank's parts.

    Args:
        every: batches from one look to the next. Default: `10`.
        by_layer: whether to add the mean norm of each weight, as `gradient_norm/<path>`. Default: `False`.

    Raises:
        ValueError: `every` is not positive.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="zeros")])
        >>> model.compile("sgd", "mse")
        >>> norm = keras.callbacks.GradientNorm()
        >>> history = model.fit(np.ones((4, 2)), np.ones((4, 1)), callbacks=[norm], verbose=0)
        >>> round(history.history["gradient_norm"][0], 3)  # 2 * 3 ** 0.5
        3.464
    """

    def __init__(self, every: int = 10, by_layer: bool = False) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"`every` must be a positive number of batches; received {every}.")
        self.every = every
        self.by_layer = by_layer
        self._due = 0
        self._norms: list[torch.Tensor] = []
        self._parts: dict[str, list[torch.Tensor]] = {}

    def on_epoch_begin(self, epoch: int, logs: HookLogs | None = None) -> None:
        self._norms, self._parts, self._due = [], {}, 0

    def on_train_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        if batch < self._due:
            return
        self._due = batch + self.every
        weights = [weight for weight in self.model.trainable_weights if weight.grad is not None]
        if not weights:
            return
        with torch.no_grad():
            norms = [torch.linalg.vector_norm(weight.grad, dtype=torch.float32) for weight in weights]
            scale = self._loss_scale()
            norms = norms if scale is None else [norm / scale for norm in norms]
            self._norms.append(torch.linalg.vector_norm(torch.stack([norm.to(norms[0].device) for norm in norms])))
        if self.by_layer:
            for weight, norm in zip(weights, norms):
                self._parts.setdefault(weight.path, []).append(norm)

    def on_epoch_end(self, epoch: int, logs: HookLogs | None = None) -> None:
        if logs is None or not self._norms:
            return
        found = torch.stack(self._norms)
        logs["gradient_norm"], logs["gradient_norm_max"] = float(found.mean()), float(found.max())
        for path, norms in self._parts.items():
            logs[f"gradient_norm/{path}"] = float(torch.stack(norms).mean())

    def _loss_scale(self) -> torch.Tensor | None:
        """The factor in the gradients, as it is after the step."""
        scale = getattr(self.model.optimizer, "dynamic_scale", None)
        if scale is None:
            return None
        value = scale if isinstance(scale, torch.Tensor) else getattr(scale, "value", scale)
        return torch.as_tensor(value).detach()
