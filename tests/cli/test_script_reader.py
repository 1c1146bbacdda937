"""`doctor SCRIPT`: each thing that will not work is found at its line, and nothing else is."""

from __future__ import annotations

import json
import re

import pytest

import torchkeras as keras
from torchkeras.cli import script_advice as advice
from torchkeras.cli import script_reader
from torchkeras.cli.main import main
from torchkeras.cli.script_reader import read_script

# A line of a script, and what a finding at that line must say: (problem, remedy); a third item: it is only a note.
LINES: list[tuple[str, str, str]] = [
    ("import jax.numpy as jnp", "`jax.numpy` is not used", "keras.ops"),
    ("import tensorflow as tf", "`tensorflow` is not used", "keras.ops"),
    ("from tensorflow.python.keras import layers", "`tensorflow` is imported for its", "import torchkeras as keras"),
    ("from tensorflow import data", "`tensorflow.data` is not used", "keras.ops"),
    ("from tensorflow.keras.layers import CuDNNLSTM", "There is no `keras.layers.CuDNNLSTM`", "keras.layers.LSTM"),
    ("import torchkeras.layers as L; L.Dens(3)", "There is no `keras.layers.Dens`", "`keras.layers.Dense`"),
    ("from torchkeras import KerasModel", "There is no `keras.KerasModel`", ""),
    ("from keras.src.nonsense import thing", "`keras.src.nonsense.thing` is private", "public names"),
    ("import torchkeras as k; K = k.backend; K.mean(1)", "There is no `keras.backend.mean`", "`keras.ops.mean`"),
    ("import torchkeras as k; k.utils.Dense(2)", "There is no `keras.utils.Dense`", "`keras.layers.Dense`"),
    (
        "import torchkeras as k; k.optimizers.Adam(lr=1)",
        "`keras.optimizers.Adam` has no argument `lr`",
        "learning_rate",
    ),
    ("import torchkeras as k; k.layers.Dense(2, unit=3)", "`keras.layers.Dense` has no argument `unit`", "`units`"),
    ("model.fit_generator(rows)", "`fit_generator` is no method", "`fit`"),
    ("model.fit(x, y, workers=4)", "There is no argument `workers` in `fit`", "PyDataset"),
    ("model.save(path, signatures=s)", "There is no argument `signatures` in `save`", "`model.export`"),
    ("import tensorflow as tf\n@tf.function\ndef f(): ...", "`tensorflow.function` belongs to", "jit_compile=True"),
    ("import tensorflow as tf\nx = tf.reduce_mean(y)", "`tensorflow.reduce_mean` belongs", "`keras.ops.mean`"),
    ("import tensorflow as tf\nx = tf.data.Dataset.from_tensors(y)", "`tensorflow.data.Dataset", "DataLoader"),
    ("import jax\nx = jax.numpy.sum(y)", "`jax.numpy.sum` belongs to", "`keras.ops.sum`"),
    ("import jax\nf = jax.value_and_grad(g)", "`jax.value_and_grad` belongs to", "`loss.backward()`"),
    ("import tensorflow as tf\nx = tf.nn.relu(y)", "`tensorflow.nn.relu`", "`keras.ops.relu`"),
    ("import tensorflow as tf\nx = tf.math.reduce_sum(y)", "`tensorflow.math.reduce_sum`", "`keras.ops.sum`"),
    ("import tensorflow as tf\nx = tf.image.resize(y)", "`tensorflow.image.resize`", "`keras.ops.image.resize`"),
    ("import tensorflow as tf\nx = tf.random.normal(y)", "`tensorflow.random.normal`", "`keras.random.normal`"),
    ("import tensorflow as tf\nx = tf.random.set_seed(1)", "`tensorflow.random.set_seed`", "set_random_seed`"),
    ("import tensorflow as tf\nx = tf.zeros(2, tf.float32)", "`tensorflow.float32`", '`"float32"`'),
    ("import importlib\ntf = importlib.import_module('tensorflow')", "`tensorflow` is not used", "keras.ops"),
    ("from wandb.integration.keras import WandbMetricsLogger", "is made for TensorFlow's Keras", "WandbLogger"),
    ("import torchkeras as k; k.layers.Dense(output_dim=3)", "no argument `output_dim`", "`units`"),
    ("import torchkeras as k; k.optimizers.SGD(decay=0.1)", "no argument `decay`", "`keras.optimizers.schedules`"),
    ("import torchkeras as k; k.layers.Dropout(0.5, sed=1)", "no argument `sed`", "It may be `seed`"),
    (
        "import torchkeras as k; k.layers.Dropout(0.5, abc=1)",
        "no argument `abc`",
        "It takes `rate`, `noise_shape`, `seed`",
    ),
    ("import torchkeras as k; k.optimizers.legacy.Adam()", "raises an error", "`keras.optimizers.Adam`"),
    ("import torchkeras as k; x = k.utils.audio_dataset_from_directory(p).map(f)", "`map` is no method", "generator"),
    ("import torchkeras as k; x = k.utils.image_dataset_from_directory(p); x.cache()", "`cache` is no", "generator"),
    ("print(model.optimizer.lr)", "`lr` is no attribute of optimizers", "`learning_rate`"),
    ("import keras\nif keras.config.backend() == 'torch':\n    import jax", "`jax` is not used", "keras.ops"),
    ("import keras\nif keras.config.backend() != 'jax':\n    import jax", "`jax` is not used", "keras.ops"),
    ("if library == 'numpy':\n    import jax", "`jax` is not used", "keras.ops"),
    ("from keras import layers\ndef f(layers): pass\nlayers.Dens(3)", "There is no `keras.layers.Dens`", "Dense"),
]

