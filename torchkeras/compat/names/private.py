"""Private names of Keras that other packages use, and what serves them: module below `keras.src` to our names.

A row reads like imports: `namespace: name, name as other`; the namespace is below `torchkeras`.
"""

_TENSOR_OPS = (
    "ops: associative_scan, cast, cond, convert_to_numpy, convert_to_tensor, custom_gradient, fori_loop, is_tensor, "
    "map, scan, scatter, scatter_update, shape, slice, slice_update, stop_gradient, switch, unstack, vectorized_map, "
    "while_loop"
)
_VARIABLES = (
    "core.variables.variable: Variable, Variable as KerasVariable; compat.stand_ins.scopes: AutocastScope, "
    "get_autocast_scope; backend: is_float_dtype, is_int_dtype, result_type, standardize_dtype; "
    "core.symbolic.keras_tensor: standardize_shape"
)
_SCOPES = (
    ": StatelessScope, SymbolicScope, device, name_scope; core.variables.variable: get_stateless_scope, "
    "in_stateless_scope; core.symbolic.infer: in_symbolic_scope, get_symbolic_scope"
)
_FACTS = (
    "compat.stand_ins.facts: IS_THREAD_SAFE, SUPPORTS_COMPLEX_DTYPES, SUPPORTS_RAGGED_TENSORS, "
    "SUPPORTS_SPARSE_TENSORS, random_seed_dtype, distribution_lib"
)
_TORCH = (
    "core.tensors.devices: device as device_scope; core.tensors.dtypes: torch_dtype as to_torch_dtype; "
    "compat.stand_ins.facts: get_device; core.symbolic.infer: compute_output_spec"
)
_DATA_FORMAT = "core.settings: standardize_data_format"
_MASKS = "core.tensors.masks: get_mask as get_keras_mask, set_mask as set_keras_mask"
_SETTINGS = "config: *; compat.stand_ins.facts: keras_home, set_nnx_enabled"
_SYMBOLS = "core.symbolic.keras_tensor: KerasTensor, is_keras_tensor, any_symbolic as any_symbolic_tensors"
_EXPORT = "compat.stand_ins.tools: keras_export"
_TRACKED = "layers.base.containers: TrackedList, TrackedDict, TrackedSet, TrackedOrderedDict"
_IMAGE_SHAPES = "applications.building.input_shapes: obtain_input_shape; compat.stand_ins.tools: correct_pad"

