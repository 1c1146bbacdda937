"""Layers that take strings: the numbers of Keras with TensorFlow, as `record_text.py` wrote them down."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from tests.interop.text_cases import CASES
from torchkeras import layers

_FOLDER = Path(__file__).parent
RECORD = json.loads((_FOLDER / "text.json").read_text())


def test_the_record_is_of_these_cases():
    source = (_FOLDER / "text_cases.py").read_bytes()
    assert RECORD["cases"] == hashlib.sha256(source).hexdigest(), "run record_text.py again"


@pytest.mark.parametrize("name", sorted({case[0] for case in CASES}))
def test_outputs_vocabularies_and_configs_are_those_of_keras(name):
    for (cls, arguments, data, inputs), wanted in zip(CASES, RECORD["rows"], strict=True):
        if cls != name:
            continue
        layer = getattr(layers, cls)(name="layer", **arguments)
        if data is not None:
            layer.adapt(data)
        output = layer(inputs)
        told = f"{cls}({arguments}) on {str(inputs)[:80]}"
        if wanted["dtype"] == "list":
            assert output == wanted["output"], told
        else:
            assert str(output.dtype) == wanted["dtype"], told
            np.testing.assert_allclose(output.numpy(), np.array(wanted["output"]), rtol=1e-6, err_msg=told)
        if "vocabulary" in wanted:
            assert layer.get_vocabulary() == wanted["vocabulary"], told
        config = {key: value for key, value in layer.get_config().items() if key != "dtype"}
        assert json.loads(json.dumps(config)) == wanted["config"], told
        again = type(layer).from_config(layer.get_config())
        if data is None and wanted["dtype"] != "list":
            np.testing.assert_array_equal(again(inputs).numpy(), output.numpy(), err_msg=told)
