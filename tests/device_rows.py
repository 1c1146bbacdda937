"""Small computations on the current device, rows by name: of every op, layer, loss, metric and optimizer.

Each row is a function without arguments that draws its inputs by a seed of its own and returns the results as a nest of
tensors. So one may be run on two devices and compared: by tests on a pretended GPU, by `scripts/gpu_check.py` on a real
one. Tables of other tests are used where there are any.
"""

from __future__ import annotations

import importlib
import inspect
import operator
import pathlib
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import torchkeras as keras
from tests.interop import color_layer_cases, layer_cases, loss_cases, metric_cases
from tests.ops.row import Row, tensors
from tests.optimizers import optimizer_cases
from torchkeras.core import tree
from torchkeras.core.tensors.devices import current_device

Check = Callable[[], Any]

IMAGES = (2, 8, 10, 3)
# Layers that no table of layers with one float input has: arguments, shape of the inputs.
MORE_LAYERS: list[tuple[str, dict[str, Any], Any]] = [
    *((name, {"units": 3, **more}, (4, 5, 2)) for name in ("SimpleRNN", "GRU", "LSTM")
      for more in ({}, {"return_sequences": True, "return_state": True, "go_backwards": True, "dropout": 0.2})),
    ("GRU", {"units": 3, "reset_after": False, "recurrent_dropout": 0.2}, (4, 5, 2)),
    ("LSTM", {"units": 3, "unroll": True, "stateful": True}, (4, 5, 2)),
    ("LSTM", {"units": 3, "use_cudnn": False}, (4, 5, 2)),
    *((f"ConvLSTM{rank}D", {"filters": 2, "kernel_size": 2, "dropout": 0.2}, (2, 3, *[4] * rank, 2))
      for rank in (1, 2, 3)),
    ("SpatialDropout1D", {"rate": 0.4}, (2, 5, 3)),
    ("SpatialDropout2D", {"rate": 0.4}, (2, 5, 4, 3)),
    ("SpatialDropout3D", {"rate": 0.4}, (2, 5, 4, 3, 3)),
    ("Dropout", {"rate": 0.4}, (4, 6)),
    ("Dropout", {"rate": 0.4, "noise_shape": (None, 1), "seed": 3}, (4, 6)),
    ("AlphaDropout", {"rate": 0.4}, (4, 6)),
    ("GaussianDropout", {"rate": 0.4}, (4, 6)),
    ("GaussianNoise", {"stddev": 0.4}, (4, 6)),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "dropout": 0.2}, [(2, 4, 6), (2, 4, 6)]),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "use_gate": True}, [(2, 4, 6), (2, 4, 6)]),
    ("GroupQueryAttention", {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}, [(2, 4, 6), (2, 4, 6)]),
    *((name, {"dropout": 0.2}, [[(2, 4, 6), (2, 4, 6)]]) for name in ("Attention", "AdditiveAttention")),
    ("EinsumDense", {"equation": "abc,cd->abd", "output_shape": (None, 4), "bias_axes": "d"}, (2, 3, 5)),
    ("TernaryDense", {"units": 4}, (3, 8)),
    ("Normalization", {"mean": [1.0, 2.0, 3.0], "variance": [1.0, 2.0, 3.0]}, (4, 3)),
    ("Discretization", {"bin_boundaries": [-1.0, 0.0, 1.0]}, (4, 3)),
    ("Discretization", {"bin_boundaries": [-1.0, 0.0, 1.0], "output_mode": "multi_hot"}, (4, 3)),
    ("CategoryEncoding", {"num_tokens": 7, "output_mode": "multi_hot"}, ("int", 7, (4, 3))),
    ("CategoryEncoding", {"num_tokens": 7, "output_mode": "count"}, ("int", 7, (4, 3))),
    ("CategoryEncoding", {"num_tokens": 7, "output_mode": "one_hot"}, ("int", 7, (4,))),
    ("Hashing", {"num_bins": 5}, ("int", 70, (4, 1))),
    ("HashedCrossing", {"num_bins": 5}, [("int", 7, (4, 1)), ("int", 7, (4, 1))]),
    ("IntegerLookup", {"vocabulary": [1, 3, 5]}, ("int", 7, (4, 3))),
    ("IntegerLookup", {"vocabulary": [1, 3, 5], "output_mode": "multi_hot"}, ("int", 7, (4, 3))),
    ("CenterCrop", {"height": 4, "width": 5}, IMAGES),
    ("Resizing", {"height": 5, "width": 7}, IMAGES),
    ("Resizing", {"height": 5, "width": 7, "interpolation": "nearest", "crop_to_aspect_ratio": True}, IMAGES),
    ("UpSampling2D", {"size": 2, "interpolation": "bilinear"}, IMAGES),
    ("RandomFlip", {"seed": 1}, IMAGES),
    ("RandomRotation", {"factor": 0.2, "seed": 1}, IMAGES),
    ("RandomRotation", {"factor": 0.2, "seed": 1, "fill_mode": "constant", "fill_value": 0.5}, IMAGES),
    ("RandomZoom", {"height_factor": 0.3, "seed": 1}, IMAGES),
    ("RandomTranslation", {"height_factor": 0.3, "width_factor": 0.3, "seed": 1, "interpolation": "nearest"}, IMAGES),
    ("RandomShear", {"x_factor": 0.3, "y_factor": 0.3, "seed": 1}, IMAGES),
    ("RandomPerspective", {"factor": 0.5, "seed": 1}, IMAGES),
    ("RandomCrop", {"height": 4, "width": 5, "seed": 1}, IMAGES),
    ("RandomErasing", {"seed": 1}, IMAGES),
    ("RandomElasticTransform", {"seed": 1}, IMAGES),
    ("RandomGaussianBlur", {"seed": 1}, IMAGES),
    ("RandAugment", {"seed": 1, "value_range": (0, 1)}, IMAGES),
    ("AugMix", {"seed": 1, "value_range": (0, 1)}, IMAGES),
    *((case.name, {**case.arguments, **(case.unit or {})}, IMAGES) for case in color_layer_cases.CASES),
]  # fmt: skip
WRAPPED: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "Bidirectional": (lambda k: k.layers.Bidirectional(k.layers.LSTM(3, return_sequences=True)), (4, 5, 2)),
    "Bidirectional GRU": (lambda k: k.layers.Bidirectional(k.layers.GRU(3), merge_mode="sum"), (4, 5, 2)),
    "TimeDistributed": (lambda k: k.layers.TimeDistributed(k.layers.Dense(3)), (4, 5, 2)),
    "SpectralNormalization": (lambda k: k.layers.SpectralNormalization(k.layers.Dense(3)), (4, 5)),
    "RNN": (lambda k: k.layers.RNN([k.layers.LSTMCell(3), k.layers.GRUCell(2), k.layers.SimpleRNNCell(4)]), (4, 5, 2)),
    "TorchModuleWrapper": (lambda k: k.layers.TorchModuleWrapper(torch.nn.Linear(5, 3)), (4, 5)),
    "Lambda": (lambda k: k.layers.Lambda(lambda x: x * 2 + 1), (4, 5)),
    "Dense int8": (lambda k: _quantized(k.layers.Dense(16), (None, 16), "int8"), (32, 16)),
    "Dense int4": (lambda k: _quantized(k.layers.Dense(16), (None, 16), "int4"), (32, 16)),
    "Dense float8": (lambda k: _quantized(k.layers.Dense(16), (None, 16), "float8"), (32, 16)),
    "EinsumDense int8": (
        lambda k: _quantized(k.layers.EinsumDense("ab,bc->ac", 16, bias_axes="c"), (None, 16), "int8"),
        (32, 16),
    ),
    "Dense low rank": (lambda k: _low_rank(k.layers.Dense(4)), (4, 5)),
}
DRAWS = {
    "beta": lambda seed: keras.random.beta((50,), 0.5, 2.0, seed=seed),
    "binomial": lambda seed: keras.random.binomial((50,), 5, 0.3, seed=seed),
    "categorical": lambda seed: keras.random.categorical(keras.ops.ones((3, 4)), 5, seed=seed),
    "dropout": lambda seed: keras.random.dropout(keras.ops.ones((50,)), 0.3, seed=seed),
    "gamma": lambda seed: keras.random.gamma((50,), 0.7, seed=seed),
    "normal": lambda seed: keras.random.normal((50,), seed=seed),
    "randint": lambda seed: keras.random.randint((50,), 0, 9, seed=seed),
    "shuffle": lambda seed: keras.random.shuffle(keras.ops.arange(50), seed=seed),
    "truncated_normal": lambda seed: keras.random.truncated_normal((50,), seed=seed),
    "uniform": lambda seed: keras.random.uniform((50,), seed=seed),
}


