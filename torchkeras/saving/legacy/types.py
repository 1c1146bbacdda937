"""Types of what files hold."""

from __future__ import annotations

from typing import Any

# A JSON object: a serialized layer, or its arguments. Nothing is known of the values before they are looked at.
Config = dict[str, Any]
