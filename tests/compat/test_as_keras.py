"""`keras` served by this package, in a process of its own."""

from __future__ import annotations

import textwrap

from tests import fresh_process

SCRIPT = """
    import torchkeras.as_keras
    import importlib.util
    import pickle
    import sys

    import keras
    import keras.applications.resnet as networks
    import torchkeras
    from keras import layers, ops
    from keras.layers import Dense
    from keras.src import backend
    from keras.src.layers.core.dense import Dense as PrivateDense
    from keras.src.ops import *
    from keras.src.ops.numpy import Sum

    assert keras.__version__.startswith("3.") and keras.version() == keras.__version__
    assert keras.backend.backend() == keras.config.backend() == "torch"
    assert Dense is PrivateDense is torchkeras.layers.Dense
    assert layers is torchkeras.layers and networks is torchkeras.applications.resnet
    assert sys.modules["torchkeras.layers"].__spec__.name == "torchkeras.layers"
    assert matmul is ops.matmul and ops.shape(Sum(axis=1)(ops.ones((2, 3)))) == (2,)
    assert importlib.util.find_spec("keras") is not None and importlib.util.find_spec("tensorflow") is None

    model = keras.Sequential([Dense(2)])
    model(ops.ones((1, 3)))
    assert type(pickle.loads(pickle.dumps(model))) is torchkeras.Sequential
    assert keras.saving.serialize_keras_object(Dense(2))["module"] == "keras.layers"
    namespace = {}
    exec("from keras import *", namespace)
    assert namespace["Model"] is torchkeras.Model and namespace["config"] is torchkeras.config

    class Holder(keras.layers.Layer):
        @keras.src.utils.tracking.no_automatic_dependency_tracking
        def __init__(self):
            super().__init__()
            self.held = [Dense(2)]
            self.other = Dense(3)
            self.trainable = False

    holder = Holder()
    assert not holder._flatten_layers(include_self=False) and type(holder.held) is list and not holder.trainable

    for line, words in {
        "from keras.src.trainers.data_adapters import TFDatasetAdapter": "has no counterpart in torchkeras",
        "import keras.src.trainers.nothing": "Override `train_step`",
        "keras.src.ops.nothing": "Use the functions of `keras.ops`",
        "keras.nothing": "no name of Keras 3",
        "import keras.layers.base": "no name of Keras 3",
        "from keras.src.utils.module_utils import tensorflow; tensorflow.constant": "pip install tensorflow",
    }.items():
        try:
            exec(line)
        except (ImportError, AttributeError) as error:
            assert words in str(error), (line, error)
        else:
            raise AssertionError(line)
"""


def test_a_process_in_which_keras_is_this_package():
    done = fresh_process.run(textwrap.dedent(SCRIPT))
    assert done.returncode == 0, done.stderr