def op_rows() -> list[Row]:
    """All rows of the tables over the ops."""
    folder = pathlib.Path(__file__).parent / "ops" / "rows"
    modules = [importlib.import_module(f"tests.ops.rows.{path.stem}") for path in sorted(folder.glob("[a-z]*.py"))]
    return [row for module in modules for row in module.ROWS]


def rows(few: bool = False, prepared: Callable[[], None] = lambda: None) -> dict[str, Check]:
    """All rows.

    Args:
        few: one row for each op, layer and optimizer, in the place of all.
        prepared: is called in each row of a layer, a metric or an optimizer after the first call, which builds.
    """
    found: dict[str, Check] = {}
    seen: set[str] = set()

    def add(name: str, function: Callable[[np.random.Generator], Any], kind: str = "") -> None:
        if few and kind in seen:
            return
        seen.update([kind] if kind else [])
        while name in found:
            name += "'"
        found[name] = lambda: function(np.random.default_rng(zlib.crc32(name.encode())))

    for row in op_rows():
        add(f"op {row}", lambda rng, row=row: _op(row, rng), f"op {row.op}")
    for case in [*MORE_LAYERS, *layer_cases.ALL]:
        name, arguments, shape = case
        label = f"layer {name} {','.join(f'{k}={v}' for k, v in arguments.items())}"[:70]

        def make(k: Any, name: str = name, arguments: dict[str, Any] = arguments) -> Any:
            return getattr(k.layers, name)(**arguments)

        add(label, lambda rng, make=make, s=shape: _layer(make, s, rng, prepared), f"layer {name}")
    for name, (make, shape) in WRAPPED.items():
        add(f"layer {name}", lambda rng, make=make, shape=shape: _layer(make, shape, rng, prepared))
    for name, (kind, arguments) in loss_cases.LOSSES.items():
        add(f"loss {name}", lambda rng, name=name, kind=kind, a=arguments: _loss(name.split()[0], kind, a, rng))
    for name, (kind, arguments) in metric_cases.METRICS.items():
        add(
            f"metric {name}",
            lambda rng, name=name, kind=kind, a=arguments: _metric(name.split()[0], kind, a, rng, prepared),
        )
    for name in optimizer_cases.NAMES:
        for label, arguments in optimizer_cases.BASE_ARGUMENTS.items():
            add(
                f"optimizer {name} {label}",
                lambda rng, name=name, a=arguments: _optimizer(name, a, rng, prepared),
                f"optimizer {name}",
            )
    for name, draw in DRAWS.items():
        add(f"random {name}", lambda rng, draw=draw: [draw(3), draw(keras.random.SeedGenerator(4)), draw(None)])
    return found


