"""The layer to which a torch module's weights belong: by name, by shape, by order; never by a guess."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from torchkeras.saving.plain_torch.known_names import TABLES, NameTable
from torchkeras.saving.plain_torch.units import Group, ModelUnits, Unit, described

Pairs = dict[int, int]  # unit -> group


class UnclearError(ValueError):
    """Weights fit several layers alike, or none; the message says what to put into `mapping`."""


class Matching:
    """One attempt to pair all units of a model with the groups of a state dict.

    Args:
        model: its units.
        groups: those of the state dict.
        mapping: what the user said: `{unit: group or None, group: None}`.

    Raises:
        UnclearError: `mapping` names what is not there, or pairs what does not fit.
    """

    def __init__(self, model: ModelUnits, groups: Sequence[Group], mapping: Mapping[str, str | None]) -> None:
        self.model, self.units, self.groups = model, model.units, groups
        self.pairs: Pairs = {}
        self.how: dict[int, str] = {}
        self._left_units = set(range(len(self.units)))
        self._left_groups = set(range(len(groups)))
        self.kept: list[int] = []
        self.ignored: list[int] = []
        self.unclear: list[tuple[list[int], list[int]]] = []
        self.table: NameTable | None = None
        self._say(mapping)
        self._by_known_names()
        self._by_name()
        self._by_shape_and_order()
        self._keep_statistics()

    # -- the user's word

    def _say(self, mapping: Mapping[str, str | None]) -> None:
        for name, target in mapping.items():
            units = [i for i in self._left_units if _is_within(self.units[i].name, name)]
            groups = [i for i in self._left_groups if _is_within(self.groups[i].name.replace(".", "/"), _slashed(name))]
            if not units and not (groups and target is None):
                known = ", ".join(repr(unit.name) for unit in self.units[:20])
                raise UnclearError(f"mapping: the model has no {name!r} with weights. It has {known}.")
            if target is None:
                for i in units:
                    self._left_units.discard(i)
                    self.kept.append(i)
                for i in [] if units else groups:
                    self._left_groups.discard(i)
                    self.ignored.append(i)
                continue
            for i in units:
                rest = self.units[i].name[len(name) :].strip("/").replace("/", ".")
                self._pair_as_said(i, f"{target}.{rest}".strip("."))

    def _pair_as_said(self, unit: int, wanted: str) -> None:
        found = [i for i in self._left_groups if self.groups[i].name == wanted]
        if not found:
            raise UnclearError(
                f"mapping: the torch weights have no module {wanted!r} that is free (for {self.units[unit].name!r})."
            )
        if not fits(self.units[unit], self.groups[found[0]]):
            raise UnclearError(
                f"mapping: {self.units[unit].name!r} needs {described(self.units[unit].signature)}; {wanted!r} has "
                f"{described(self.groups[found[0]].signature)}."
            )
        self._pair(unit, found[0], "mapping")

    def _pair(self, unit: int, group: int, how: str) -> None:
        self.pairs[unit], self.how[unit] = group, how
        self._left_units.discard(unit)
        self._left_groups.discard(group)

    # -- names

    def _by_known_names(self) -> None:
        """Pair by the names of a library, where all that its table says of the layers is there and fits."""
        groups = {self.groups[i].name: i for i in self._left_groups}
        for table in TABLES:
            known = table.torch_names({i: _layer_of(self.units[i]) for i in sorted(self._left_units)})
            if len(known) < 2 or len(set(known.values())) < len(known):
                continue
            if all(name in groups and fits(self.units[i], self.groups[groups[name]]) for i, name in known.items()):
                self.table = table
                for i, name in known.items():
                    self._pair(i, groups[name], "known name")
                for i in self._groups_left() if table.left_out is not None else []:
                    if self.groups[i].name.startswith(table.left_out):
                        self._left_groups.discard(i)
                        self.ignored.append(i)
                return

    def _by_name(self) -> None:
        units = _only_ones({i: _folded(self.units[i].name) for i in self._left_units})
        groups = _only_ones({i: _folded(self.groups[i].name) for i in self._left_groups})
        for name, unit in units.items():
            if name in groups and fits(self.units[unit], self.groups[groups[name]]):
                self._pair(unit, groups[name], "name")

    # -- shapes and order

    def _by_shape_and_order(self) -> None:
        """Pair what is left: first normalizations go with the module before them, then everything for itself."""
        self._pair_rows(
            _with_followers(self._units_left(), [unit.signature for unit in self.units]),
            _with_followers(self._groups_left(), [group.signature for group in self.groups]),
        )
        if not self.unclear:
            self._pair_rows([[i] for i in self._units_left()], [[i] for i in self._groups_left()])
        self._pair_lone_parameters()

    def _units_left(self) -> list[int]:
        return sorted(self._left_units)

    def _groups_left(self) -> list[int]:
        return sorted(self._left_groups)

    def _signatures(self, units: Sequence[int]) -> list:
        return [self.units[i].signature for i in units]

    def _group_signatures(self, groups: Sequence[int]) -> list:
        return [self.groups[i].signature for i in groups]

    def _pair_rows(self, units: list[list[int]], groups: list[list[int]]) -> None:
        """Pair rows of units with rows of groups: those of which there is one, then those between them in order."""
        kind = {tuple(row): tuple(self._signatures(row)) for row in units}
        kind_of_group = {tuple(row): tuple(self._group_signatures(row)) for row in groups}
        here = Counter(kind.values())
        there = Counter(kind_of_group.values())
        single = {s for s in here if here[s] == there[s] == 1}
        place = {kind_of_group[tuple(row)]: i for i, row in enumerate(groups) if kind_of_group[tuple(row)] in single}
        anchors = [(i, place[kind[tuple(row)]]) for i, row in enumerate(units) if kind[tuple(row)] in single]
        for i, j in anchors:
            for unit, group in zip(units[i], groups[j]):
                self._pair(unit, group, "shape")
        for part, other in _between(_in_one_order(anchors), units, groups):
            mine = [row for row in part if kind[tuple(row)] not in single and there[kind[tuple(row)]]]
            theirs = [
                row for row in other if kind_of_group[tuple(row)] not in single and here[kind_of_group[tuple(row)]]
            ]
            if [kind[tuple(row)] for row in mine] == [kind_of_group[tuple(row)] for row in theirs]:
                self._pair_in_order(mine, theirs)
            elif mine and theirs:
                self._note_unclear(mine, theirs)

    def _pair_in_order(self, units: list[list[int]], groups: list[list[int]]) -> None:
        """Pair row by row. Alike units must follow each other, and numbers in names must not say otherwise."""
        alike: dict[tuple, list[int]] = {}
        for position, row in enumerate(units):
            alike.setdefault(tuple(self._signatures(row)), []).append(position)
        unclear: set[int] = set()
        for positions in alike.values():
            chain = [units[p][0] for p in positions]
            follows = all(self.model.comes_before(a, b) for a, b in zip(chain, chain[1:]))
            names = [self.groups[groups[p][0]].name for p in positions]
            if not follows or _numbered_backwards(names):
                unclear.update(positions)
                self._note_unclear([units[p] for p in positions], [groups[p] for p in positions])
        for position, (row, other) in enumerate(zip(units, groups)):
            if position not in unclear:
                for unit, group in zip(row, other):
                    self._pair(unit, group, "order" if len(alike[tuple(self._signatures(row))]) > 1 else "shape")

    def _note_unclear(self, units: list[list[int]], groups: list[list[int]]) -> None:
        self.unclear.append(([i for row in units for i in row], [i for row in groups for i in row]))

    def _pair_lone_parameters(self) -> None:
        """Layers and torch's modules whose tensors have the same axes but for those of size one.

        Such are a parameter outside torch's own modules, and a 1x1 convolution in the place of a linear layer.
        """
        units = {i: _lone_shape(self.units[i].signature) for i in self._left_units}
        groups = {
            i: _lone_shape(self.groups[i].signature) for i in self._left_groups if self.groups[i].name.count(".") < 9
        }
        by_shape = _only_ones({i: shape for i, shape in units.items() if shape is not None})
        others = _only_ones({i: shape for i, shape in groups.items() if shape is not None})
        for shape, unit in by_shape.items():
            if shape in others and not self.unclear:
                self._pair(unit, others[shape], "shape")

    def _keep_statistics(self) -> None:
        """Leave layers as they are that `adapt` fills, such as `Normalization`: networks of torch have none."""
        for i in self._units_left():
            if hasattr(self.model.owners[self.units[i].layer].layer, "adapt"):
                self._left_units.discard(i)
                self.kept.append(i)

    # -- the outcome

    def check(self) -> None:
        """Raise an error unless everything has a partner.

        Raises:
            UnclearError: says which layers and modules have none, and what to put into `mapping`.
        """
        if not (self._left_units or self._left_groups):
            return
        lines = []
        for units, groups in self.unclear:
            names = [self.units[i].name for i in units if i in self._left_units]
            if names:
                lines.append(f"These weights fit alike ({described(self.units[units[0]].signature)}):")
                lines.append(f"    layers: {', '.join(names)}")
                lines.append(f"    torch: {', '.join(self.groups[i].name for i in groups)}")
        told = {i for units, _ in self.unclear for i in units}, {i for _, groups in self.unclear for i in groups}
        for i in self._units_left():
            if i not in told[0]:
                lines.append(f"No torch weights fit {self.units[i].name!r}: {described(self.units[i].signature)}")
        for i in self._groups_left():
            if i not in told[1]:
                lines.append(f"No layer fits torch's {self.groups[i].name!r}: {described(self.groups[i].signature)}")
        shown = [f"  {line}" for line in lines[:24]] + (["  ..."] if len(lines) > 24 else [])
        raise UnclearError(
            "load_torch_weights() does not guess. Nothing was loaded.\n" + "\n".join(shown) + "\nSay which belong "
            f"together: mapping={{{self._example()}}}. {{layer: None}} leaves a layer as it is, "
            "{torch module: None} leaves the module out."
        )

    def _example(self) -> str:
        for units, groups in self.unclear:
            free = [i for i in units if i in self._left_units]
            if free and groups:
                return f"{self.units[free[0]].name!r}: {self.groups[groups[0]].name!r}, ..."
        unit = self.units[self._units_left()[0]].name if self._left_units else None
        group = self.groups[self._groups_left()[0]].name if self._left_groups else None
        return f"{unit!r}: {group!r}, ..." if unit is not None else f"{group!r}: None, ..."


def fits(unit: Unit, group: Group) -> bool:
    """Whether a torch module has exactly the tensors that a layer needs, but for axes of size one."""
    if unit.signature == group.signature:
        return True
    mine, theirs = _lone_shape(unit.signature), _lone_shape(group.signature)
    return mine is not None and mine == theirs


def _lone_shape(signature: frozenset) -> tuple | None:
    """The shape of a lone tensor without axes of size one; of a weight and a bias their names with such shapes."""
    shapes = {name: tuple(size for size in shape if size != 1) for name, shape in signature}
    if len(shapes) == 1:
        return next(iter(shapes.values()))
    return tuple(sorted(shapes.items())) if shapes.keys() == {"weight", "bias"} else None


def _layer_of(unit: Unit) -> str:
    """The name of a unit's layer, without those of the layers around it."""
    path = unit.name.split("/")
    return path[-2] if unit.is_parameter and len(path) > 1 else path[-1]


