"""A model or function as torch's ExportedProgram: operations of torch alone, sizes left open."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import torch

from torchkeras.core import tree
from torchkeras.core.state import state
from torchkeras.core.types import Nest
from torchkeras.export.specs import open_sizes, sample_of
from torchkeras.layers.base.input_spec import InputSpec


class Endpoint(torch.nn.Module):
    """A function as a module. Weights of `modules` that the function uses are parameters of the program."""

    def __init__(self, function: Callable[..., Any], modules: list[torch.nn.Module]) -> None:
        super().__init__()
        self.function = function
        self.tracked = torch.nn.ModuleList(modules)

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


def trace(module: torch.nn.Module, signature: list[Nest[InputSpec]], what: str, **options: Any) -> Any:
    """The module as an ExportedProgram in inference mode, with plain tensors as weights.

    Args:
        module: a model, or an `Endpoint`.
        signature: one entry per positional argument of the module.
        what: the format, for error messages.
        options: arguments of `torch.export.export`. Without `dynamic_shapes`, every size that is `None` in the
            signature stays open.

    Raises:
        ValueError: an option is none of `torch.export.export`.
        RuntimeError: torch can't trace the module.
    """
    # Not read when this file is imported: the name imports torch's compiler.
    known = sorted(set(inspect.signature(torch.export.export).parameters) - {"mod", "args", "kwargs"})
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(
            f'Unsupported arguments for `format="{what}"`: {", ".join(unknown)}. Supported arguments are: '
            f"{', '.join(known)}."
        )
    weight = next(module.parameters(), None)
    device = torch.device("cpu") if weight is None else weight.device
    samples = tuple(tree.map_structure(lambda spec: sample_of(spec, device), signature))
    options = {"strict": False, **options}
    if options.get("dynamic_shapes") is None:
        options["dynamic_shapes"] = _per_argument(module, tuple(tree.map_structure(open_sizes, signature)))
    else:
        options["dynamic_shapes"] = _of_user(module, options["dynamic_shapes"], len(samples))
    try:
        with warnings.catch_warnings(), inference_mode_of(module), torch.no_grad():
            warnings.filterwarnings("ignore", message=".*not properly registered as a submodule.*")
            program = torch.export.export(module, samples, **options)
    except Exception as error:
        raise RuntimeError(
            f"Failed to export {_name(module)} as {what}. Common causes: `if` or a loop over values of a tensor in a "
            f"call(), calls of NumPy, shapes that do not fit the signature. Original error: {error}"
        ) from error
    return _cleaned(program)


def _per_argument(module: torch.nn.Module, shapes: tuple) -> Any:
    """Shapes of positional arguments in torch.export's form: `*args` counts as one argument, a tuple."""
    parameters = inspect.signature(module.forward).parameters.values()
    return (shapes,) if any(p.kind is p.VAR_POSITIONAL for p in parameters) else shapes


def _of_user(module: torch.nn.Module, given: Any, count: int) -> Any:
    """The user's `dynamic_shapes`: for the only argument, a list with an entry per argument, or torch's own form."""
    if isinstance(given, dict):
        named = any(isinstance(key, str) for key in given)
        return given if named or count != 1 else _per_argument(module, (given,))
    if len(given) == 1 and isinstance(given[0], (list, tuple)):
        given = given[0]  # Keras's form for `*args`
    return _per_argument(module, tuple(given))


@contextmanager
def inference_mode_of(module: torch.nn.Module) -> Any:
    """Put the module and its parts in eval mode, and back. Layers whose default is to train, too, are in inference."""
    training, before = [part for part in module.modules() if part.training], state.training
    for part in training:
        part.training = False
    state.training = False
    try:
        yield
    finally:
        state.training = before
        for part in training:
            part.training = True


def _cleaned(program: Any) -> Any:
    """The program with weights of torch's own classes, without paths of this machine in its notes."""
    for store in (program.state_dict, program.constants):
        for name, value in store.items():
            if isinstance(value, torch.Tensor) and type(value) not in (torch.Tensor, torch.nn.Parameter):
                plain = value.detach().as_subclass(torch.Tensor)
                is_parameter = isinstance(value, torch.nn.Parameter)
                store[name] = torch.nn.Parameter(plain, value.requires_grad) if is_parameter else plain
    for graph_module in program.graph_module.modules():
        for node in getattr(getattr(graph_module, "graph", None), "nodes", ()):
            node.meta.pop("stack_trace", None)
    return program


def described(program: Any, names: list[str]) -> str:
    """One line: inputs with their open sizes, and the bytes of the weights."""
    users = set(program.graph_signature.user_inputs)
    nodes = [node for node in program.graph.nodes if node.op == "placeholder" and node.name in users]
    shapes = [
        ["?" if fixed_size(size) is None else size for size in node.meta["val"].shape]
        for node in nodes
        if isinstance(node.meta.get("val"), torch.Tensor)
    ]
    inputs = ", ".join(f"{name} ({', '.join(map(str, shape))})" for name, shape in zip(names, shapes))
    weights = [value for value in program.state_dict.values() if isinstance(value, torch.Tensor)]
    size = sum(weight.numel() * weight.element_size() for weight in weights)
    amount = f"{size / 2**20:.2f} MiB" if size >= 2**17 else f"{size / 2**10:.1f} KiB"
    return f"inputs {inputs}; {len(weights)} weights, {amount}"


def fixed_size(size: int | torch.SymInt) -> int | None:
    """The size, where it is a number; a symbol that tracing fixed still is a SymInt, which prints the number."""
    return int(str(size)) if str(size).isdigit() else None


def fixed_sizes(program: Any, signature: list[Nest[InputSpec]], names: list[str]) -> list[str]:
    """Inputs with a size that the signature leaves open and that the traced model fixed."""
    users = list(program.graph_signature.user_inputs)
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    found = []
    for name, user, spec in zip(names, users, tree.flatten(signature)):
        value = nodes[user].meta.get("val") if isinstance(user, str) and user in nodes else None
        if isinstance(value, torch.Tensor):
            axes = [i for i, size in enumerate(spec.shape) if size is None and fixed_size(value.shape[i]) is not None]
            found += [f"axis {axis} of {name!r} (fixed to {value.shape[axis]})" for axis in axes]
    return found


def _name(module: torch.nn.Module) -> str:
    return f"model {getattr(module, 'name', None) or type(module).__name__!r}"
