"""Where Keras keeps the rest of its public names: module below `keras.src` (3.15) to the public names in it.

A row reads like imports: `namespace: name, name as other` (`*`: all public names; no namespace: the top level).
"""

PARTS: dict[str, str] = {
    "activations": "activations: *",
    "activations.activations": "activations: *",
    "callbacks": "callbacks: *",
    "callbacks.backup_and_restore": "callbacks: BackupAndRestore",
    "callbacks.callback": "callbacks: Callback",
    "callbacks.callback_list": "callbacks: CallbackList",
    "callbacks.csv_logger": "callbacks: CSVLogger",
    "callbacks.early_stopping": "callbacks: EarlyStopping",
    "callbacks.history": "callbacks: History",
    "callbacks.lambda_callback": "callbacks: LambdaCallback",
    "callbacks.learning_rate_scheduler": "callbacks: LearningRateScheduler",
    "callbacks.model_checkpoint": "callbacks: ModelCheckpoint",
    "callbacks.orbax_checkpoint": "callbacks: OrbaxCheckpoint",
    "callbacks.progbar_logger": "callbacks: ProgbarLogger",
    "callbacks.reduce_lr_on_plateau": "callbacks: ReduceLROnPlateau",
    "callbacks.remote_monitor": "callbacks: RemoteMonitor",
    "callbacks.swap_ema_weights": "callbacks: SwapEMAWeights",
    "callbacks.tensorboard": "callbacks: TensorBoard",
    "callbacks.terminate_on_nan": "callbacks: TerminateOnNaN",
    "constraints": "constraints: Constraint, MaxNorm, MinMaxNorm, NonNeg, UnitNorm, deserialize, get, serialize",
    "constraints.constraints": "constraints: Constraint, MaxNorm, MinMaxNorm, NonNeg, UnitNorm",
    "distillation.distillation_loss": "distillation: DistillationLoss, FeatureDistillation, LogitsDistillation",
    "distillation.distiller": "distillation: Distiller",
    "distribution": (
        "distribution: DataParallel, DeviceMesh, LayoutMap, ModelParallel, TensorLayout, distribute_tensor, "
        "distribution, get_device_count, initialize, list_devices, set_distribution"
    ),
    "distribution.distribution_lib": (
        "distribution: DataParallel, DeviceMesh, LayoutMap, ModelParallel, TensorLayout, distribute_tensor, "
        "distribution, get_device_count, initialize, list_devices, set_distribution"
    ),
    "dtype_policies": "dtype_policies: DTypePolicy, DTypePolicyMap, FloatDTypePolicy, deserialize, get, serialize",
    "dtype_policies.dtype_policy": (
        "dtype_policies: DTypePolicy, FloatDTypePolicy; config: dtype_policy, set_dtype_policy"
    ),
    "dtype_policies.dtype_policy_map": "dtype_policies: DTypePolicyMap",
    "export": "export: ExportArchive",
    "initializers": "initializers: *",
    "initializers.constant_initializers": "initializers: Constant, Identity, Ones, STFT, Zeros",
    "initializers.initializer": "initializers: Initializer",
    "initializers.random_initializers": (
        "initializers: GlorotNormal, GlorotUniform, HeNormal, HeUniform, LecunNormal, LecunUniform, Orthogonal, "
        "RandomNormal, RandomUniform, TruncatedNormal, VarianceScaling"
    ),
    "losses": "losses: *",
    "losses.loss": "losses: Loss",
    "losses.losses": "losses: *",
    "metrics": "metrics: *",
    "metrics.accuracy_metrics": (
        "metrics: Accuracy, BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy, "
        "SparseTopKCategoricalAccuracy, TopKCategoricalAccuracy, binary_accuracy, categorical_accuracy, "
        "sparse_categorical_accuracy, sparse_top_k_categorical_accuracy, top_k_categorical_accuracy"
    ),
    "metrics.confusion_metrics": (
        "metrics: AUC, FalseNegatives, FalsePositives, Precision, PrecisionAtRecall, Recall, RecallAtPrecision, "
        "SensitivityAtSpecificity, SpecificityAtSensitivity, TrueNegatives, TruePositives"
    ),
    "metrics.correlation_metrics": (
        "metrics: ConcordanceCorrelation, PearsonCorrelation, concordance_correlation, pearson_correlation"
    ),
    "metrics.f_score_metrics": "metrics: F1Score, FBetaScore",
    "metrics.hinge_metrics": "metrics: CategoricalHinge, Hinge, SquaredHinge",
    "metrics.iou_metrics": "metrics: BinaryIoU, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU",
    "metrics.metric": "metrics: Metric",
    "metrics.probabilistic_metrics": (
        "metrics: BinaryCrossentropy, CategoricalCrossentropy, KLDivergence, Poisson, SparseCategoricalCrossentropy"
    ),
    "metrics.reduction_metrics": "metrics: Mean, MeanMetricWrapper, Sum",
    "metrics.regression_metrics": (
        "metrics: CosineSimilarity, LogCoshError, MeanAbsoluteError, MeanAbsolutePercentageError, "
        "MeanSquaredError, MeanSquaredLogarithmicError, R2Score, RootMeanSquaredError"
    ),
    "models": "models: Model, Sequential",
    "models.cloning": "models: clone_model",
    "models.model": "models: Model, model_from_json",
    "models.sequential": "models: Sequential",
    "ops": "ops: *; : KerasTensor, Operation, name_scope; backend: result_type",
    "ops.core": "ops: *; operations: ops.core",
    "ops.einops": "ops: rearrange; operations: ops.einops",
    "ops.function": ": Function",
    "ops.image": "ops.image: *; operations: ops.image",
    "ops.linalg": "ops.linalg: *; operations: ops.linalg",
    "ops.math": "ops: *; operations: ops.math",
    "ops.nn": "ops.nn: *; operations: ops.nn",
    "ops.numpy": "ops.numpy: *; operations: ops.numpy",
    "ops.operation": ": Operation",
    "ops.operation_utils": "utils: get_source_inputs",
    "optimizers": "optimizers: *",
    "optimizers.adadelta": "optimizers: Adadelta",
    "optimizers.adafactor": "optimizers: Adafactor",
    "optimizers.adagrad": "optimizers: Adagrad",
    "optimizers.adam": "optimizers: Adam",
    "optimizers.adamax": "optimizers: Adamax",
    "optimizers.adamw": "optimizers: AdamW",
    "optimizers.ftrl": "optimizers: Ftrl",
    "optimizers.lamb": "optimizers: Lamb",
    "optimizers.lion": "optimizers: Lion",
    "optimizers.loss_scale_optimizer": "optimizers: LossScaleOptimizer",
    "optimizers.multi_optimizer": "optimizers: MultiOptimizer, OptimizerMap",
    "optimizers.muon": "optimizers: Muon",
    "optimizers.nadam": "optimizers: Nadam",
    "optimizers.optimizer": "optimizers: Optimizer",
    "optimizers.rmsprop": "optimizers: RMSprop",
    "optimizers.schedule_free_adamw": "optimizers: ScheduleFreeAdamW",
    "optimizers.schedules": (
        "optimizers.schedules: CosineDecay, CosineDecayRestarts, ExponentialDecay, InverseTimeDecay, "
        "PiecewiseConstantDecay, PolynomialDecay"
    ),
    "optimizers.schedules.learning_rate_schedule": (
        "optimizers.schedules: CosineDecay, CosineDecayRestarts, ExponentialDecay, InverseTimeDecay, "
        "LearningRateSchedule, PiecewiseConstantDecay, PolynomialDecay, deserialize, serialize"
    ),
    "optimizers.sgd": "optimizers: SGD",
    "quantizers": "quantizers: *",
    "quantizers.awq_config": "quantizers: AWQConfig",
    "quantizers.gptq_config": "quantizers: GPTQConfig",
    "quantizers.quantization_config": (
        "quantizers: Float8QuantizationConfig, Int4QuantizationConfig, Int8QuantizationConfig, QuantizationConfig"
    ),
    "quantizers.quantizers": (
        "quantizers: AbsMaxQuantizer, Quantizer, abs_max_quantize, abs_max_quantize_grouped_with_zero_point, "
        "compute_float8_amax_history, compute_float8_scale, fake_quant_with_min_max_vars, pack_int4, "
        "quantize_and_dequantize, unpack_int4"
    ),
    "random": (
        "random: SeedGenerator, categorical, dropout, gamma, normal, randint, shuffle, truncated_normal, uniform"
    ),
    "random.random": (
        "random: beta, binomial, categorical, dropout, gamma, normal, randint, shuffle, truncated_normal, uniform"
    ),
    "random.seed_generator": "random: SeedGenerator",
    "regularizers": "regularizers: L1, L1L2, L2, OrthogonalRegularizer, Regularizer, deserialize, get, serialize",
    "regularizers.regularizers": "regularizers: L1, L1L2, L2, OrthogonalRegularizer, Regularizer",
    "saving": (
        "saving: CustomObjectScope, custom_object_scope, deserialize_keras_object, get_custom_objects, "
        "get_registered_name, get_registered_object, load_model, register_keras_serializable, "
        "serialize_keras_object"
    ),
    "saving.file_editor": "saving: KerasFileEditor",
    "saving.object_registration": (
        "saving: CustomObjectScope, custom_object_scope, get_custom_objects, get_registered_name, "
        "get_registered_object, register_keras_serializable"
    ),
    "saving.saving_api": "saving: load_model, load_weights, save_model, save_weights",
    "saving.serialization_lib": (
        "saving: deserialize_keras_object, serialize_keras_object; config: enable_unsafe_deserialization"
    ),
    "tree": (
        "tree: assert_same_paths, assert_same_structure, flatten, flatten_with_path, is_nested, lists_to_tuples, "
        "map_shape_structure, map_structure, map_structure_up_to, pack_sequence_as, traverse"
    ),
    "tree.tree_api": (
        "tree: MAP_TO_NONE, assert_same_paths, assert_same_structure, flatten, flatten_with_path, is_nested, "
        "lists_to_tuples, map_shape_structure, map_structure, map_structure_up_to, pack_sequence_as, traverse"
    ),
    "utils": "utils: *",
    "utils.audio_dataset_utils": "utils: audio_dataset_from_directory",
    "utils.backend_utils": "config: set_backend",
    "utils.config": "utils: Config",
    "utils.dataset_utils": "utils: split_dataset",
    "utils.file_utils": "utils: get_file",
    "utils.image_dataset_utils": "utils: image_dataset_from_directory",
    "utils.image_utils": "utils: array_to_img, img_to_array, load_img, save_img; preprocessing.image: smart_resize",
    "utils.io_utils": (
        "utils: disable_interactive_logging, enable_interactive_logging, is_interactive_logging_enabled"
    ),
    "utils.model_visualization": "utils: model_to_dot, plot_model",
    "utils.naming": "backend: get_uid",
    "utils.numerical_utils": "utils: normalize, to_categorical",
    "utils.progbar": "utils: Progbar",
    "utils.rng_utils": "utils: set_random_seed",
    "utils.sequence_utils": "utils: pad_sequences",
    "utils.text_dataset_utils": "utils: text_dataset_from_directory",
    "utils.timeseries_dataset_utils": "utils: timeseries_dataset_from_array",
    "utils.torch_utils": "layers: TorchModuleWrapper",
    "utils.traceback_utils": (
        "config: disable_traceback_filtering, enable_traceback_filtering, is_traceback_filtering_enabled"
    ),
    "version": ": version",
    "visualization.draw_bounding_boxes": "visualization: draw_bounding_boxes",
    "visualization.draw_segmentation_masks": "visualization: draw_segmentation_masks",
    "visualization.plot_bounding_box_gallery": "visualization: plot_bounding_box_gallery",
    "visualization.plot_image_gallery": "visualization: plot_image_gallery",
    "visualization.plot_segmentation_mask_gallery": "visualization: plot_segmentation_mask_gallery",
    "wrappers": "wrappers: SKLearnClassifier, SKLearnRegressor, SKLearnTransformer",
    "wrappers.sklearn_wrapper": "wrappers: SKLearnClassifier, SKLearnRegressor, SKLearnTransformer",
}
