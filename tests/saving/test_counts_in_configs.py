"""Every argument of every class as a count of 10**9 in a config: nothing takes memory or time before it is refused."""

from __future__ import annotations

import inspect
import json
import resource
import time

import torchkeras as keras
from torchkeras.core.config.limits import BadFileError

COUNT = 10**9
SPACES = ("layers", "metrics", "losses", "optimizers", "initializers", "regularizers", "constraints")
SHAPES = ([None, 4, 4], [None, 4, 4, 3])
# Some that must be among those that are refused for what they ask for, so that the sweep is known to reach them.
ASKING = {("Dense", "units"), ("Conv2D", "filters"), ("Embedding", "input_dim"), ("LSTM", "units"),
          ("AUC", "num_thresholds"), ("MeanIoU", "num_classes")}  # fmt: skip


def described(space: str, name: str, config: dict) -> dict:
    return {"module": f"keras.{space}", "class_name": name, "config": config, "registered_name": None}


def cases():
    """A class, the argument that is a count, and the config."""
    for space in SPACES:
        for name, cls in sorted(vars(getattr(keras, space)).items()):
            if not isinstance(cls, type) or name.startswith("_"):
                continue
            parameters = [
                p
                for p in list(inspect.signature(cls.__init__).parameters.values())[1:]
                if p.kind is p.POSITIONAL_OR_KEYWORD
            ]
            required = {p.name: 2 for p in parameters if p.default is p.empty}
            for parameter in parameters:
                if not isinstance(parameter.default, str) and parameter.name not in ("name", "dtype", "trainable"):
                    yield space, name, parameter.name, described(space, name, {**required, parameter.name: COUNT})


def load(space: str, config: dict, shape: list | None) -> str:
    """The outcome of a load: the type of its error."""
    try:
        if space != "layers":
            keras.saving.deserialize_keras_object(config)
        else:
            entrance = described("layers", "InputLayer", {"batch_shape": shape, "name": "x"})
            model = described("layers", "Sequential", {"name": "m", "layers": [entrance, config]}) | {"module": "keras"}
            keras.models.model_from_json(json.dumps(model))
    except Exception as error:
        return type(error).__name__
    return ""


def test_no_count_takes_memory_or_time():
    refused, greedy = set(), []
    for space, name, argument, config in cases():
        for shape in SHAPES if space == "layers" else [None]:
            peak, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
            outcome = load(space, config, shape)
            spent = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
            if spent > 256 * 1024 or time.process_time() - start > 5 or outcome == "MemoryError":
                greedy.append((name, argument, shape, outcome))
            if outcome == BadFileError.__name__:
                refused.add((name, argument))
    assert not greedy
    assert refused >= ASKING