def on_device(nest: Any) -> Any:
    """Arrays as tensors on the current device; a copy for which the host does not wait."""
    device = current_device()

    def move(leaf: Any) -> Any:
        leaf = torch.from_numpy(np.array(leaf)) if isinstance(leaf, np.ndarray) else leaf
        return leaf.to(device, non_blocking=True) if isinstance(leaf, torch.Tensor) else leaf

    return tree.map_structure(move, nest)


def _op(row: Row, rng: np.random.Generator) -> Any:
    inputs = on_device(tensors(row.arrays(rng)))
    leaves = [x for x in tree.flatten(inputs) if isinstance(x, torch.Tensor) and x.is_floating_point()]
    if row.gradient is True:
        for leaf in leaves:
            leaf.requires_grad_()
    outputs = operator.attrgetter(row.op)(keras.ops)(*inputs, **row.config)
    return outputs, _gradients(outputs, leaves)


def _gradients(outputs: Any, leaves: list[torch.Tensor]) -> list[Any]:
    """The gradients of the sum of all outputs."""
    found = [x for x in tree.flatten(outputs) if isinstance(x, torch.Tensor) and x.requires_grad]
    leaves = [leaf for leaf in leaves if leaf.requires_grad]
    if not found or not leaves:
        return []
    total = sum((x.abs() if x.is_complex() else x).sum() * 0.1 for x in found)
    return list(torch.autograd.grad(total, leaves, allow_unused=True))  # type: ignore[arg-type]


