"""FAQ 2: `DeviceMesh`, `TensorLayout`, `LayoutMap`, `ModelParallel` and `set_distribution` train a model in parts."""

from __future__ import annotations

import runpy

import pytest

from tests.distributed.launch import results

pytestmark = pytest.mark.slow

SCRIPT = """
import json, os, sys
import numpy as np
import torchkeras as keras
from torchkeras.distribution import DeviceMesh, LayoutMap, ModelParallel, TensorLayout, list_devices, set_distribution

keras.utils.set_random_seed(1)
devices = list_devices()
mesh = DeviceMesh(shape=(1, len(devices)), axis_names=["data", "model"], devices=devices)
layout_map = LayoutMap(mesh)
layout_map["d1/kernel"] = (None, "model")
layout_map["d1/bias"] = ("model",)
layout_map["d2/kernel"] = TensorLayout(["model", None])
layout_map["d2/output"] = ("data", None)
if len(devices) > 1:
    set_distribution(ModelParallel(layout_map=layout_map, batch_dim_name="data"))

inputs = keras.layers.Input(shape=(28, 28, 1))
y = keras.layers.Flatten()(inputs)
y = keras.layers.Dense(units=20, use_bias=True, activation="relu", name="d1")(y)
y = keras.layers.Dropout(0.0)(y)
outputs = keras.layers.Dense(units=10, use_bias=True, activation="softmax", name="d2")(y)
model = keras.Model(inputs=inputs, outputs=outputs)
model.compile(loss="mse", optimizer="adam")
x, y = np.random.normal(size=(64, 28, 28, 1)), np.random.normal(size=(64, 10))
history = model.fit(x, y, epochs=3, batch_size=16, verbose=0, shuffle=False).history
model.evaluate(x, y, verbose=0)
kernel = model.get_layer("d1").kernel
here = kernel.to_local() if len(devices) > 1 else kernel
found = {"loss": history["loss"], "shape": list(kernel.shape), "here": list(here.shape), "path": kernel.path,
         "predicted": model.predict(x, verbose=0).ravel().tolist()}
json.dump(found, open(f"{sys.argv[1]}/{os.environ.get('RANK', 0)}.json", "w"))
"""


def test_a_model_in_parts_trains_as_a_whole_one(tmp_path, monkeypatch):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    monkeypatch.setattr("sys.argv", [str(script), str(tmp_path)])
    alone = runpy.run_path(str(script))["found"]
    ranks, printed = results(tmp_path / "two", script, ranks=2)
    assert "match" not in printed, "every key is the path of a weight or of a layer's output"
    for rank in ranks:
        assert rank["shape"] == [784, 20] and rank["here"] == [784, 10]
        assert rank["path"] == alone["path"] == "d1/kernel"
        assert rank["loss"] == pytest.approx(alone["loss"], abs=1e-5)
        assert rank["predicted"] == pytest.approx(alone["predicted"], abs=1e-5)
