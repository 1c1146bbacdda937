"""The public face: what 0.1.0 promises is there, and what both libraries have takes the same arguments."""

from __future__ import annotations

import importlib
import inspect

import keras
import pytest

import torchkeras

PROMISED = {
    "": "Model Sequential Input Layer Variable KerasTensor InputSpec StatelessScope name_scope Loss Metric Optimizer",
    "layers": """InputLayer Dense Conv1D Conv2D Conv3D MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D
        AveragePooling2D AveragePooling3D GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
        GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D BatchNormalization LayerNormalization Dropout Flatten
        Reshape Permute Embedding Activation ReLU Softmax Rescaling Add Multiply Concatenate Average LSTM GRU
        MultiHeadAttention TorchModuleWrapper""",
    "models": "Model Sequential clone_model load_model save_model model_from_json",
    "losses": """MeanSquaredError MeanAbsoluteError BinaryCrossentropy CategoricalCrossentropy
        SparseCategoricalCrossentropy""",
    "metrics": """Mean Sum Accuracy BinaryAccuracy CategoricalAccuracy SparseCategoricalAccuracy MeanSquaredError
        MeanAbsoluteError AUC Precision Recall""",
    "optimizers": "SGD Adam AdamW RMSprop",
    "callbacks": """Callback CallbackList History EarlyStopping ModelCheckpoint CSVLogger LambdaCallback TerminateOnNaN
        LearningRateScheduler ReduceLROnPlateau BackupAndRestore""",
    "saving": "load_model save_model register_keras_serializable custom_object_scope serialize_keras_object",
    "utils": "set_random_seed clear_session register_keras_serializable CustomObjectScope to_categorical",
    "random": "SeedGenerator",
}
SHARED = ["layers", "losses", "metrics", "optimizers", "callbacks", "initializers", "regularizers", "constraints"]


def namespace(library, name):
    return importlib.import_module(f"{library.__name__}.{name}") if name else library


@pytest.mark.parametrize("place, name", [(p, n) for p, names in PROMISED.items() for n in names.split()])
def test_promised_names_are_there(place, name):
    assert hasattr(namespace(torchkeras, place), name)


def _classes() -> list[tuple[str, str]]:
    return [
        (place, name)
        for place in SHARED
        for name, value in sorted(vars(namespace(torchkeras, place)).items())
        if inspect.isclass(value) and not name.startswith("_") and hasattr(namespace(keras, place), name)
    ]


@pytest.mark.parametrize("place, name", _classes())
def test_constructors_take_keras_arguments(place, name):
    ours = inspect.signature(getattr(namespace(torchkeras, place), name)).parameters
    theirs = inspect.signature(getattr(namespace(keras, place), name)).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in ours.values())
    for key, parameter in theirs.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        assert key in ours or open_ended, f"{name} lacks {key}"
        if key in ours and isinstance(parameter.default, (str, int, float, bool, type(None))):
            assert ours[key].default == parameter.default, f"{name}({key}=): {ours[key].default}, {parameter.default}"