def _is_within(name: str, outer: str) -> bool:
    return name == outer or name.startswith(f"{outer}/")


def _slashed(name: str) -> str:
    return name.replace(".", "/")


def _folded(name: str) -> str:
    """A name without what Keras and torch write differently."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _only_ones(names: Mapping[int, object]) -> dict:
    """The keys by value, of values that are there once."""
    counts = Counter(names.values())
    return {value: key for key, value in names.items() if counts[value] == 1}


def _with_followers(indices: Sequence[int], signatures: Sequence[frozenset]) -> list[list[int]]:
    """Rows of one, and of two where a normalization stands directly behind the module whose outputs it may take."""
    rows: list[list[int]] = []
    for i in indices:
        before = rows[-1] if rows else None
        if (
            before is not None
            and len(before) == 1
            and before[0] == i - 1
            and _follows(signatures[i - 1], signatures[i])
        ):
            before.append(i)
        else:
            rows.append([i])
    return rows


def _follows(first: frozenset, second: frozenset) -> bool:
    sizes = dict(second)
    weight = dict(first).get("weight", ())
    is_normalization = len(sizes.get("weight", ())) == 1 or "running_mean" in sizes
    return is_normalization and len(weight) > 1 and all(shape == weight[:1] for shape in sizes.values())


def _in_one_order(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The pairs that stand on the same side of each other pair in both orders."""
    return [(i, j) for i, j in sorted(pairs) if all((i < k) == (j < m) for k, m in pairs if (k, m) != (i, j))]


def _between(
    anchors: list[tuple[int, int]], units: list[list[int]], groups: list[list[int]]
) -> list[tuple[list[list[int]], list[list[int]]]]:
    """The parts between neighbouring anchors, on both sides."""
    edges = [(-1, -1), *anchors, (len(units), len(groups))]
    return [(units[a + 1 : c], groups[b + 1 : d]) for (a, b), (c, d) in zip(edges, edges[1:])]


def _numbered_backwards(names: Sequence[str]) -> bool:
    """Whether names that differ in numbers alone are not in the order of these numbers."""
    parts = [re.split(r"(\d+)", name) for name in names]
    if len({tuple(part[::2]) for part in parts}) != 1:
        return False
    numbers = [[int(number) for number in part[1::2]] for part in parts]
    return numbers != sorted(numbers)
