"""The source of a torch module, as it is being written: constructor, forward, and the tensors that go into it."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from torchkeras.layers.base.layer import Layer
from torchkeras.saving.plain_torch.snippets import SNIPPETS

Sizes = tuple[int | None, ...]


class NoCounterpartError(ValueError):
    """A layer, or a use of it, that no torch module of this kind can express; the message is the reason."""


@dataclass(frozen=True)
class Value:
    """A tensor in the source.

    Attributes:
        code: an expression; a variable's name once it is assigned.
        shape: as in Keras, with `None` for sizes that are not known.
        swapped: whether the channels, last in Keras, stand behind the batch axis in torch.
        mask: a variable with the mask that goes with the tensor.
    """

    code: str
    shape: Sizes = ()
    swapped: bool = False
    mask: str | None = None

    def of(self, code: str, swapped: bool | None = None) -> Value:
        """Another value in its place, with the same mask."""
        return replace(self, code=code, swapped=self.swapped if swapped is None else swapped)

    @property
    def rank(self) -> int:
        return len(self.shape)

    def axis(self, axis: int) -> int:
        """Where an axis of Keras's stands in the tensor."""
        axis = axis % self.rank if axis < 0 else axis
        if not self.swapped or axis == 0:
            return axis
        return 1 if axis == self.rank - 1 else axis + 1


def in_keras_order(value: Value) -> Value:
    """The value with its channels last, where Keras has them."""
    return value.of(f"{value.code}.movedim(1, -1)", swapped=False) if value.swapped else value


def channels_second(value: Value) -> Value:
    """The value with its last axis behind the batch axis."""
    if value.swapped or value.rank < 3:
        return value
    return value.of(f"{value.code}.movedim(-1, 1)", swapped=True)