NOTES = [
    ("import keras", "imports the real Keras"),
    ("from tensorflow.keras import layers", "`tensorflow` is imported for its Keras"),
    ("import keras_tuner", "`keras_tuner` imports `keras` itself"),
    ("import keras_of_mine", "`keras_of_mine` imports `keras` itself"),
    ("model.save(path, save_format='h5')", "`save_format` has no effect in `save`"),
    ("import os\nos.environ['KERAS_BACKEND'] = 'jax'", "`KERAS_BACKEND` has no effect"),
    ("from torchkeras import ops\ntry:\n    import tensorflow\nexcept ImportError:\n    tensorflow = None", "not used"),
]

FINE = [
    "import torchkeras as keras\nmodel = keras.Sequential([keras.layers.Dense(3, input_shape=(2,), name='a')])",
    "import torchkeras as keras\nmodel.compile(keras.optimizers.Adam(1e-3, clipnorm=1.0), run_eagerly=True)",
    "from torchkeras.layers import *\nDense(3)",
    "from torchkeras import backend as K\nK.clear_session()\nK = 3\nK.anything()",
    "import torchkeras as keras\nif keras.backend.backend() == 'jax':\n    import jax\nelse:\n    import torch",
    "import numpy as np, torch\nnp.reduce_mean(1), torch.function",
    "import torchkeras as keras\nkeras.layers.RandAugment(bounding_box_format='xyxy')",
    "import torchkeras as keras\nkeras.distributed.is_main_process()",
    "from .layers import Dens\nfrom . import keras",
    "import torchkeras.as_keras\nimport keras, keras_tuner\nkeras.layers.Dense(3)",
    "from torchkeras import ops as K\ndef f(K):\n    return K.anything, [K.anything for K in range(3)]",
    "from torchkeras import ops as K\nclass A:\n    K = 3\n    x = K.anything\nfor K in range(3):\n    K.anything",
    "import typing\nif typing.TYPE_CHECKING:\n    import tensorflow as tf\ndef f(tf=None):\n    return tf.constant(1)",
    "clf.predict_proba(x); file.save(save='x')",
]


OTHER_BACKENDS = [
    "if backend == 'jax':\n    import jax\nelif backend == 'tensorflow':\n    import jax\nelse:\n    import torch",
    "if backend != 'torch':\n    import jax",
    "if backend in ('jax', 'tensorflow') and flag:\n    import jax",
    "if not (backend == 'torch'):\n    import jax",
    "if 'jax' == backend or 'numpy' == backend:\n    import jax",
    "import importlib\nx = importlib.import_module('jax') if backend == 'jax' else None",
    "match backend:\n    case 'jax' | 'numpy':\n        import jax\n    case _:\n        import torch",
    "def f():\n    if backend != 'jax':\n        return 3\n    import jax",
    "if self.name == 'jax':\n    import jax\nif name in {'torch', 'numpy', 'tensorflow'}:\n    import torch",
    "def by_jax():\n    import jax\ndef by_torch():\n    import torch\n"
    "class M:\n    def f(self):\n        return by_jax() if backend == 'jax' else by_torch()",
]


