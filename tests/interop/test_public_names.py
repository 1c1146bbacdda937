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
SHARED = """activations backend callbacks config constraints distribution dtype_policies initializers layers losses
    metrics mixed_precision models ops optimizers optimizers.schedules quantizers random regularizers saving
    tree utils""".split()


def namespace(library, name):
    return importlib.import_module(f"{library.__name__}.{name}") if name else library


@pytest.mark.parametrize("place, name", [(p, n) for p, names in PROMISED.items() for n in names.split()])
def test_promised_names_are_there(place, name):
    assert hasattr(namespace(torchkeras, place), name)


def _shared_names() -> list[tuple[str, str]]:
    """Classes and functions that both libraries have, by namespace."""
    found = []
    for place in ["", *SHARED]:
        ours, theirs = namespace(torchkeras, place), namespace(keras, place)
        for name in sorted(vars(theirs)):
            both = [getattr(library, name, None) for library in (theirs, ours)]
            if not name.startswith("_") and all(map(callable, both)):
                found.append((place, name))
    return found


# Parameters that Keras also takes by position and that are taken by name alone here: options that all optimizers
# share, last in Keras's lists, and the name of the pools, which all other layers take by name.
BY_NAME = {
    "optimizers": """weight_decay clipnorm clipvalue global_clipnorm use_ema ema_momentum ema_overwrite_frequency
        loss_scale_factor gradient_accumulation_steps name""".split(),
    "layers": ["name"],
}

# Defaults that differ, with the reason.
OTHER_DEFAULTS = {
    ("CustomObjectScope", "custom_objects"): "a scope of no objects is allowed",
    ("custom_object_scope", "custom_objects"): "a scope of no objects is allowed",
}


def named(parameters):
    return [p for p in parameters.values() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]


def accepted(value) -> dict[str, inspect.Parameter]:
    """Parameters by name, with those that a class passes on to its bases' constructors by `**kwargs`."""
    found = dict(inspect.signature(value).parameters)
    if inspect.isclass(value):
        for base in inspect.getmro(value):
            own = inspect.signature(base.__init__).parameters if "__init__" in vars(base) else None
            if own is None:
                continue
            found |= {p.name: p for p in named(own) if p.name not in found and p.name != "self"}
            if not any(p.kind is p.VAR_KEYWORD for p in own.values()):
                break
    return found


def same_default(ours, theirs) -> bool:
    if ours is theirs:
        return True
    return type(ours) is type(theirs) and repr(ours) == repr(theirs)


@pytest.mark.parametrize("place, name", _shared_names())
def test_parameters_are_keras(place, name):
    """Each of Keras's parameters is taken by its name, in Keras's order, and has Keras's default."""
    value = getattr(namespace(torchkeras, place), name)
    wanted = named(inspect.signature(getattr(namespace(keras, place), name)).parameters)
    ours = accepted(value)
    missing = [p.name for p in wanted if p.name not in ours]
    assert not missing, f"{name} lacks {missing}"
    for p in wanted:
        if (name, p.name) not in OTHER_DEFAULTS:
            own = ours[p.name].default
            assert same_default(own, p.default), f"{name}({p.name}=): {own!r}, Keras {p.default!r}"
    by_name = BY_NAME.get(place, [])
    direct = [p for p in named(inspect.signature(value).parameters) if p.kind is not p.KEYWORD_ONLY]
    order = [p.name for p in wanted if p.kind is not p.KEYWORD_ONLY]
    taken = [p.name for p in direct][: len(order)]
    while len(order) > len(taken) and order[-1] in by_name:
        order.pop()
    assert taken[: len(order)] == order


def test_exceptions_are_needed():
    for name, parameter in OTHER_DEFAULTS:
        ours, theirs = (getattr(library.utils, name) for library in (torchkeras, keras))
        defaults = [inspect.signature(value).parameters[parameter].default for value in (ours, theirs)]
        assert not same_default(*defaults), f"{name}({parameter}=) has Keras's default now: take it off the list"
