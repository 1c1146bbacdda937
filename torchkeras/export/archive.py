"""`Model.export`, and archives of several functions of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from torchkeras.core import tree
from torchkeras.core.types import Nest
from torchkeras.core.variables.variable import Variable
from torchkeras.distributed import is_main_process
from torchkeras.distributed.sharded_weights import refuse_parts
from torchkeras.export.formats import find_format, write_torch
from torchkeras.export.program import Endpoint, described, fixed_sizes, trace
from torchkeras.export.specs import input_names, input_signature_of, make_input_spec
from torchkeras.layers.base.layer import Layer
from torchkeras.reporting.progress import announce
from torchkeras.saving.safety.atomic import replacing


def export_model(
    model: Layer,
    filepath: str | Path,
    format: str = "tf_saved_model",
    verbose: bool | None = None,
    input_signature: Sequence[Nest[Any]] | None = None,
    **kwargs: Any,
) -> None:
    """Write a model in a format that runs without this library; `Model.export` says what the arguments mean."""
    refuse_parts(model, "export()")
    path = Path(filepath)
    name, found = find_format(format, path)
    own = {option: kwargs.pop(option) for option in found.options if option in kwargs}
    signature = _signature(model, input_signature)
    program = trace(model, signature, name, **kwargs)
    names = input_names(signature)
    if is_main_process():
        found.write(program, path, names, **own)
    if verbose is None or verbose:
        announce(f"Saved {found.title} at {str(path)!r}: {described(program, names)}.")
        fixed = fixed_sizes(program, signature, names) if "dynamic_shapes" not in kwargs else []
        if fixed:
            announce(f"The model runs for one size only of {', '.join(fixed)}: its operations fix it.")


def _signature(model: Layer, given: Sequence[Nest[Any]] | None) -> list[Nest[Any]]:
    if given is None:
        return input_signature_of(model)
    if not isinstance(given, (list, tuple)):
        given = [given]
    return [tree.map_structure(make_input_spec, entry) for entry in given]


class ExportArchive:
    """Write several functions of a model ("endpoints"), each as a program that runs without this library.

    `write_out` makes a folder with a file `<endpoint>.pt2` for each endpoint, which `torch.export.load` reads, and a
    file `<collection>.safetensors` for each variable collection. (Keras writes a TensorFlow SavedModel.)

    Example:
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        >>> archive = keras.export.ExportArchive()
        >>> archive.track(model)
        >>> doubled = archive.add_endpoint("doubled", lambda x: 2 * model(x), [keras.InputSpec("float32", (None, 3))])
        >>> archive.write_out("archive", verbose=False)
        >>> program = torch.export.load("archive/doubled.pt2")
        >>> program.module()(torch.ones(4, 3)).shape
        torch.Size([4, 2])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args or kwargs:
            raise TypeError(f"ExportArchive() takes no arguments; received {(*args, *kwargs)}.")
        self._modules: list[torch.nn.Module] = []
        self._programs: dict[str, tuple[Any, list[str]]] = {}
        self._collections: dict[str, list[Variable]] = {}

    @property
    def variables(self) -> list[Variable]:
        """The variables of all tracked layers."""
        return self._each("variables")

    @property
    def trainable_variables(self) -> list[Variable]:
        """The trainable variables of all tracked layers."""
        return self._each("trainable_variables")

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The other variables of all tracked layers."""
        return self._each("non_trainable_variables")

    def _each(self, what: str) -> list[Variable]:
        found = {id(v): v for layer in self._modules if isinstance(layer, Layer) for v in getattr(layer, what)}
        return list(found.values())

    def track(self, resource: torch.nn.Module) -> None:
        """Make the weights of a layer, model or torch module known to the endpoints that use them.

        Args:
            resource: a built layer or model, or a torch module.

        Raises:
            ValueError: it is none of these, or not built.
        """
        if not isinstance(resource, torch.nn.Module):
            raise ValueError(
                f"Invalid resource type. Expected a Keras `Layer` or `Model` or a torch module. Received object "
                f"{resource} of type '{type(resource)}'."
            )
        if isinstance(resource, Layer) and not resource.built:
            raise ValueError(
                f"The layer {resource.name!r} provided has not yet been built. It must be built before export."
            )
        if all(resource is not known for known in self._modules):
            self._modules.append(resource)

    def add_endpoint(
        self, name: str, fn: Callable[..., Any], input_signature: Sequence[Nest[Any]] | None = None, **kwargs: Any
    ) -> Callable[..., Any]:
        """Trace a function of tensors.

        Args:
            name: name of the endpoint, and of its file.
            fn: a model or layer, or a function of tensors. Weights that it uses stay parameters of the program if their
                layer is tracked; else they become constants of it.
            input_signature: list with an entry per positional argument: `keras.InputSpec`, `KerasTensor` or a tensor,
                or a nest of them. Sizes `None` stay open. Default: `None`, the inputs of the model.
            **kwargs: arguments of `torch.export.export`: `strict`, `dynamic_shapes`.

        Returns:
            The traced function, a module.

        Raises:
            ValueError: the name is taken, or the inputs are not known.
            RuntimeError: the function can't be traced.
        """
        if name in self._programs:
            raise ValueError(f"Endpoint name '{name}' is already taken.")
        if not name or Path(name).name != name:
            raise ValueError(f"The name of an endpoint is the name of its file; received {name!r}.")
        is_layer = isinstance(fn, Layer)
        if input_signature is None and not is_layer:
            raise ValueError(
                f"add_endpoint({name!r}, fn) needs input_signature=[keras.InputSpec(dtype, shape), ...]: only a built "
                f"model knows its inputs; received fn={fn!r}."
            )
        if isinstance(fn, Layer):
            self.track(fn)
            signature = _signature(fn, input_signature)
        else:
            assert input_signature is not None
            signature = [tree.map_structure(make_input_spec, entry) for entry in input_signature]
        module = fn if isinstance(fn, torch.nn.Module) else Endpoint(fn, self._modules)
        program = trace(module, signature, "torch", **kwargs)
        self._programs[name] = (program, input_names(signature))
        return program.module()

    def track_and_add_endpoint(
        self, name: str, resource: Layer, input_signature: Sequence[Nest[Any]], **kwargs: Any
    ) -> Callable[..., Any]:
        """Track a layer or model, and trace its call.

        Args:
            name: name of the endpoint.
            resource: a built layer or model.
            input_signature: as in `add_endpoint`.
            **kwargs: as in `add_endpoint`.

        Returns:
            The traced function, a module.
        """
        self.track(resource)
        return self.add_endpoint(name, resource, input_signature, **kwargs)

    def add_variable_collection(self, name: str, variables: Sequence[Variable]) -> None:
        """Write variables as a file of their own, under their paths.

        Args:
            name: name of the collection, and of its file.
            variables: list, tuple or set of variables.

        Raises:
            ValueError: `variables` is none of these, or holds something else.
        """
        if not isinstance(variables, (list, tuple, set)):
            raise ValueError(
                f"Expected `variables` to be a list/tuple/set. Received instead object of type '{type(variables)}'."
            )
        if not all(isinstance(variable, torch.Tensor) for variable in variables):
            raise ValueError(
                f"Expected all elements in `variables` to be variables. Found instead the following types: "
                f"{sorted({type(variable).__name__ for variable in variables})}"
            )
        self._collections[name] = list(variables)

    def write_out(self, filepath: str | Path, options: dict[str, Any] | None = None, verbose: bool = True) -> None:
        """Write the endpoints and collections into a folder.

        Args:
            filepath: path of the folder; it is made where it is missing.
            options: not used; it must be `None`. Default: `None`.
            verbose: whether to print the endpoints. Default: `True`.

        Raises:
            ValueError: there are no endpoints, or `options` are given.
        """
        if not self._programs:
            raise ValueError("No endpoints have been set yet. Call add_endpoint().")
        if options is not None:
            raise ValueError(
                f"options are those of TensorFlow's SavedModel, and mean nothing here; received {options!r}."
            )
        folder = Path(filepath)
        if is_main_process():
            folder.mkdir(parents=True, exist_ok=True)
            for name, (program, names) in self._programs.items():
                write_torch(program, folder / f"{name}.pt2", names)
            for name, variables in self._collections.items():
                values = {v.path: v.detach().as_subclass(torch.Tensor).contiguous() for v in variables}
                with replacing(folder / f"{name}.safetensors") as file:
                    file.write(safetensors.torch.save(values))
        if verbose:
            for name, (program, names) in self._programs.items():
                announce(f"Endpoint {name!r} of {str(folder)!r}: {described(program, names)}.")
