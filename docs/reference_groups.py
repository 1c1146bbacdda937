"""Headings for the largest namespaces of the reference, and the methods that the reference leaves out."""

# A name goes under the heading whose module, without `torchkeras.`, its own module starts with; the first one counts.
GROUPS: dict[str, dict[str, str]] = {
    "keras.layers": {
        "layers.base": "Base classes",
        "layers.core": "Core",
        "layers.activation": "Activations",
        "layers.convolutional": "Convolution",
        "layers.pooling": "Pooling",
        "layers.recurrent": "Recurrence",
        "layers.attention": "Attention",
        "layers.normalization": "Normalization",
        "layers.regularization": "Regularization",
        "layers.merging": "Merging",
        "layers.reshaping": "Reshaping",
        "layers.preprocessing.image": "Images",
        "layers.preprocessing.text": "Text and categories",
        "layers.preprocessing": "Numbers, sound, pipelines",
    },
    "keras.ops": {
        "ops.casting": "Tensors and types",
        "core.tensors": "Tensors and types",
        "ops.numpy.creation": "Creation",
        "ops.numpy.ranges": "Creation",
        "ops.numpy.windows": "Creation",
        "ops.numpy.shape": "Shapes, joining, splitting",
        "ops.numpy.manipulation": "Shapes, joining, splitting",
        "ops.numpy.joining": "Shapes, joining, splitting",
        "ops.numpy.indexing": "Indexing",
        "ops.slicing": "Indexing",
        "ops.scatter": "Indexing",
        "ops.numpy.arithmetic": "Arithmetic and functions of each value",
        "ops.numpy.elementwise": "Arithmetic and functions of each value",
        "ops.special": "Arithmetic and functions of each value",
        "ops.numpy.trigonometry": "Trigonometry",
        "ops.numpy.logic": "Logic and bits",
        "ops.numpy.bitwise": "Logic and bits",
        "ops.numpy.sums": "Reductions and statistics",
        "ops.numpy.statistics": "Reductions and statistics",
        "ops.numpy.nan": "Reductions and statistics",
        "ops.numpy.running": "Reductions and statistics",
        "ops.segment": "Reductions and statistics",
        "ops.numpy.sorting": "Sorting, searching, counting",
        "ops.numpy.counting": "Sorting, searching, counting",
        "ops.ranking": "Sorting, searching, counting",
        "ops.numpy.products": "Products",
        "ops.numpy.einsum": "Products",
        "ops.einops": "Products",
        "ops.linalg": "Linear algebra",
        "ops.nn": "Neural networks",
        "ops.fft": "Signals",
        "ops": "Control flow, loops, gradients",
    },
}


# Methods and properties that the package's own classes call on each other, and that Keras's classes do not have.
INTERNAL = frozenset(
    """
    acts_on_train_batches append axis_index dtype_policy_string file_path fits inputs_quantizer is_awq_calibrated
    is_gptq_calibrated is_in_one_process monitor_op only_progress_watches placements watches_predict_batches
    watches_test_batches watches_train_batches
    """.split()
)


def group_of(namespace: str, module: str) -> str:
    """The heading of a name in a namespace; empty if the namespace has no headings."""
    groups = GROUPS.get(namespace, {})
    own = module.removeprefix("torchkeras.")
    return next((title for start, title in groups.items() if own.startswith(start)), "Other" if groups else "")
