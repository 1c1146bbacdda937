"""The tables of `doctor SCRIPT`: packages, methods and arguments that do not work here, with the words for each."""

from __future__ import annotations

DATA = "Give `fit` arrays, a torch DataLoader, a `keras.utils.PyDataset` or a generator."

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
    "tensorflow_model_optimization": "It needs TensorFlow. `model.quantize` makes weights smaller.",
    "tensorflow_io": "It needs TensorFlow. Read files by Python packages, and give `fit` arrays or a DataLoader.",
    "tf2onnx": 'It needs TensorFlow. Use `model.export(path, format="onnx")`.',
    "tf_explain": "It needs TensorFlow. Use captum, which reads torch modules.",
    "tf_keras_vis": "It needs TensorFlow. Use captum, which reads torch modules.",
    "optax": "It needs JAX. `keras.optimizers` has its algorithms.",
    "keras_contrib": "It needs Keras 2. Keras 3 has most of its layers itself.",
    "scikeras": "It needs TensorFlow. Use `keras.wrappers.SKLearnClassifier` and `SKLearnRegressor`.",
}

# Modules of packages that are written for TensorFlow's Keras.
MODULES = {
    "wandb.keras": "Use `keras.callbacks.WandbLogger`.",
    "wandb.integration.keras": "Use `keras.callbacks.WandbLogger`.",
    "mlflow.keras": "Use `keras.callbacks.MLflowLogger`, or `mlflow.pytorch`: a model is a torch module.",
    "mlflow.tensorflow": "Use `keras.callbacks.MLflowLogger`, or `mlflow.pytorch`: a model is a torch module.",
}

# Packages that import `keras` themselves.
# So does any package with "keras" in its name.
CLIENTS = ("kimm", "k3_node", "kgcnn", "kt_legacy", "bayesflow", "shap")