@pytest.mark.parametrize("script", OTHER_BACKENDS)
def test_branches_for_other_backends_are_not_read(script):
    assert read_script(f"import torchkeras as keras\nbackend = keras.config.backend()\n{script}") == []
    asked = re.sub(r"\bbackend\b", "keras.backend.backend()", script)
    assert read_script(f"import torchkeras as keras\n{asked}") == []


@pytest.mark.parametrize(("script", "problem", "remedy"), LINES, ids=[row[0] for row in LINES])
def test_what_will_not_work_is_found_at_its_line(script, problem, remedy):
    line = script.count("\n", 0, script.find("\n@") + 2 if "\n@" in script else len(script)) + 1
    found = [one for one in read_script("\n\n" + script) if problem in one.problem]
    assert found, read_script(script)
    assert found[0].fatal and remedy in found[0].remedy
    assert found[0].line == 2 + line


@pytest.mark.parametrize(("script", "problem"), NOTES)
def test_notes_are_no_errors(script, problem):
    found = read_script(script)
    assert [problem in one.problem for one in found] == [True] and not found[0].fatal


@pytest.mark.parametrize("script", FINE)
def test_what_works_is_not_found(script):
    assert read_script(script) == []


def test_private_names_that_are_served_are_notes():
    (found, switch) = read_script("from keras.src.backend import standardize_dtype")
    assert "as-keras" in found.remedy + switch.remedy and not found.fatal and not switch.fatal


def test_advice_is_for_names_that_are_missing():
    assert not [name for name in advice.OTHER_NAMES if script_reader._missing(name) is None]


def test_names_in_the_advice_exist():
    tables = (advice.OTHER_NAMES, advice.TENSORFLOW, advice.JAX, advice.MODULES, advice.FRAMEWORKS)
    texts = {words for table in tables for words in table.values()}
    names = {part.split("(")[0] for words in texts for part in words.split("`")[1::2] if part.startswith("keras.")}
    assert len(names) > 40
    for name in names:
        assert script_reader._missing(name) is None, name
        assert script_reader._lookup(name) is not script_reader._ABSENT, name


@pytest.mark.parametrize("namespace", ["layers", "optimizers", "losses", "metrics", "callbacks", "ops", "initializers"])
def test_arguments_of_every_public_name_are_known(namespace):
    """A call that the signature allows gives no finding."""
    for name, found in vars(getattr(keras, namespace)).items():
        known = script_reader._arguments(found) if callable(found) and not name.startswith("_") else None
        for argument in known or ():
            script = f"import torchkeras as keras\nkeras.{namespace}.{name}({argument}=1)"
            assert read_script(script) == [], script


def test_the_command_names_file_and_line(tmp_path, capsys):
    script = tmp_path / "train.py"
    script.write_text("import torchkeras as keras\nimport jax\nraise SystemExit('never run')\n")
    assert main(["doctor", str(script)]) == 1
    assert capsys.readouterr().out.startswith(f"{script}:2: `jax` is not used")
    assert main(["doctor", "--json", str(script)]) == 1
    assert json.loads(capsys.readouterr().out)[str(script)][0]["line"] == 2
    script.write_text("import keras\nfrom keras import layers\nimport keras.ops\n")
    assert main(["doctor", str(script)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{script}:1: note: ") and line.endswith("(Also in lines 2, 3.)")


def test_modules_of_this_package_alone_are_no_names_of_keras():
    (finding,) = (one for one in read_script("from keras.layers.convolutional import Conv") if one.fatal)
    assert finding.problem == "There is no `keras.layers.convolutional`." and "convolutional" not in finding.remedy
    assert len(read_script("import tensorflow as tf\nprint(tf.__version__)")) == 1


@pytest.mark.parametrize("text", [b"def broken(:", b"\xff\xfe\x00"])
def test_a_file_that_is_no_script_is_an_error(text, tmp_path, capsys):
    script = tmp_path / "train.py"
    script.write_bytes(text)
    assert main(["doctor", str(script)]) == 2
    assert str(script) in capsys.readouterr().err
