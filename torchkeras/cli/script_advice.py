"""The tables of `doctor SCRIPT`: packages, methods and arguments that do not work here, with the words for each."""

from __future__ import annotations

# Packages that are frameworks of their own, by the first part of their names.
FRAMEWORKS = {
    "tensorflow": "Tensors here are torch's: use `keras.ops` or torch, and a torch DataLoader or arrays as data.",
    "tf_keras": "This is Keras 2. Write `import torchkeras as keras`.",
    "jax": "Tensors here are torch's: use `keras.ops`, which has the names of `jax.numpy`, or torch.",
    "flax": "Modules here are torch's: write the layer as a `keras.layers.Layer` or a `torch.nn.Module`.",
    "keras_core": "This is an early Keras 3. Write `import torchkeras as keras`.",
    "tensorflow_datasets": "It needs TensorFlow. Use `keras.datasets`, or the files as arrays.",
    "tensorflow_text": "It needs TensorFlow. Use `keras.layers.TextVectorization`, which does not need it here.",
    "tensorflow_addons": "It needs TensorFlow. Keras 3 has most of its layers, losses and metrics itself.",
    "tensorflow_hub": "It needs TensorFlow. `keras.applications` has networks, and `keras.layers.TorchModuleWrapper` "
    "takes any torch module.",
    "tensorflow_probability": "It needs TensorFlow. Use `torch.distributions`.",
}

# Packages that import `keras` themselves.
CLIENTS = ("keras_tuner", "kerastuner", "keras_hub", "keras_nlp", "keras_cv", "keras_rs", "kimm", "autokeras", "shap")

# Attributes of `tensorflow` with a counterpart that `keras.ops` does not have by the same name.
TENSORFLOW = {
    "data": "Give `fit` arrays, a torch DataLoader, a `keras.utils.PyDataset` or a generator.",
    "function": "Remove it; `compile(jit_compile=True)` or `torch.compile` compiles.",
    "GradientTape": "Use `loss.backward()` and each weight's `.grad`, as in any torch program.",
    "distribute": "Remove it and start the script with `torchrun`; see docs/distributed.md.",
    "io": "Use Python's or torch's functions for files.",
    "image": "Use `keras.ops.image` or the image layers of `keras.layers`.",
    "strings": "Use `keras.layers.TextVectorization` and `StringLookup`, or Python's `str`.",
    "saved_model": "Use `model.save` and `model.export`.",
    "config": "Use `torch.cuda` and `keras.device`.",
    "random": "Use `keras.random`.",
    "linalg": "Use `keras.ops.linalg`.",
    "nn": "Use `keras.ops.nn`.",
    "math": "Use `keras.ops`.",
    "reduce_mean": "Use `keras.ops.mean`.",
    "reduce_sum": "Use `keras.ops.sum`.",
    "reduce_max": "Use `keras.ops.max`.",
    "reduce_min": "Use `keras.ops.min`.",
    "reduce_prod": "Use `keras.ops.prod`.",
    "concat": "Use `keras.ops.concatenate`.",
    "pow": "Use `keras.ops.power`.",
    "range": "Use `keras.ops.arange`.",
    "constant": "Use `keras.ops.convert_to_tensor`.",
    "Tensor": "Use `torch.Tensor`.",
    "Module": "Use `torch.nn.Module`.",
}

# Methods of models that Keras 3 removed: any object's call by one of these names is a hint.
METHODS = {
    "fit_generator": "Call `fit` with the generator.",
    "evaluate_generator": "Call `evaluate` with the generator.",
    "predict_generator": "Call `predict` with the generator.",
    "predict_classes": "Call `predict(x).argmax(-1)`.",
}

# Arguments of Keras 2, by method: `model.fit(..., workers=4)`.
ARGUMENTS = {
    "fit": {
        "workers": "Give it to the DataLoader (`num_workers`) or to the `keras.utils.PyDataset`.",
        "use_multiprocessing": "Give it to the `keras.utils.PyDataset`.",
        "max_queue_size": "Give it to the `keras.utils.PyDataset`.",
        "nb_epoch": "It is called `epochs`.",
    },
    "save": {
        "save_format": "The ending of the path says the format: `.keras` or `.h5`.",
        "signatures": "Use `model.export`.",
    },
}

# Those that are taken with a warning.
IGNORED = {("save", "save_format")}

# Names of Keras 2 and what Keras 3 has in their places.
OTHER_NAMES = {
    "keras.layers.experimental": "The layers are in `keras.layers` themselves.",
    "keras.layers.CuDNNLSTM": "Use `keras.layers.LSTM`, which runs torch's fused kernel.",
    "keras.layers.CuDNNGRU": "Use `keras.layers.GRU`, which runs torch's fused kernel.",
    "keras.layers.ThresholdedReLU": "Use `keras.layers.ReLU(threshold=...)`.",
    "keras.layers.LocallyConnected1D": "Keras 3 has removed it.",
    "keras.layers.LocallyConnected2D": "Keras 3 has removed it.",
    "keras.preprocessing.image.ImageDataGenerator": "Use `keras.utils.image_dataset_from_directory` and image layers.",
    "keras.preprocessing.text": "Use `keras.layers.TextVectorization`.",
    "keras.utils.multi_gpu_model": "Start the script with `torchrun`; see docs/distributed.md.",
    "keras.utils.np_utils": "Use `keras.utils.to_categorical`.",
    "keras.optimizers.experimental": "The optimizers are in `keras.optimizers` themselves.",
    "keras.wrappers.scikit_learn": "Use `keras.wrappers.SKLearnClassifier` and `SKLearnRegressor`.",
    "keras.engine": "Use the public names, such as `keras.layers.Layer` and `keras.Model`.",
    "keras.models.model_from_config": "Use `keras.saving.deserialize_keras_object`.",
    "keras.models.model_from_yaml": "Keras has removed it: loading could run code. Use `keras.models.model_from_json`.",
}
