"""The parts of a model's config that `load_model` will refuse, found when the model is saved."""

from __future__ import annotations

from collections.abc import Iterator

from torchkeras.core import registry
from torchkeras.core.config.resolve import resolve_class, resolve_function
from torchkeras.core.config.serialization import is_saved_value
from torchkeras.core.types import Config


def warning_for(config: Config) -> str | None:
    """The text of one warning that names all parts of a saved model which loading will refuse, and says what to do.

    Args:
        config: the model's serialized form, from `serialize_keras_object`.

    Returns:
        The text; `None` if loading will refuse nothing.
    """
    found = refused_parts(config)
    if not found:
        return None
    lines = [f"  {owner}: {reason}" for owner, reason in found[:8]]
    if len(found) > 8:
        lines.append(f"  ... and {len(found) - 8} more.")
    return (
        "load_model() will refuse the model that is being saved:\n" + "\n".join(lines) + "\nRegister classes and "
        "functions of your own with @keras.saving.register_keras_serializable(), or pass them to load_model() as "
        "custom_objects={name: object}. Replace Python lambdas by named functions: they are refused with "
        "safe_mode=False too. For a part of compile(), load_model(path, compile=False) is enough. The weights are "
        "saved in any case: a model that is built in code reads them with load_weights()."
    )


def refused_parts(config: Config) -> list[tuple[str, str]]:
    """The parts of a model's config that loading will refuse: whose part each is, and the reason."""
    return list(dict.fromkeys(_refusals(config, "the model")))


def _refusals(config: object, owner: str) -> Iterator[tuple[str, str]]:
    """The parts that loading will refuse: the layer or other object that each belongs to, and the reason."""
    if isinstance(config, (list, tuple)):
        for item in config:
            yield from _refusals(item, owner)
    elif isinstance(config, dict) and not ("class_name" in config and "config" in config):
        for key, value in config.items():
            yield from _refusals(value, "compile()" if key in _COMPILED else owner)
    elif isinstance(config, dict):
        yield from _refusals_of_object(config, owner)


_COMPILED = ("compile_config", "torch_compile_config")


def _refusals_of_object(config: Config, owner: str) -> Iterator[tuple[str, str]]:
    name, inner = config["class_name"], config["config"]
    if not isinstance(name, str) or is_saved_value(name):
        return
    if name == "function":
        reason = _reason_against_function(config)
        if reason is not None:
            yield owner, reason
        return
    given = inner.get("name") if isinstance(inner, dict) else None
    label = f"{name} {given!r}" if isinstance(given, str) else f"{name} of {owner}"
    try:
        cls = resolve_class(config)
    except (TypeError, ValueError):
        yield label, f"the class {config.get('registered_name') or name!r} is not registered."
    else:
        check = getattr(cls, "_tk_check_config", None)
        try:
            if check is not None:
                check(inner)
        except ValueError as error:
            yield label, str(error)
            return
        if _reads_parts_itself(cls):
            inner = None
    for value in (inner, config.get("inbound_nodes")):
        yield from _refusals(value, label)
    for key in _COMPILED:
        yield from _refusals(config.get(key), "compile()")


def _reason_against_function(config: Config) -> str | None:
    if config["config"] == "<lambda>":
        return "a Python lambda, which files do not keep: its code would have to be run from the file."
    try:
        resolve_function(config)
    except (TypeError, ValueError):
        return f"the function {config['config']!r} is not registered."
    return None


def _reads_parts_itself(cls: type) -> bool:
    """Whether a class of the user's has a `from_config` of its own, which may make the parts in any way."""
    for base in cls.__mro__:
        if "from_config" in base.__dict__:
            return not registry.is_own(base)
    return False