def _layer(make: Callable[[Any], Any], shape: Any, rng: np.random.Generator, prepared: Callable[[], None]) -> Any:
    keras.utils.set_random_seed(5)
    layer = make(keras)
    several = isinstance(layer, (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention))
    if isinstance(shape, list) and isinstance(shape[0], list):
        shape = shape[0]
    if isinstance(shape, list) and shape[0][0] == "int":
        inputs: Any = tuple(layer_cases.draw_inputs(one, rng) for one in shape)
    else:
        inputs = layer_cases.draw_inputs(shape, rng)
    inputs = on_device(inputs)
    leaves = [x for x in tree.flatten(inputs) if x.is_floating_point()]
    for leaf in leaves:
        leaf.requires_grad_()
    results = []
    for training in (False, True, True):
        options = {"training": training} if "training" in inspect.signature(layer.call).parameters else {}
        outputs = layer(*inputs, **options) if several else layer(inputs, **options)
        results.append((outputs, _gradients(outputs, [*leaves, *layer.trainable_weights])))
        if training:
            prepared()
    return results, [weight.detach().clone() for weight in layer.weights]


def _quantized(layer: Any, shape: tuple, mode: str) -> Any:
    layer.build(shape)
    layer.quantize(mode)
    return layer


def _low_rank(layer: Any) -> Any:
    layer.build((None, 5))
    layer.enable_lora(2)
    return layer


def _loss(name: str, kind: str, arguments: dict[str, Any], rng: np.random.Generator) -> Any:
    true, pred = on_device(loss_cases.make_batch(rng, kind, arguments))
    weight = on_device(rng.uniform(0.5, 1.5, len(true)).astype("float32"))
    pred.requires_grad_()
    found = []
    for weights in (None, weight):
        if weights is not None and name in ("Dice", "Tversky") or "axis" in arguments:
            continue
        value = getattr(keras.losses, name)(**arguments)(true, pred, sample_weight=weights)
        found.append((value, _gradients(value, [pred])))
    return found


def _metric(
    name: str, kind: str, arguments: dict[str, Any], rng: np.random.Generator, prepared: Callable[[], None]
) -> Any:
    metric = getattr(keras.metrics, name)(**arguments)
    for count in (7, 9):
        metric.update_state(*on_device(metric_cases.make_batch(rng, kind, arguments, count)))
        if count == 7:
            prepared()
    return [variable.detach().clone() for variable in metric.variables], metric.result()


def _optimizer(name: str, arguments: dict[str, Any], rng: np.random.Generator, prepared: Callable[[], None]) -> Any:
    optimizer = optimizer_cases.make(name, **arguments)
    variables = optimizer_cases.variables(rng)
    for count in range(3):
        gradients = [on_device(np.asarray(rng.normal(size=tuple(v.shape)), "float32")) for v in variables]
        optimizer.apply(gradients, variables)
        if count == 0:
            prepared()
    return [variable.detach().clone() for variable in [*variables, *optimizer.variables]]
