"""`convert OLD NEW`: a model or weights in another format, or as plain torch."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from torchkeras.cli.registry import OK, Command, register
from torchkeras.cli.tables import as_json, fields, size
from torchkeras.layers.base.layer import Layer
from torchkeras.saving.api import load_model, load_weights, save_model, save_weights
from torchkeras.saving.plain_torch.state_files import PICKLES
from torchkeras.saving.plain_torch.to_torch import to_torch
from torchkeras.saving.plain_torch.weights import load_torch_weights, save_torch_weights

_DESCRIPTION = """Convert a model or its weights. The ending of NEW says into what:

  NEW.keras         a model of Keras 3
  NEW.h5            a model in the legacy HDF5 format
  NEW.weights.h5    the weights, as model.load_weights() reads them
  NEW.safetensors   the weights under the names and layouts of model.state_dict(), which load_weights() reads as well;
                    with --torch in torch's layouts
  NEW.pt, NEW.pth   a state dict in torch's layouts: (out, in), (out, in, height, width)
  NEW.py            readable source of a torch module, and its weights beside it as .safetensors

OLD is a model: .keras, a folder, .h5 of Keras 1, 2 and 3. With --model it is a file of weights: .weights.h5,
.safetensors, or of a torch module (.pth, .pt, .safetensors with --torch), for the model in that file.

exit code: 0 on success, 2 for an error; then nothing was written."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", metavar="OLD", help="the file to read")
    parser.add_argument("new", metavar="NEW", help="the file to write")
    parser.add_argument("--model", help="a file with the model whose weights OLD has")
    parser.add_argument("--torch", action="store_true", help=".safetensors files are in torch's layouts")
    parser.add_argument(
        "--data-format",
        choices=["channels_first", "channels_last"],
        default="channels_first",
        help="how the module in NEW.py takes images; default channels_first",
    )
    parser.add_argument("--no-compile", action="store_true", help="leave the optimizer, loss and metrics out")
    parser.add_argument("--overwrite", action="store_true", help="replace NEW if it is there")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _run(given: argparse.Namespace) -> int:
    if os.path.exists(given.new) and not given.overwrite:
        raise FileExistsError(f"{given.new} is there already; --overwrite replaces it.")
    write = _writer(given)
    model = _model(given)
    write(model)
    written = [Path(given.new)]
    if given.new.endswith(".py"):
        written.append(written[0].with_suffix(".safetensors"))
    report = {
        "read": given.old,
        "written": [{"file": os.fspath(path), "bytes": os.path.getsize(path)} for path in written],
        "model": {"class": type(model).__name__, "name": model.name},
        "parameters": model.count_params(),
    }
    if given.json:
        print(as_json(report))
    else:
        files = ", ".join(f"{path} ({size(os.path.getsize(path))})" for path in written)
        about = f"{type(model).__name__} {model.name!r}, {model.count_params():,} parameters"
        print(fields([("read", given.old), ("model", about), ("wrote", files)]))
    return OK


def _model(given: argparse.Namespace) -> Layer:
    model = load_model(given.model or given.old, compile=not given.no_compile)
    if given.model:
        if (
            given.old.endswith(PICKLES)
            or given.torch
            and given.old.endswith((".safetensors", ".safetensors.index.json"))
        ):
            load_torch_weights(model, given.old, verbose=not given.json)
        else:
            load_weights(model, given.old)
    return model


def _writer(given: argparse.Namespace) -> Callable[[Layer], None]:
    """The function that writes NEW.

    Raises:
        ValueError: the ending is not known.
    """
    new = given.new
    if new.endswith(".py"):
        return lambda model: _write_source(model, given)
    if new.endswith(PICKLES) or new.endswith(".safetensors") and given.torch:
        return lambda model: save_torch_weights(model, new)
    if new.endswith((".weights.h5", ".safetensors")):
        return lambda model: save_weights(model, new)
    if new.endswith((".keras", ".h5", ".hdf5")):
        return lambda model: save_model(model, new)
    raise ValueError(
        f"{new} must end in .keras, .h5, .weights.h5, .safetensors, .pt, .pth or .py, which says what to write."
    )


def _write_source(model: Layer, given: argparse.Namespace) -> None:
    to_torch(model, given.data_format, source=given.new)


register(Command("convert", "convert a model or its weights, also to plain torch", _DESCRIPTION, _arguments, _run))
