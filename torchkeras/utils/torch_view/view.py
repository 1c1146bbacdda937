"""`torch_view`: a model's layers as modules of `torch.nn`, for tools that look for those."""

from __future__ import annotations

from typing import Literal, Self

from torch import nn

from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.weight_walk import layer_tree
from torchkeras.optimizers.optimizer import Optimizer
from torchkeras.training.state import optimizer_of, state_of
from torchkeras.utils.torch_view.forms import form_of, viewed_class
from torchkeras.utils.torch_view.layers import Swap, ViewedLayer

Changed = Literal["keep", "merge", "refuse"]


class TorchView:
    """The layers of a model that are shown as modules of `torch.nn`, until the view is closed; see `torch_view`.

    Used in a `with` statement it is closed at the end.

    Attributes:
        modules: the torch modules by their names in the model, as `named_modules()` has them.
        left_alone: the reasons why layers of these kinds are not shown, by the layers' names.

    Args:
        model: a built model or layer.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")])
        >>> view = keras.utils.torch_view(model)
        >>> view.modules
        {'head.linear': Linear(in_features=4, out_features=2, bias=True)}
        >>> view.close()
        >>> list(model.state_dict())
        ['head.kernel', 'head.bias']
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self.left_alone: dict[str, str] = {}
        found = [layer for layer in layer_tree(model) if isinstance(layer, Layer)]
        unbuilt = [layer.name for layer in found if form_of(layer) is not None and not layer.built]
        if unbuilt:
            raise ValueError(
                f"torch_view shows weights, and these layers have none yet: {unbuilt}. Build the model first, by "
                "build() or by calling it on data."
            )
        entered: list[ViewedLayer] = []
        for layer in found:
            if isinstance(layer, ViewedLayer) or (form := form_of(layer)) is None:
                continue
            reason = form.refusal(layer)
            if reason is not None:
                self.left_alone[layer.name] = reason
                continue
            layer.__class__ = viewed_class(type(layer))  # type: ignore[arg-type]
            layer._tk_enter()
            entered.append(layer)  # type: ignore[arg-type]
        _carry_over(model, [swap for layer in entered for swap in layer._tk_swaps()])

    @property
    def _layers(self) -> list[ViewedLayer]:
        return [layer for layer in layer_tree(self._model) if isinstance(layer, ViewedLayer)]

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The torch modules by their names in the model."""
        wanted = {id(layer._tk_torch_module()) for layer in self._layers}
        return {name: module for name, module in self._model.named_modules() if id(module) in wanted}

    @property
    def changed(self) -> dict[str, nn.Module]:
        """The modules, by name, that a tool replaced or changed: by another class, hooks or other kinds of weights."""
        touched = {id(layer._tk_torch_module()) for layer in self._layers if not layer._tk_is_untouched()}
        return {name: module for name, module in self.modules.items() if id(module) in touched}

    def close(self, changed: Changed = "keep") -> None:
        """Make Keras layers of the torch modules again, with the values that their weights have now.

        Args:
            changed: what to do with modules that a tool replaced or changed. `"keep"`: they stay, and their layers
                compute with them. `"merge"`: the weights with which a module computes (an adapter added in, quantized
                values as floats) become the layer's, and the module goes. `"refuse"`: an error. Default: `"keep"`.

        Raises:
            ValueError: `changed` is `"refuse"` and there are such modules, or it is `"merge"` and one of them is not
                linear in its inputs. No layer has been changed back then.
        """
        if changed not in ("keep", "merge", "refuse"):
            raise ValueError(f"changed must be 'keep', 'merge' or 'refuse'; received {changed!r}.")
        names = list(self.changed)
        if names and changed == "refuse":
            raise ValueError(
                f"A tool replaced or changed the modules {names}. Close the view with 'keep', so that they stay in the "
                "model, or with 'merge', so that the layers get the weights with which they compute."
            )
        folded = [layer for layer in self._layers if changed == "merge" or layer._tk_is_untouched()]
        values = [layer._tk_values() for layer in folded]
        swaps = [swap.reversed() for layer in folded for swap in layer._tk_swaps()]
        for layer, weights in zip(folded, values):
            layer._tk_leave(weights)
            layer.__class__ = layer.own_class  # type: ignore[assignment]
        _carry_over(self._model, swaps)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _carry_over(model: nn.Module, swaps: list[Swap]) -> None:
    """Give a compiled model's snapshot and optimizer the parameters that took the places of others."""
    replaced = {id(swap.old): swap.new for swap in swaps}
    state = state_of(model)
    if state.snapshot is not None:
        state.snapshot.replace(replaced)
    optimizer = optimizer_of(model)
    if isinstance(optimizer, Optimizer):
        optimizer._tk_replace_variables(replaced, {id(swap.old): swap.change for swap in swaps})


def torch_view(model: nn.Module) -> TorchView:
    """Show the layers of a model to torch's tools as `nn.Linear`, `nn.Conv1d` to `nn.Conv3d` and `nn.Embedding`.

    Tools that look for those classes (torchao, PEFT, `parallelize_module`, `torch.ao.quantization`) find them in the
    places of `Dense`, of `EinsumDense` where its equation is one matrix product, of `Conv1D` to `Conv3D` and their
    depthwise and transposed kinds, and of `Embedding`: as the attributes `linear`, `conv` and `embedding` of the
    layers. The weights are torch's, such as `(out, in)`, and share the memory of the layers' weights: training one
    trains the other. The model is called, trained and saved as before. An optimizer of Keras goes along with its
    state, one of torch needs another `compile()`.

    A module that a tool replaced stays in the model when the view is closed, unless it is merged: see
    `TorchView.close`. Files of a model hold the weights with which it computes, in Keras's form. This function is an
    addition of torchkeras.

    Args:
        model: a built model or layer. It is changed in place.

    Returns:
        A `TorchView`, which a `with` statement closes at its end.

    Raises:
        ValueError: a layer has no weights yet.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")])
        >>> with keras.utils.torch_view(model):
        ...     _ = model.head.linear.weight.data.fill_(1.0)
        >>> model.layers[0].kernel.sum().item()
        8.0
    """
    return TorchView(model)
