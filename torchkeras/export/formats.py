"""The formats of `Model.export`: a row for each, from a traced program to a file."""

from __future__ import annotations

import importlib
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch

from torchkeras.core import torch_internals
from torchkeras.core.nearest_names import candidates

# The limit of a protobuf message is 2 GiB; larger weights lie in a file beside.
ONE_FILE = 1_900_000_000


class Format(NamedTuple):
    """How a program becomes a file."""

    suffix: str
    title: str
    write: Callable[..., None]
    options: tuple[str, ...] = ()
    """Arguments of the writer; the others are for `torch.export.export`."""
    needs_suffix: bool = True
    """Whether a path must end with the suffix, as Keras asks for."""


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """A place to write files in, beside the target. They are moved to the target's folder once all are whole.

    A file `model.<suffix>` gets the target's name.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        yield Path(folder, f"model{path.suffix}")
        for written in sorted(Path(folder).iterdir(), key=lambda file: file.suffix == path.suffix):
            os.replace(written, path.with_suffix(written.suffix))


def write_torch(program: Any, path: Path, names: list[str]) -> None:
    with staged(path) as place:
        torch.export.save(program, place)


def write_onnx(program: Any, path: Path, names: list[str], opset_version: int | None = None) -> None:
    _needs("onnxscript", "onnx", "pip install 'torchkeras-native[onnx]'")
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)  # it warns that torchvision is not installed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = torch.onnx.export(
                program,
                input_names=names,
                opset_version=opset_version,
                dynamo=True,
                verbose=False,
                external_data=False,
                custom_translation_table=_translations(),
            )
    finally:
        exporter.setLevel(level)
    weights = sum(v.numel() * v.element_size() for v in program.state_dict.values() if isinstance(v, torch.Tensor))
    if weights > ONE_FILE:
        made.save(str(path), external_data=True)
        return
    with staged(path) as place:
        place.write_bytes(made.model_proto.SerializeToString())


def _translations() -> dict[Callable, Callable]:
    """The ONNX forms of operators that torch has none for: the product of 8-bit integers."""
    opset = _needs("onnxscript.onnx_opset", "onnx", "pip install 'torchkeras-native[onnx]'").opset18
    if torch_internals.int_mm_op is None:
        return {}
    return {torch_internals.int_mm_op: lambda a, b: opset.MatMulInteger(a, b)}


def write_aoti(program: Any, path: Path, names: list[str], inductor_configs: dict[str, Any] | None = None) -> None:
    with staged(path) as place:
        torch_internals.aoti_compile_and_package(program, str(place), inductor_configs)


def write_openvino(program: Any, path: Path, names: list[str]) -> None:
    openvino = _needs("openvino", "openvino", "pip install openvino")
    converted = openvino.convert_model(program.run_decompositions(_plainer_forms()))
    for port, name in zip(converted.inputs, names):
        port.get_tensor().set_names({name})
    with staged(path) as place:
        openvino.save_model(converted, str(place), compress_to_fp16=False)


def _plainer_forms() -> dict[Callable, Callable]:
    """Operators that OpenVINO (2026.4) or LiteRT (litert-torch 0.10) can't read, made of others that it can."""
    forms: dict[Any, Callable] = {
        torch.ops.aten.add.Tensor: _add,
        torch_internals.int_mm_op: lambda a, b: (a.float() @ b.float()).to(torch.int32),
        torch_internals.left_shift_op: _shift_left,
        torch_internals.right_shift_op: _shift_right,
    }
    return {operator: form for operator, form in forms.items() if operator is not None}


def _add(a: torch.Tensor, b: torch.Tensor, *, alpha: float = 1) -> torch.Tensor:
    return NotImplemented if alpha == 1 else a + b * alpha  # torch leaves an operator with `NotImplemented` as it is


def _shift_left(x: torch.Tensor, bits: int) -> torch.Tensor:
    """`x << bits` of 8-bit integers, in floats: bits that leave the byte are lost."""
    if x.dtype is not torch.int8:
        return NotImplemented
    y = x.float() * 2**bits
    return (y - 256 * torch.floor((y + 128) / 256)).to(torch.int8)


def _shift_right(x: torch.Tensor, bits: int) -> torch.Tensor:
    """`x >> bits` of 8-bit integers, in floats."""
    return torch.floor(x.float() / 2**bits).to(torch.int8) if x.dtype is torch.int8 else NotImplemented


def write_litert(program: Any, path: Path, names: list[str], **options: Any) -> None:
    litert = _needs("litert_torch", "litert", "pip install litert-torch")
    with staged(path) as place:
        plainer = program.run_decompositions(_plainer_forms())
        litert.convert(plainer.module(), program.example_inputs[0], **options).export(str(place))


FORMATS = {
    "torch": Format(".pt2", "PyTorch ExportedProgram", write_torch),
    "onnx": Format(".onnx", "ONNX model", write_onnx, ("opset_version",), needs_suffix=False),
    "aoti": Format(".pt2", "AOTInductor package", write_aoti, ("inductor_configs",)),
    "openvino": Format(".xml", "OpenVINO model", write_openvino),
    "litert": Format(".tflite", "LiteRT model", write_litert, ("quant_config", "strict_export")),
}


def find_format(name: str, path: Path) -> tuple[str, Format]:
    """The format of that name. Keras's default, which TensorFlow would write, means the format of the suffix.

    Raises:
        ValueError: there is no such format, or the suffix is another's.
    """
    if name == "tf_saved_model":
        by_suffix = {".pt2": "torch", ".onnx": "onnx"}.get(path.suffix)
        if by_suffix is None:
            raise ValueError(
                f"TensorFlow writes a SavedModel, and this library never uses TensorFlow. Give format= one of "
                f"{', '.join(FORMATS)}, or a path that ends with .pt2 (torch) or .onnx; received {str(path)!r}."
            )
        name = by_suffix
    if name not in FORMATS:
        hint = candidates([str(name)], list(FORMATS))
        raise ValueError(f"Unrecognized format={name!r}. Supported formats are: {', '.join(FORMATS)}. {hint}")
    found = FORMATS[name]
    if found.needs_suffix and path.suffix != found.suffix:
        raise ValueError(
            f"The {found.title} export requires the filepath to end with '{found.suffix}'. Got: {str(path)!r}."
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(path.parent)!r} to write {path.name!r} into.")
    return name, found


def _needs(package: str, format_name: str, command: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(f"format={format_name!r} needs the package {package}: {command}") from error