# Attributes of `tensorflow` with a counterpart that `keras.ops` does not have by the same name.
TENSORFLOW = {
    "data": DATA,
    "function": "Remove it; `compile(jit_compile=True)` or `torch.compile` compiles.",
    "GradientTape": "Use `loss.backward()` and each weight's `.grad`, as in any torch program.",
    "distribute": "Remove it and start the script with `torchrun`; see docs/distributed.md.",
    "io": "Use Python's or torch's functions for files.",
    "io.read_file": "Use `keras.utils.load_img`, or Python's `open`.",
    "random.set_seed": "Use `keras.utils.set_random_seed`.",
    "random.set_random_seed": "Use `keras.utils.set_random_seed`.",
    "compat": "This is TensorFlow 1: there are no sessions and no graphs to build here.",
    "Session": "This is TensorFlow 1: there are no sessions here.",
    "placeholder": "Use `keras.Input`.",
    "Variable": "Use `keras.Variable`, or `self.add_weight` in a layer.",
    "TensorShape": "A shape is a tuple.",
    "TensorSpec": "Use `keras.InputSpec`.",
    "RaggedTensor": "Pad the rows: `keras.utils.pad_sequences`.",
    "ragged": "Pad the rows: `keras.utils.pad_sequences`.",
    "sparse": "Use `torch.sparse_coo_tensor`.",
    "print": "Use `print`.",
    "newaxis": "Use `None`.",
    "debugging": "Use `assert`, or raise an error.",
    "autograph": "Remove it: layers are plain Python here.",
    "test": "Use `torch.cuda.is_available`.",
    "errors": "Catch torch's errors: `RuntimeError`, `torch.OutOfMemoryError`.",
    "lite": "Use `model.export`.",
    "summary": "Use `keras.callbacks.TensorBoard`, or `torch.utils.tensorboard`.",
    "train": "Use `model.save_weights`, or `keras.callbacks.BackupAndRestore`.",
    "device": "Use `keras.device`.",
    "get_static_value": "Use `keras.ops.convert_to_numpy`.",
    "keras": "Write `import torchkeras as keras`.",
    "image": "Use `keras.ops.image` or the image layers of `keras.layers`.",
    "strings": "Use `keras.layers.TextVectorization` and `StringLookup`, or Python's `str`.",
    "saved_model": "Use `model.save` and `model.export`.",
    "config": "Use `torch.cuda` and `keras.device`.",
    "random": "Use `keras.random`.",
    "linalg": "Use `keras.ops.linalg`.",
    "nn": "Use `keras.ops.nn`.",
    "math": "Use `keras.ops`.",
    "reduce_mean": "Use `keras.ops.mean`.",
    "reduce_std": "Use `keras.ops.std`.",
    "reduce_variance": "Use `keras.ops.var`.",
    "reduce_any": "Use `keras.ops.any`.",
    "reduce_all": "Use `keras.ops.all`.",
    "reduce_logsumexp": "Use `keras.ops.logsumexp`.",
    "numpy_function": "Call the function: tensors on the CPU are arrays by `keras.ops.convert_to_numpy`.",
    "py_function": "Call the function: tensors on the CPU are arrays by `keras.ops.convert_to_numpy`.",
    "gather": "Use `keras.ops.take`.",
    "gather_nd": "Index the tensor.",
    "boolean_mask": "Index the tensor with the mask.",
    "convert_to_tensor": "Use `keras.ops.convert_to_tensor`.",
    "map_fn": "Use `keras.ops.map`.",
    "clip_by_value": "Use `keras.ops.clip`.",
    "softmax_cross_entropy_with_logits": "Use `keras.ops.categorical_crossentropy(from_logits=True)`.",
    "sigmoid_cross_entropy_with_logits": "Use `keras.ops.binary_crossentropy(from_logits=True)`.",
    "sparse_softmax_cross_entropy_with_logits": "Use `keras.ops.sparse_categorical_crossentropy(from_logits=True)`.",
    "conv2d": "Use `keras.ops.conv`.",
    "dropout": "Use `keras.random.dropout`.",
    "embedding_lookup": "Use `keras.ops.take(axis=0)`.",
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

# Attributes of `jax` with a counterpart that `keras.ops` does not have by the same name.
JAX = {
    "jit": "Remove it; `compile(jit_compile=True)` or `torch.compile` compiles.",
    "grad": "Use `loss.backward()` and each weight's `.grad`, or `torch.func.grad`.",
    "value_and_grad": "Use `loss.backward()` and each weight's `.grad`, or `torch.func.grad_and_value`.",
    "vmap": "Use `torch.vmap`, or `keras.ops.vectorized_map`.",
    "pmap": "Remove it and start the script with `torchrun`; see docs/distributed.md.",
    "random": "Use `keras.random`.",
    "Array": "Use `torch.Tensor`.",
    "devices": "Use `torch.cuda` and `keras.device`.",
    "device_put": "Use `tensor.to`.",
    "device_count": "Use `torch.cuda.device_count`.",
    "device_get": "Use `keras.ops.convert_to_numpy`.",
    "sharding": "Use `keras.distribution`; see docs/distributed.md.",
    "tree_util": "Use `keras.tree`.",
    "tree": "Use `keras.tree`.",
    "checkpoint": "Use `keras.remat`.",
    "remat": "Use `keras.remat`.",
    "config": "Remove it.",
}

# Names of types: written as strings with Keras.
DTYPES = frozenset(
    "bool bfloat16 float16 float32 float64 half double int8 int16 int32 int64 uint8 uint16 uint32 string".split()
)

# Functions that give datasets of TensorFlow in Keras, and the methods of those that torch's DataLoader lacks.
DATASETS = ("dataset_from_directory", "dataset_from_array")
DATASET_METHODS = frozenset(
    "as_numpy_iterator batch cache concatenate enumerate filter interleave map prefetch rebatch repeat "
    "shuffle skip take unbatch with_options".split()
)

# Methods of models that Keras 3 removed: any object's call by one of these names is a hint.
METHODS = {
    "fit_generator": "Call `fit` with the generator.",
    "evaluate_generator": "Call `evaluate` with the generator.",
    "predict_generator": "Call `predict` with the generator.",
    "predict_classes": "Call `predict(x).argmax(-1)`.",
    "add_metric": "Update a metric that is an attribute of the model, in `call` or `train_step`.",
}

_OF_SOURCES = {
    "workers": "Give it to the DataLoader (`num_workers`) or to the `keras.utils.PyDataset`.",
    "use_multiprocessing": "Give it to the `keras.utils.PyDataset`.",
    "max_queue_size": "Give it to the `keras.utils.PyDataset`.",
}

# Arguments of Keras 2, by method: `model.fit(..., workers=4)`.
ARGUMENTS = {
    "fit": {
        **_OF_SOURCES,
        "nb_epoch": "It is called `epochs`.",
        "show_accuracy": 'Give `compile` `metrics=["accuracy"]`.',
    },
    "evaluate": _OF_SOURCES,
    "predict": _OF_SOURCES,
    "train_on_batch": {"reset_metrics": "Call `reset_metrics()` before it."},
    "test_on_batch": {"reset_metrics": "Call `reset_metrics()` before it."},
    "save_weights": {"save_format": "The ending of the path says the format: `.weights.h5`."},
    "save": {
        "save_format": "The ending of the path says the format: `.keras` or `.h5`.",
        "signatures": "Use `model.export`.",
    },
}

# Those that are taken with a warning.
IGNORED = {("save", "save_format")}

# Arguments of functions and layers in older versions of Keras: the name now, or what to do.
OLD_ARGUMENTS = {
    "lr": "learning_rate",
    "decay": "Give `learning_rate` a schedule of `keras.optimizers.schedules`, or use `weight_decay`.",
    "jit_compile": "Give it to `compile`.",
    "period": "save_freq",
    "options": "Leave it out.",
    "write_grads": "Leave it out.",
    "output_dim": "units",
    "init": "kernel_initializer",
    "bias": "use_bias",
    "W_regularizer": "kernel_regularizer",
    "b_regularizer": "bias_regularizer",
    "U_regularizer": "recurrent_regularizer",
    "W_constraint": "kernel_constraint",
    "b_constraint": "bias_constraint",
    "dropout_W": "dropout",
    "dropout_U": "recurrent_dropout",
    "inner_activation": "recurrent_activation",
    "inner_init": "recurrent_initializer",
    "border_mode": "padding",
    "nb_filter": "filters",
    "subsample": "strides",
    "dim_ordering": "data_format",
    "p": "rate",
    "weights": "Call `set_weights` of the built layer.",
    "fused": "Leave it out.",
    "virtual_batch_size": "Keras 3 has removed it.",
    "adjustment": "Keras 3 has removed it.",
    "time_major": "Transpose the input: its first axis is the batch.",
    "experimental_autocast": "autocast",
    "dynamic": "Leave it out: all layers are dynamic.",
    "tensor": "Keras 3 has removed it.",
}

# Names of Keras 2 and what Keras 3 has in their places.
OTHER_NAMES = {
    **{
        f"keras.layers.{place}": "The layers are in `keras.layers` themselves."
        for place in (
            *("experimental", "core", "convolutional", "embeddings", "normalization", "recurrent", "pooling"),
            *(
                "advanced_activations",
                "noise",
                "local",
                "merge",
                "wrappers",
                "convolutional_recurrent",
                "preprocessing",
            ),
        )
    },
    "keras.layers.Merge": "Use `keras.layers.Add`, `keras.layers.Concatenate` or another layer that merges.",
    "keras.layers.CuDNNLSTM": "Use `keras.layers.LSTM`, which runs torch's fused kernel.",
    "keras.layers.CuDNNGRU": "Use `keras.layers.GRU`, which runs torch's fused kernel.",
    "keras.layers.ThresholdedReLU": "Use `keras.layers.ReLU(threshold=...)`.",
    "keras.layers.LocallyConnected1D": "Keras 3 has removed it.",
    "keras.layers.LocallyConnected2D": "Keras 3 has removed it.",
    "keras.layers.DenseFeatures": "Use `keras.utils.FeatureSpace`.",
    "keras.feature_column": "Use `keras.utils.FeatureSpace`.",
    "keras.preprocessing.image.ImageDataGenerator": "Use `keras.utils.image_dataset_from_directory` and image layers.",
    "keras.preprocessing.text": "Use `keras.layers.TextVectorization`.",
    "keras.utils.multi_gpu_model": "Start the script with `torchrun`; see docs/distributed.md.",
    "keras.utils.np_utils": "Use `keras.utils.to_categorical`.",
    "keras.utils.vis_utils": "The functions are in `keras.utils` itself.",
    "keras.utils.generic_utils": "The functions are in `keras.utils` itself.",
    "keras.utils.data_utils": "The functions are in `keras.utils` itself.",
    "keras.utils.training_utils": "Keras 3 has removed it.",
    "keras.optimizers.experimental": "The optimizers are in `keras.optimizers` themselves.",
    **{
        f"keras.optimizers.{name}": "The optimizers are in `keras.optimizers` themselves."
        for name in ("adam_v2", "gradient_descent_v2", "rmsprop_v2", "adadelta_v2", "adagrad_v2")
    },
    "keras.callbacks.experimental": "The callbacks are in `keras.callbacks` themselves.",
    "keras.mixed_precision.experimental": "Use `keras.mixed_precision`.",
    "keras.losses.Reduction": 'Give `reduction` a string: `"sum_over_batch_size"`, `"sum"` or `"none"`.',
    "keras.losses.cosine_proximity": "Use `keras.losses.cosine_similarity`.",
    **{
        f"keras.{place}.{short}": f"Use `keras.{place}.{name}`."
        for place in ("losses", "metrics")
        for short, name in {
            "mse": "mean_squared_error",
            "MSE": "mean_squared_error",
            "mae": "mean_absolute_error",
            "MAE": "mean_absolute_error",
            "mape": "mean_absolute_percentage_error",
            "msle": "mean_squared_logarithmic_error",
        }.items()
    },
    "keras.wrappers.scikit_learn": "Use `keras.wrappers.SKLearnClassifier` and `SKLearnRegressor`.",
    "keras.engine": "Use the public names, such as `keras.layers.Layer` and `keras.Model`.",
    "keras.models.model_from_config": "Use `keras.saving.deserialize_keras_object`.",
    "keras.models.model_from_yaml": "Keras has removed it: loading could run code. Use `keras.models.model_from_json`.",
    "keras.estimator": "Keras 3 has removed it: call `fit`.",
    "keras.experimental": "Keras 3 has removed it.",
    "keras.backend.variable": "Use `keras.Variable`.",
    "keras.backend.constant": "Use `keras.ops.convert_to_tensor`.",
    "keras.backend.placeholder": "Use `keras.Input`.",
    "keras.backend.get_value": "Use `keras.ops.convert_to_numpy`.",
    "keras.backend.eval": "Use `keras.ops.convert_to_numpy`.",
    "keras.backend.set_value": "Call the variable's `assign`.",
    "keras.backend.update": "Call the variable's `assign`.",
    "keras.backend.int_shape": "Use `x.shape`.",
    "keras.backend.function": "Make a model: `keras.Model(inputs, outputs)`.",
    "keras.backend.gradients": "Use `torch.autograd.grad`.",
    "keras.backend.learning_phase": "Give `call` an argument `training`.",
    "keras.backend.set_learning_phase": "Call the model with `training=True` or `training=False`.",
    "keras.backend.random_uniform": "Use `keras.random.uniform`.",
    "keras.backend.random_normal": "Use `keras.random.normal`.",
    "keras.backend.dropout": "Use `keras.random.dropout`.",
    "keras.backend.ctc_batch_cost": "Use `keras.losses.CTC`, or `keras.ops.ctc_loss`.",
    "keras.backend.ctc_decode": "Use `keras.ops.ctc_decode`.",
    "keras.backend.concatenate": "Use `keras.ops.concatenate`.",
    "keras.backend.permute_dimensions": "Use `keras.ops.transpose`.",
    "keras.backend.batch_dot": "Use `keras.ops.matmul` or `keras.ops.einsum`.",
    "keras.backend.pow": "Use `keras.ops.power`.",
    "keras.backend.gather": "Use `keras.ops.take`.",
    "keras.backend.switch": "Use `keras.ops.where` or `keras.ops.cond`.",
    "keras.backend.in_train_phase": "Give `call` an argument `training`.",
    "keras.backend.tf": "Use `keras.ops`, or torch.",
    "keras.backend.get_session": "There are no sessions. Leave it out.",
    "keras.backend.set_session": "There are no sessions. Leave it out.",
    "keras.backend.tensorflow_backend": "There is one backend, PyTorch.",
}
