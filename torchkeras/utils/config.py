"""`Config`: named settings as attributes."""

from __future__ import annotations

import json
from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from typing import Any

from torchkeras.core.nearest_names import nearest_names


class Config:
    """Settings by name, read and written as attributes or as items of a dict.

    Args:
        **kwargs: the settings.

    Raises:
        ValueError: on a change, if the config is frozen.
        AttributeError: for a name that is not set; names the nearest one.

    Example:
        >>> config = keras.utils.Config(units=64, rate=0.1)
        >>> config.units, config["rate"], "depth" in config
        (64, 0.1, False)
        >>> config.depth = 3
        >>> config.freeze()
        >>> config.as_dict()
        {'units': 64, 'rate': 0.1, 'depth': 3}
    """

    def __init__(self, **kwargs: Any) -> None:
        object.__setattr__(self, "_config", kwargs)
        object.__setattr__(self, "_frozen", False)

    @property
    def frozen(self) -> bool:
        """Whether the config can't be changed."""
        return self._frozen

    def freeze(self) -> None:
        """Let nothing be changed from now on."""
        object.__setattr__(self, "_frozen", True)

    def unfreeze(self) -> None:
        """Let settings be changed again."""
        object.__setattr__(self, "_frozen", False)

    def as_dict(self) -> dict[str, Any]:
        """The settings as a new dict."""
        return dict(self._config)

    def to_json(self) -> str:
        """The settings as JSON."""
        return json.dumps(self._config)

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._config.keys()

    def values(self) -> ValuesView[Any]:
        """The values."""
        return self._config.values()

    def items(self) -> ItemsView[str, Any]:
        """Pairs of a name and a value."""
        return self._config.items()

    def pop(self, *args: object) -> Any:
        """Remove a setting and return its value; a second argument is returned if there is none."""
        self._check_not_frozen()
        return self._config.pop(*args)

    def update(self, *args: object, **kwargs: Any) -> None:
        """Set several values, from a mapping or by name."""
        self._check_not_frozen()
        self._config.update(*args, **kwargs)

    def get(self, keyname: str, value: Any = None) -> Any:
        """The value of a name; `value` if it is not set."""
        return self._config.get(keyname, value)

    def _check_not_frozen(self) -> None:
        if self._frozen:
            raise ValueError("Cannot mutate attribute(s) because the config is frozen.")

    def __setattr__(self, name: str, value: object) -> None:
        self[name] = value

    def __getattr__(self, name: str) -> Any:
        config = object.__getattribute__(self, "__dict__").get("_config", {})
        if name in config:
            return config[name]
        near = nearest_names(name, config, most=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise AttributeError(f"Unknown attribute: '{name}'.{hint}")

    def __setitem__(self, key: str, item: object) -> None:
        self._check_not_frozen()
        self._config[key] = item

    def __getitem__(self, key: str) -> Any:
        return self._config[key]

    def __delitem__(self, key: str) -> None:
        self._check_not_frozen()
        del self._config[key]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._config))

    def __len__(self) -> int:
        return len(self._config)

    def __contains__(self, item: object) -> bool:
        return item in self._config

    def __repr__(self) -> str:
        return f"<Config {self._config}>"