def literal(value: object) -> str:
    """The source of a plain number, text, or tuple of them.

    Raises:
        NoCounterpartError: it is anything else.
    """
    if isinstance(value, float):
        if math.isinf(value) or math.isnan(value):
            return f'float("{value}")'
        return repr(float(value))
    if value is None or isinstance(value, (bool, int, str)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        items = [literal(item) for item in value]
        return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
    raise NoCounterpartError(f"it has the argument {value!r}, which is no number")


def arguments(*positional: Any, **named: Any) -> str:
    """The source of the arguments of a call."""
    return ", ".join([literal(value) for value in positional] + [f"{k}={literal(v)}" for k, v in named.items()])


def sized(values: Sequence[int]) -> int | tuple[int, ...]:
    """One number where all are the same."""
    return values[0] if len(set(values)) == 1 else tuple(values)


def identifier(name: str) -> str:
    """A name that can be an attribute of a module."""
    name = re.sub(r"\W", "_", name, flags=re.ASCII).strip("_") or "layer"
    if name[0].isdigit():
        name = f"layer_{name}"
    return f"{name}_" if keyword.iskeyword(name) or hasattr(nn.Module, name) or name in ("self", "training") else name


@dataclass
class ClassSource:
    """One module class that is being written.

    `owner` is the model or layer whose class it is, `frozen` names the tensors of `state` that do not train.
    """

    name: str
    program: Program
    owner: Any = None
    made: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    state: dict[str, Tensor] = field(default_factory=dict)
    frozen: set[str] = field(default_factory=set)
    _kept: list[Tensor] = field(default_factory=list)
    _used: set[str] = field(default_factory=set)
    _attributes: dict[tuple[int, str], str] = field(default_factory=dict)
    _live: set[str] = field(default_factory=set)

    # -- modules

    def module(self, layer: Layer, constructor: str, state: dict[str, Tensor] | None = None, part: str = "") -> str:
        """`self.name` of a module that is made by `constructor`; a layer that is called twice has one.

        Args:
            layer: whose module it is, and whose name it gets.
            state: its tensors, by their names in its `state_dict()`.
            part: of a layer that becomes several modules.
        """
        known = self._attributes.get((id(layer), part))
        if known is not None:
            return f"self.{known}"
        key = self._key_of(layer)
        wanted = identifier(f"{key}_{part}" if part else key)
        name, number = wanted, 1
        while name in self._used:
            name, number = f"{wanted}_{number}", number + 1
        self._used.add(name)
        self._attributes[(id(layer), part)] = name
        self.made.append(f"self.{name} = {constructor}")
        self.state.update((f"{name}.{key}", value) for key, value in (state or {}).items())
        if not getattr(layer, "trainable", True):
            self.frozen.update(f"{name}.{key}" for key in state or {})
        return f"self.{name}"

    def _key_of(self, layer: Layer) -> str:
        """The layer's name in the `state_dict()` of the model that is being written; else its own."""
        held = getattr(self.owner, "_modules", {})
        return next((key for key, module in held.items() if module is layer), layer.name)

    def tensor(self, tensor: Tensor) -> str:
        """`self.name` of a parameter or buffer that an op takes."""
        known = self._attributes.get((id(tensor), ""))
        if known is None:
            wanted = identifier(str(getattr(tensor, "path", "constant")).replace("/", "_"))
            known, number = wanted, 1
            while known in self._used:
                known, number = f"{wanted}_{number}", number + 1
            self._used.add(known)
            self._attributes[(id(tensor), "")] = known
            self._kept.append(tensor)
            plain = tensor.detach().as_subclass(Tensor)
            empty = f"torch.empty({literal(tuple(plain.shape))}, dtype={plain.dtype})"
            is_parameter = isinstance(tensor, nn.Parameter)
            made = (
                f"self.{known} = nn.Parameter({empty})" if is_parameter else f'self.register_buffer("{known}", {empty})'
            )
            self.made.append(made)
            self.state[known] = plain
            if is_parameter and not tensor.requires_grad:
                self.frozen.add(known)
        return f"self.{known}"

    def buffer(self, wanted: str, code: str) -> str:
        """`self.name` of a buffer that is no part of the `state_dict()`."""
        name, number = identifier(wanted), 1
        while name in self._used:
            name, number = f"{identifier(wanted)}_{number}", number + 1
        self._used.add(name)
        self.made.append(f'self.register_buffer("{name}", {code}, persistent=False)')
        return f"self.{name}"

    def snippet(self, name: str) -> str:
        """A function or class that the source brings along."""
        self.program.snippets.setdefault(name)
        return name

    # -- variables

    def argument(self, name: str) -> str:
        name = identifier(name)
        while name in self._live:
            name += "_"
        self._live.add(name)
        return name

    def variable(self, wanted: str = "") -> str:
        """A free name."""
        for name in ([wanted] if wanted else []) + list("xyzuvw") + [f"x{i}" for i in range(1, 10_000)]:
            if name not in self._live:
                self._live.add(name)
                return name
        raise AssertionError("there is always a free name")

    def is_live(self, name: str) -> bool:
        """Whether it is a variable that is in use."""
        return name in self._live

    def free(self, name: str) -> None:
        """Say that a variable is not needed any more."""
        self._live.discard(name)

    def assign(self, code: str, wanted: str = "") -> str:
        """Put an expression into a variable of its own."""
        name = self.variable(wanted)
        if code != name:
            self.lines.append(f"{name} = {code}")
        return name

    def text(self, inputs: Sequence[str], returned: str, doc: str) -> str:
        body = ["super().__init__()", *self.made]
        parts = [f"class {self.name}(nn.Module):", f'    """{doc}"""', ""]
        parts += ["    def __init__(self):", *(f"        {line}" for line in body), ""]
        parts += [f"    def forward(self, {', '.join(inputs)}):", *(f"        {line}" for line in self.lines)]
        return "\n".join([*parts, f"        return {returned}", ""])


class Program:
    """All classes of one source file."""

    def write(self, layer: Any, w: ClassSource, *args: Any, **kwargs: Any) -> Any:
        """Write one call of a layer or op; gives the values that come out."""
        raise NotImplementedError

    def __init__(self) -> None:
        self.classes: list[str] = []
        self.snippets: dict[str, None] = {}
        self.constants: dict[str, nn.Module] = {}
        self._names: set[str] = set(SNIPPETS) | {"nn", "F", "torch", "Path", "load"}

    def class_name(self, wanted: str) -> str:
        """A class name that is free: `my_model` is `MyModel`."""
        base = "".join(part[:1].upper() + part[1:] for part in re.split(r"[\W_]+", wanted, flags=re.ASCII)) or "Net"
        base = f"Net{base}" if base[0].isdigit() or keyword.iskeyword(base) else base
        name, number = base, 2
        while name in self._names:
            name, number = f"{base}{number}", number + 1
        self._names.add(name)
        return name

    def constant(self, module: nn.Module) -> str:
        """The name of a module that exists already and is no source."""
        name = f"MODULE_{len(self.constants)}"
        self.constants[name] = module
        return name

    def text(self, header: str, footer: str = "") -> str:
        """The whole file."""
        used = [SNIPPETS[name] for name in self._needed()]
        return "\n\n".join(part.strip() + "\n" for part in [header, *used, *self.classes, footer] if part)

    def _needed(self) -> Iterator[str]:
        """The snippets, each behind those that it uses."""
        done: set[str] = set()

        def visit(name: str) -> Iterator[str]:
            if name in done:
                return
            done.add(name)
            for other in SNIPPETS:
                if other != name and re.search(rf"\b{other}\b", SNIPPETS[name]):
                    yield from visit(other)
            yield name

        for name in self.snippets:
            yield from visit(name)


Emitter = Callable[..., Any]
EMITTERS: dict[type, Emitter] = {}


def writes(*classes: type) -> Callable[[Emitter], Emitter]:
    """Register how layers (or ops) of these classes are written: `function(layer, writer, *inputs)` gives values."""

    def register(function: Emitter) -> Emitter:
        EMITTERS.update(dict.fromkeys(classes, function))
        return function

    return register
