"""Advice for private names of Keras that nothing serves: module below `keras.src` to what to use in its place."""

INSTEAD: dict[str, str] = {
    "backend.jax": "There is one backend, PyTorch: use `keras.ops`, or torch itself.",
    "backend.tensorflow": "There is one backend, PyTorch: use `keras.ops`, or torch itself.",
    "backend.openvino": "There is one backend, PyTorch: use `keras.ops`, or torch itself.",
    "backend.torch": "Use `keras.ops`, or torch itself: tensors are torch's.",
    "backend": "Use `keras.ops`, `keras.random`, `keras.config` or `keras.backend`.",
    "backend.common.variables": "A variable is a torch tensor: use `keras.Variable`.",
    "legacy.preprocessing": (
        "Use `keras.utils.image_dataset_from_directory`, `keras.layers.TextVectorization`, "
        "`keras.utils.timeseries_dataset_from_array`, or the layers that change images."
    ),
    "legacy.backend": "Use `keras.ops`, `keras.random` and `keras.backend`.",
    "legacy": "Use `keras.saving.load_model`, which reads the older formats.",
    "models": "Use `keras.Model`, `keras.models.clone_model`, `model.get_config()` or `model.operations`.",
    "ops": "Use the functions of `keras.ops`, or subclass `keras.Operation`.",
    "optimizers": "Subclass `keras.optimizers.Optimizer`, or pass an optimizer of torch to `compile`.",
    "saving": "Use `keras.saving.save_model`, `load_model`, `save_weights`, `load_weights` or `KerasFileEditor`.",
    "trainers.data_adapters": (
        "Pass arrays, a `keras.utils.PyDataset`, a generator or a torch DataLoader to `fit`; to cut arrays into "
        "batches, use `torch.utils.data.TensorDataset`."
    ),
    "trainers": "Override `train_step`, `test_step`, `predict_step`, `compute_loss` or `compute_metrics` of a Model.",
    "utils.module_utils": "Import the package itself.",
    "utils.tf_utils": "TensorFlow is not used here.",
    "utils.jax_layer": "JAX is not used here.",
}
