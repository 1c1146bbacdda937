"""Write `text.json`: the outputs of Keras for the rows of `text_cases.py`.

Keras needs TensorFlow for these layers, which the tests do not have: run this where both are installed, with
`KERAS_BACKEND=torch python tests/interop/record_text.py`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from text_cases import CASES


def record() -> dict:
    import keras
    import tensorflow

    rows = []
    for name, arguments, data, inputs in CASES:
        layer = getattr(keras.layers, name)(name="layer", **arguments)
        if data is not None:
            layer.adapt(data)
        parts = [np.array(part) for part in inputs] if name == "HashedCrossing" else inputs
        output = layer(parts)
        row = {"output": output if isinstance(output, list) else output.tolist()}
        row["dtype"] = "list" if isinstance(output, list) else str(output.dtype)
        if hasattr(layer, "get_vocabulary"):
            row["vocabulary"] = [v.item() if isinstance(v, np.generic) else v for v in layer.get_vocabulary()]
        row["config"] = {key: value for key, value in layer.get_config().items() if key != "dtype"}
        rows.append(row)
    source = (Path(__file__).parent / "text_cases.py").read_bytes()
    versions = {"keras": keras.__version__, "tensorflow": tensorflow.__version__}
    return {"versions": versions, "cases": hashlib.sha256(source).hexdigest(), "rows": rows}


if __name__ == "__main__":
    text = json.dumps(record(), ensure_ascii=True, separators=(",", ":"))
    (Path(__file__).parent / "text.json").write_text(text.replace('},{"output"', '},\n{"output"') + "\n")
