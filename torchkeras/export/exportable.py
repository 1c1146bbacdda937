"""The method `export` of models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchkeras.core.types import Nest
from torchkeras.export.archive import export_model

if TYPE_CHECKING:
    from torchkeras.layers.base.layer import Layer as _Base
else:
    _Base = object


class Exportable(_Base):
    """Mixed into `Model`."""

    def export(
        self,
        filepath: str | Path,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Sequence[Nest[Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the model, for inference, in a format that runs without this library.

        | format | file | what runs it |
        |---|---|---|
        | `"torch"` | `.pt2` | `torch.export.load(path).module()` |
        | `"onnx"` | `.onnx` | ONNX Runtime and others; needs the extra `onnx` |
        | `"aoti"` | `.pt2` | `torch._inductor.aoti_load_package(path)`: compiled, for this kind of machine |
        | `"openvino"` | `.xml` and `.bin` | OpenVINO; needs the package `openvino` |
        | `"litert"` | `.tflite` | LiteRT; needs the package `litert-torch` |

        Layers run in inference mode. With several processes, one writes.

        Args:
            filepath: path of the file, with the format's suffix (ONNX takes any). An existing file is replaced
                once the new one is whole.
            format: one of the formats above. Keras's default `"tf_saved_model"`, which TensorFlow would write, means
                the format of the suffix `.pt2` or `.onnx`. Default: `"tf_saved_model"`.
            verbose: whether to print a line on the inputs and the weights. Default: `None`, print.
            input_signature: list with an entry per positional argument of the model: `keras.InputSpec`, a
                `keras.KerasTensor` or a tensor, or a nest of them. Default: `None`, the inputs that the model was built
                with. Sizes that are `None`, such as the batch, stay open where the model's operations allow it; else a
                line is printed. (Keras takes 1 for them.)
            **kwargs: `opset_version` for ONNX; `inductor_configs` for AOTInductor; the others go to
                `torch.export.export`, such as `strict` and `dynamic_shapes`.

        Raises:
            ValueError: the format, the suffix or an argument is unknown, or the model's inputs are.
            ImportError: the format needs a package that is not installed.
            RuntimeError: torch can't trace the model.

        Example:
            >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
            >>> model.export("model.pt2", format="torch", verbose=False)
            >>> torch.export.load("model.pt2").module()(torch.ones(5, 3)).shape
            torch.Size([5, 2])
        """
        export_model(self, filepath, format, verbose, input_signature, **kwargs)