PRIVATE: dict[str, str] = {
    "": ": *; compat.stand_ins.functional: Functional",
    "api_export": _EXPORT + ", register_internal_serializable, get_name_from_symbol, get_symbol_from_name",
    "applications.imagenet_utils": _IMAGE_SHAPES + ", validate_activation",
    "backend": "; ".join(
        [_TENSOR_OPS, _VARIABLES, _SCOPES, _FACTS, _TORCH, _DATA_FORMAT, _MASKS, _SYMBOLS, "backend: *", _EXPORT]
    ),
    "backend.common": _VARIABLES,
    "backend.common.backend_utils": (
        "compat.stand_ins.shapes: canonicalize_axis, canonicalize_axes, to_tuple_or_list, "
        "compute_conv_transpose_output_shape"
    ),
    "backend.common.dtypes": (
        "compat.stand_ins.facts: ALLOWED_DTYPES, BOOL_TYPES, COMPLEX_TYPES, FLOAT_TYPES, FLOAT8_TYPES, INT_TYPES; "
        "backend: result_type"
    ),
    "backend.common.global_state": (
        "compat.stand_ins.global_state: get_global_attribute, set_global_attribute; backend: clear_session"
    ),
    "backend.common.keras_tensor": _SYMBOLS,
    "backend.common.masking": _MASKS,
    "backend.common.name_scope": ": name_scope; core.naming: current_path",
    "backend.common.remat": ": RematScope, remat; core.operations.remat: RematMode, get_current_remat_mode",
    "backend.common.stateless_scope": (
        ": StatelessScope; core.variables.variable: get_stateless_scope, in_stateless_scope"
    ),
    "backend.common.symbolic_scope": ": SymbolicScope; core.symbolic.infer: in_symbolic_scope, get_symbolic_scope",
    "backend.common.tensor_attributes": "compat.stand_ins.tools: get_tensor_attr, set_tensor_attr",
    "backend.common.variables": _VARIABLES,
    "backend.config": f"{_SETTINGS}; {_DATA_FORMAT}",
    "backend.core": f"{_TENSOR_OPS}; {_TORCH}",
    "backend.image": "ops.image: *",
    "backend.linalg": "ops.linalg: *",
    "backend.math": "ops: *",
    "backend.nn": "ops.nn: *",
    "backend.numpy": "ops.numpy: *",
    "backend.random": "random: *; core.variables.seeds: draw_seed",
    "backend.torch": "; ".join([_TENSOR_OPS, ": Variable, name_scope", _FACTS, _TORCH]),
    "backend.torch.core": f"{_TENSOR_OPS}; {_TORCH}; : Variable",
    "backend.torch.image": "ops.image: *",
    "backend.torch.layer": "layers: Layer as TorchLayer",
    "backend.torch.linalg": "ops.linalg: *",
    "backend.torch.math": "ops: *",
    "backend.torch.nn": "ops.nn: *",
    "backend.torch.numpy": "ops.numpy: *",
    "backend.torch.random": (
        "random: *; core.variables.seeds: draw_seed; compat.stand_ins.facts: torch_seed_generator"
    ),
    "backend.torch.trainer": (
        "training.trainer: Trainer as TorchTrainer; compat.stand_ins.adapters: EpochIterator, TorchEpochIterator"
    ),
    "callbacks.monitor_callback": "callbacks.monitor_callback: MonitorCallback",
    "distribution.distribution_lib": "distributed.distributions: Distribution",
    "initializers.random_initializers": "initializers.random: RandomInitializer, compute_fans",
    "layers": "layers.preprocessing.text.index_lookup: IndexLookup",
    "layers.convolutional.base_conv": "layers.convolutional.base_conv: BaseConv",
    "layers.convolutional.base_conv_transpose": "layers.convolutional.conv_transpose: BaseConvTranspose",
    "layers.convolutional.base_depthwise_conv": "layers.convolutional.depthwise: BaseDepthwiseConv",
    "layers.convolutional.base_separable_conv": "layers.convolutional.depthwise: BaseSeparableConv",
    "layers.merging.base_merge": "layers.merging.base_merge: Merge",
    "layers.pooling.base_global_pooling": "layers.pooling.global_pooling: BaseGlobalPooling",
    "layers.pooling.base_pooling": "layers.pooling.pooling: BasePooling",
    "layers.preprocessing.data_layer": "layers.preprocessing.data_layer: DataLayer",
    "layers.preprocessing.feature_space": "utils.feature_space: Cross, Feature",
    "layers.preprocessing.image_preprocessing.base_image_preprocessing_layer": (
        "layers.preprocessing.image.base: BaseImagePreprocessingLayer"
    ),
    "layers.preprocessing.image_preprocessing.bounding_boxes.validation": (
        "layers.preprocessing.image.bounding_boxes.validation: densify_bounding_boxes"
    ),
    "layers.preprocessing.index_lookup": "layers.preprocessing.text.index_lookup: IndexLookup",
    "layers.rnn.dropout_rnn_cell": "layers.recurrent.dropout_cell: DropoutRNNCell",
    "legacy.saving.serialization": "legacy.saving: deserialize_keras_object, serialize_keras_object",
    "legacy.saving.legacy_h5_format": (
        "saving: load_model as load_model_from_hdf5; compat.stand_ins.saving: save_model_to_hdf5"
    ),
    "losses.loss": "losses.shapes: match_ranks as squeeze_or_expand_to_same_rank",
    "losses.losses": "losses.loss: LossFunctionWrapper",
    "models": "compat.stand_ins.functional: Functional",
    "models.functional": "compat.stand_ins.functional: Functional, is_input_keras_tensor",
    "ops.node": "core.symbolic.node: Node; core.symbolic.keras_tensor: History as KerasHistory, is_keras_tensor",
    "ops.operation_utils": (
        "core.symbolic.infer: broadcast_shapes; compat.stand_ins.shapes: compute_conv_output_shape, "
        "compute_expand_dims_output_shape, compute_reshape_output_shape, compute_transpose_output_shape, reduce_shape"
    ),
    "optimizers.base_optimizer": "optimizers: Optimizer as BaseOptimizer",
    "random": "core.variables.seeds: draw_seed, make_default_seed",
    "random.seed_generator": "core.variables.seeds: draw_seed, global_seed_generator, make_default_seed",
    "saving": "saving: load_weights, save_model, save_weights, KerasFileEditor",
    "saving.keras_saveable": "compat.stand_ins.saving: KerasSaveable",
    "saving.saving_lib": (
        "saving: load_model, save_model, load_weights as load_weights_only, save_weights as save_weights_only; "
        "compat.stand_ins.saving: H5IOStore"
    ),
    "saving.serialization_lib": "core.config.serialization: SafeModeScope; compat.stand_ins.saving: in_safe_mode",
    "testing": (
        "compat.testing: TestCase, get_test_data, named_product, jax_uses_gpu, tensorflow_uses_gpu, "
        "torch_uses_gpu, uses_gpu"
    ),
    "testing.test_case": "compat.testing: TestCase, jax_uses_gpu, tensorflow_uses_gpu, torch_uses_gpu, uses_gpu",
    "testing.test_utils": "compat.testing: get_test_data, named_product",
    "trainers.compile_utils": (
        "training.compile.loss: CompileLoss, get_loss; training.compile.metrics: CompileMetrics, get_metric"
    ),
    "trainers.data_adapters": (
        "compat.stand_ins.data: is_grain_dataset, is_tf_dataset, is_torch_dataloader; compat.stand_ins.adapters: "
        "ArrayDataAdapter, GeneratorDataAdapter, PyDatasetAdapter, TorchDataLoaderAdapter, get_data_adapter"
    ),
    "trainers.data_adapters.array_data_adapter": "compat.stand_ins.adapters: ArrayDataAdapter, can_convert_arrays",
    "trainers.data_adapters.data_adapter": "compat.stand_ins.adapters: DataAdapter",
    "trainers.data_adapters.generator_data_adapter": "compat.stand_ins.adapters: GeneratorDataAdapter",
    "trainers.data_adapters.torch_data_loader_adapter": "compat.stand_ins.adapters: TorchDataLoaderAdapter",
    "trainers.data_adapters.array_slicing": "training.data.split: train_validation_split",
    "trainers.data_adapters.data_adapter_utils": (
        "utils: pack_x_y_sample_weight, unpack_x_y_sample_weight; compat.stand_ins.data: list_to_tuple, "
        "is_jax_array, is_scipy_sparse, is_tensorflow_tensor, is_torch_tensor, check_data_cardinality, "
        "class_weight_to_sample_weights; compat.stand_ins.adapters: get_numpy_iterator, get_torch_dataloader"
    ),
    "trainers.data_adapters.py_dataset_adapter": "utils: PyDataset; compat.stand_ins.adapters: PyDatasetAdapter",
    "trainers.epoch_iterator": "compat.stand_ins.adapters: EpochIterator",
    "trainers.trainer": "training.trainer: Trainer",
    "utils": "compat.stand_ins.tools: default, is_default, removeprefix, removesuffix",
    "utils.argument_validation": (
        "compat.stand_ins.tools: standardize_padding, standardize_tuple, validate_string_arg"
    ),
    "utils.backend_utils": "compat.stand_ins.facts: in_grain_data_pipeline, in_tf_graph",
    "utils.dtype_utils": "compat.stand_ins.tools: dtype_size, is_float, cast_to_common_dtype",
    "utils.file_utils": "compat.stand_ins.files: File, copy, exists, isdir, is_remote_path, join, listdir, makedirs, "
    "path_to_string, remove, rmtree",
    "utils.io_utils": "reporting.progress: announce as print_msg",
    "utils.module_utils": (
        "compat.stand_ins.lazy_modules: LazyModule, tensorflow, gfile, tensorflow_io, jax, scipy, torch_xla, optree, "
        "dmtree, grain, litert, ocp, tf2onnx, jax2onnx, h5py"
    ),
    "utils.naming": (
        "core.naming: auto_name, snake_case as to_snake_case, unique_name as uniquify, reset_names as reset_uids; "
        "compat.stand_ins.tools: get_object_name"
    ),
    "utils.python_utils": (
        "compat.stand_ins.tools: default, is_default, pythonify_logs, remove_by_id, remove_long_seq, removeprefix, "
        "removesuffix, to_list"
    ),
    "utils.summary_utils": "compat.stand_ins.tools: count_params, readable_memory_size, weight_memory_size",
    "utils.tracking": (
        f"layers.base.untracked: DotNotTrackScope, is_tracking_enabled, no_automatic_dependency_tracking; {_TRACKED}"
    ),
    "version": "compat.names: SERVED_VERSION as __version__",
}
