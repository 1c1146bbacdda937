"""Checks on one GPU of everything that runs there alone or otherwise than on a CPU. Six to eight minutes.

    python scripts/gpu_check.py [--device cuda|cpu|pretended] [--only WORD,WORD] [--seconds 480] [--out FILE] [--apart]

No test of the suite needs a GPU, so most of them never see one. Here the tables of the tests are computed on the GPU
and on the CPU and compared: every op, layer, loss, metric and optimizer; trainings in eager mode, replayed as CUDA
graphs and compiled; all that callbacks may change between replays. Then: no wait within an epoch, memory beside plain
torch, float16 with overflows, 8-bit floats, copies in a stream of their own, float64, the features of
`tests/device_features.py` and `tests/graph_features.py` (threads, captures that fail, TF32, ...), and the tests marked
`cuda`.

Each check is a row of the table that is printed, and written to FILE in Markdown as it grows. One that fails says why,
and the others go on: in another process (`scripts/gpu_rows.py`) if it broke the device, hung or crashed. The exit
status is 1 if any failed. `--device cpu` and `--device pretended` (tests/pretend_cuda.py) try the script itself without
a GPU. Needs NumPy, h5py and the like, as the package does; Keras and pytest are used where they are installed.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib.util
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # before the first product, for deterministic kernels

import numpy as np  # noqa: E402
import torch  # noqa: E402

HAS_KERAS = importlib.util.find_spec("keras") is not None
if not HAS_KERAS:  # a table of the tests imports it
    import torchkeras.as_keras

import torchkeras as keras  # noqa: E402
from scripts.gpu_rows import BrokenDeviceError, Rows, in_other_processes  # noqa: E402
from tests import device_fits, device_rows, graph_features  # noqa: E402
from tests.device_features import FEATURES, cuda_graphs  # noqa: E402
from tests.pretend_cuda import pretended_cuda  # noqa: E402
from tests.training import recorded_graphs, replay_cases  # noqa: E402
from torchkeras.core import tree  # noqa: E402
from torchkeras.core.variables import seeded_random  # noqa: E402
from torchkeras.layers.weight_forms.float8_product import multiplies_float8  # noqa: E402
from torchkeras.training.replay.graphs import GRAPHS  # noqa: E402
from torchkeras.training.state import state_of  # noqa: E402

FITS, Fit = device_fits.FITS, device_fits.Fit
set_sync_debug_mode = torch.cuda.set_sync_debug_mode
# Their results are one of several right ones.
SEVERAL_RESULTS = ("op svd", "op eig", "op eigh", "op qr", "op empty")
# They round numbers, or multiply rounded ones: a last bit may move a result by a step.
ROUNDED = ("layer Dense int", "layer Dense float8", "layer EinsumDense int8", "layer RandomPosterization")
# Their steps run code of a user's, read values, or draw by seeds of their own or (by the portable generator, which the
# comparison with the CPU needs) of the host: they are not replayed.
NOT_REPLAYED = (
    "augmented", "regularized", "torch module", "own step", "master weights", "mixed_bfloat16, torch module",
)  # fmt: skip
# On the CPU their steps read values, or run operations that the stand-in for graphs does not repeat.
NOT_REPLAYED_ON_CPU = ("text", "recurrent", "mixed_float16")


class Checks:
    """All checks on one device.

    Args:
        device: `"cuda"` or `"cpu"`.
        rows: the table.
        is_real: whether the device is a real GPU.
    """

    def __init__(self, device: str, rows: Rows, is_real: bool) -> None:
        self.device, self.rows, self.is_real = device, rows, is_real
        self.can_replay = is_real or device == "cpu"  # a pretended GPU has no graphs
        # A batch that was copied for a graph begins at a multiple of other bytes: cuBLAS may choose other kernels.
        self.of_replays = 1e-5 if is_real else 0.0

    def all(self) -> None:
        self.tables()
        for name, fit in FITS.items():
            self.rows.run(f"training {name}", lambda fit=fit, name=name: self.training(name, fit))
        self.replays()
        for name in ("dense", "convolutions", "text", "recurrent"):
            self.rows.run(f"float64 {name}", lambda name=name: self.float64(FITS[name]))
        for name in ("PyDataset", "loader", "pinned loader"):
            self.rows.run(f"copy stream {name}", lambda name=name: self.copy_stream(name))
        self.rows.run("float16 overflows", self.overflows)
        self.rows.run("float8 products", self.float8)
        if self.is_real:
            self.rows.run("memory beside plain torch", self.memory)
            self.rows.run("memory of a large vocabulary", self.memory_of_logits)
            self.rows.run("rows that wait for the device", self.waiting_rows)
        for name, feature in {**FEATURES, **graph_features.FEATURES}.items() if self.can_replay else ():
            self.rows.run(name, lambda feature=feature: feature(self.device))
        for name in ("dense", "convolutions") if self.can_replay else ():  # the slowest last
            self.rows.run(f"compiled {name}", lambda name=name: self.compiled(FITS[name]))
        if self.is_real:
            self.rows.run("tests with the mark cuda", marked_tests)

    # -- the tables of ops, layers, losses, metrics, optimizers

    def tables(self) -> None:
        """Compare the rows of each kind with the CPU's; a row of the table for each kind and for each that failed."""
        with portable_random():
            checks = device_rows.rows()
            for kind in ("op", "layer", "loss", "metric", "optimizer", "random"):
                mine = {name: check for name, check in checks.items() if name.split()[0] == kind}
                self.rows.run(f"all rows: {kind}", lambda mine=mine: self._table(mine))

    def _table(self, checks: dict[str, Callable[[], Any]]) -> str:
        wrong = []
        for name, check in checks.items():
            try:
                keras.utils.set_random_seed(7)
                with keras.device("cpu"):
                    wanted = results(check)
                keras.utils.set_random_seed(7)
                with drawing(self.is_real) as draws:
                    found = results(check)
                assert len(found) == len(wanted), f"{len(found)} results, {len(wanted)} on the CPU"
                for a, b in zip(found, wanted, strict=True):
                    assert (a.shape, a.dtype) == (b.shape, b.dtype), (a.shape, a.dtype, b.shape, b.dtype)
                if not draws and not name.startswith(SEVERAL_RESULTS):
                    least = 2e-2 if name.startswith(ROUNDED) else 1e-4
                    pairs = zip(found, wanted, strict=True)
                    worst = max((difference(a, b) / tolerance(b, least) for a, b in pairs), default=0.0)
                    assert worst <= 1, f"{worst:.1f} times the allowed difference"
            except Exception as error:
                wrong.append(f"\n       {name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
        if wrong:
            raise AssertionError(f"{len(wrong)} of {len(checks)} differ:" + "".join(wrong[:60]))
        return f"{len(checks)} rows"

    # -- trainings

    def train(self, fit: Fit, device: str, graphs: str = "off", epochs: int = 4, **options: Any) -> tuple:
        """History, weights, initial weights and number of replays of a training."""
        with keras.device(device), cuda_graphs(graphs), portable_random():
            model = fit.compiled(**options)
            begin = [] if not model.built else copies(model.weights)
            history = fit.fit(model, epochs=epochs)
        replayer = state_of(model).replayers.get("train")
        return history, copies(model.weights), begin, 0 if replayer is None else replayer.replays

    def training(self, name: str, fit: Fit) -> str:
        """On the CPU, on the device, there again, and replayed; then without a wait, in eager mode and replayed."""
        with deterministic():
            wanted, first = self.train(fit, "cpu"), self.train(fit, self.device)
            assert_equal(first[2], wanted[2], 0.0, "initial weights of CPU and device differ")
            worst = compare(first[0], wanted[0], fit.tolerance)
            again = self.train(fit, self.device)
            assert_equal(again[1], first[1], 0.0, "two deterministic runs differ")
            note = f"differs from the CPU by {worst:.1e}"
            if self.can_replay and not (self.device == "cpu" and name in NOT_REPLAYED_ON_CPU):
                replayed = self.train(fit, self.device, "auto")
                most = max(self.of_replays, 1e-6) if fit.policy == "float32" else fit.tolerance
                compare(replayed[0], first[0], most)
                assert (replayed[3] > 3) is not name.startswith(NOT_REPLAYED), f"{replayed[3]} replays"
                note += f"; {replayed[3]} replays"
        if self.is_real:
            for graphs in ("off", "auto"):
                self.without_waits(fit, graphs)
        return note

    def without_waits(self, fit: Fit, graphs: str) -> None:
        with keras.device(self.device), cuda_graphs(graphs):
            model = fit.compiled()
            fit.fit(model, epochs=3)
            try:
                fit.fit(model, callbacks=[NoWaits()])
            finally:
                set_sync_debug_mode("default")

    def compiled(self, fit: Fit) -> str:
        wanted = self.train(fit, "cpu")
        found = self.train(fit, self.device, "auto", jit_compile=True)
        return f"differs from the CPU by {compare(found[0], wanted[0], 1e-3):.1e}; {found[3]} replays"

    def replays(self) -> None:
        """Replayed trainings with each optimizer and model, and with all that a callback may do between steps."""
        cases, rng = replay_cases, np.random.default_rng(0)
        data = rng.normal(size=(cases.ROWS, 6)).astype("float32"), rng.integers(0, 3, cases.ROWS)
        rows: dict[str, tuple[Callable, Callable, float, dict[str, Any]]] = {}
        for name, optimizer in {**cases.EXACT, **cases.CLOSE}.items():
            most = self.of_replays if name in cases.EXACT else 1e-2
            rows[f"optimizer {name}"] = cases.make, optimizer, most, {}
        for name, model in cases.MODELS.items():
            rows[f"model {name}"] = model, cases.adam, 1e-5, {}
        for name, act in cases.ACTIONS.items():
            options = {"epochs": 4, "make_options": lambda act=act: {"callbacks": [cases.Acting(act)]}}
            rows[f"action {name}"] = acted_on, cases.adam, 1e-5, options
        for name, callback in cases.CALLBACKS.items():
            options = {"epochs": 5, "make_options": lambda callback=callback: {"callbacks": [callback()]}}
            rows[f"callback {name}"] = cases.make, cases.adam, 1e-5, options

        def run(make: Callable, optimizer: Callable, most: float, options: dict[str, Any]) -> str:
            epsilon = keras.config.epsilon()
            try:
                with keras.device(self.device), cuda_graphs("auto"):
                    model, plain, replayed = cases.both(make, data, optimizer, **options)
            finally:
                keras.config.set_epsilon(epsilon)
            cases.same(plain, replayed, most)
            assert cases.replays(model) > 10, f"{cases.replays(model)} replays"
            return f"{cases.replays(model)} replays"

        if self.can_replay:
            for name, row in rows.items():
                self.rows.run(f"replayed {name}", lambda row=row: run(*row))

    # -- single features

    def float64(self, fit: Fit) -> str:
        keras.config.set_floatx("float64")
        try:
            fit = fit._replace(policy="float64")
            wanted, found = self.train(fit, "cpu"), self.train(fit, self.device)
        finally:
            keras.config.set_floatx("float32")
        worst = max(compare(found[0], wanted[0], 1e-10), assert_equal(found[1], wanted[1], 1e-10, "weights differ"))
        return f"differs from the CPU by {worst:.1e}"

    def copy_stream(self, name: str) -> str:
        fit = FITS[name.removeprefix("pinned ")]
        if name.startswith("pinned"):
            fit = fit._replace(source=lambda n: device_fits.loader(n, pin_memory=self.is_real, num_workers=2))
        wanted = self.train(fit, self.device)
        keras.config.enable_copy_stream()
        try:
            found = [self.train(fit, self.device, graphs) for graphs in ("off", "auto")] if self.is_real else []
        finally:
            keras.config.disable_copy_stream()
        return f"differs by {max((compare(one[0], wanted[0], 1e-5) for one in found), default=0.0):.1e}"

    def overflows(self) -> str:
        """Steps whose float16 gradients overflow at first are left out, alike on CPU and device, replayed or not."""
        made: list[Any] = []

        def optimizer() -> Any:
            made.append(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01), initial_scale=2.0**28))
            return made[-1]

        fit = FITS["mixed_float16"]._replace(optimizer=optimizer)
        wanted = self.train(fit, "cpu")
        for graphs in ("off", "auto") if self.is_real else ("off",):
            compare(self.train(fit, self.device, graphs)[0], wanted[0], 2e-2)
        scales = [float(one.dynamic_scale) for one in made]
        assert len(set(scales)) == 1 and scales[0] < 2.0**28, scales
        return f"scale {scales[0]:.0f}"

    def waiting_rows(self) -> str:
        """The ops, layers, losses, metrics and optimizers whose second call makes the host wait: a report, no check."""
        found = []
        for name, check in device_rows.rows(few=True, prepared=lambda: set_sync_debug_mode("warn")).items():
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                try:
                    set_sync_debug_mode("default" if name.startswith(("layer", "metric", "optimizer")) else "warn")
                    check()
                except Exception as error:
                    found.append(f"{name} ({type(error).__name__})")
                finally:
                    set_sync_debug_mode("default")
            if any("synchronizing CUDA operation" in str(one.message) for one in caught):
                found.append(name)
        return f"{len(found)}: {', '.join(found)}"

    def float8(self) -> str:
        """Three steps of a layer of 8-bit floats, by the device's kernel where it has one."""
        x = np.random.default_rng(0).normal(size=(48, 64)).astype("float32")
        found = []
        for device in ("cpu", self.device):
            with keras.device(device):
                keras.utils.set_random_seed(1)
                model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(32), keras.layers.Dense(16)])
                model.quantize("float8")
                model.compile("adam", "mse")
                found.append(model.fit(x, x[:, :16], batch_size=16, epochs=3, verbose=0, shuffle=False).history)
        worst = compare(found[1], found[0], 5e-2)
        kernel = "8-bit kernel" if multiplies_float8(torch.device(self.device, 0)) else "no 8-bit kernel"
        return f"{kernel}, differs from the CPU by {worst:.1e}"

    def memory(self) -> str:
        """The peak of a training of eight large layers, in eager mode and replayed, beside a loop in plain torch."""
        x, y = np.zeros((8192, 1024), "float32"), np.zeros(8192, "int64")

        def plain() -> None:
            layers = [torch.nn.Linear(1024, 2048), torch.nn.ReLU()]
            for _ in range(7):
                layers += [torch.nn.Linear(2048, 2048), torch.nn.ReLU()]
            model = torch.nn.Sequential(*layers, torch.nn.Linear(2048, 10)).cuda()
            optimizer = torch.optim.Adam(model.parameters(), fused=True)
            inputs, targets = torch.from_numpy(x).cuda(), torch.from_numpy(y).cuda()
            for start in range(0, len(x), 1024):
                rows = slice(start, start + 1024)
                loss = torch.nn.functional.cross_entropy(model(inputs[rows]), targets[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

        def ours(graphs: str) -> None:
            inner = [keras.layers.Dense(2048, activation="relu") for _ in range(8)]
            model = keras.Sequential([keras.Input((1024,)), *inner, keras.layers.Dense(10)])
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile("adam", loss, metrics=["accuracy"])
            with cuda_graphs(graphs):
                model.fit(x, y, batch_size=1024, epochs=2, verbose=0)

        torch_peak = peak(plain)
        eager, replayed = peak(lambda: ours("off")), peak(lambda: ours("auto"))
        note = f"torch {torch_peak:.0f} MiB, eager {eager:.0f}, replayed {replayed:.0f}"
        assert eager <= 1.15 * torch_peak + 64 and replayed <= 1.3 * torch_peak + 64, note
        return note

    def memory_of_logits(self) -> str:
        x = np.zeros((16, 128), "int32")

        def run() -> None:
            layers = keras.layers
            inner = [layers.Embedding(99, 64), layers.Dense(50000)]
            model = keras.Sequential([keras.Input((128,), dtype="int32"), *inner])
            model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
            model.fit(x, x, batch_size=8, epochs=2, verbose=0)

        found, logits = peak(run), 8 * 128 * 50000 * 4 / 2**20
        assert found < logits, f"peak {found:.0f} MiB, the logits {logits:.0f} MiB"
        return f"peak {found:.0f} MiB, where the logits would take {logits:.0f}"


class NoWaits(keras.callbacks.Callback):
    """From the beginning of an epoch to the end of its fourth step, a wait for the device is an error."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        set_sync_debug_mode("error")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch >= 3:
            set_sync_debug_mode("default")


def acted_on() -> Any:
    return replay_cases.make(keras.layers.Dropout(0.5), keras.layers.BatchNormalization())


def results(check: Callable[[], Any]) -> list[torch.Tensor]:
    return [leaf.detach().cpu() for leaf in tree.flatten(check()) if isinstance(leaf, torch.Tensor)]


def copies(tensors: Any) -> list[torch.Tensor]:
    return [tensor.detach().clone().cpu().as_subclass(torch.Tensor) for tensor in tensors]


def tolerance(wanted: torch.Tensor, least: float) -> float:
    small = wanted.is_floating_point() and wanted.dtype.itemsize <= 2
    return max(least, 3e-2) if small else least


def difference(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """The largest difference, relative to numbers above 1; numbers that are not finite must be the same."""
    a, b = (torch.view_as_real(x.resolve_conj()) if x.is_complex() else x for x in (found, wanted))
    a, b = a.double(), b.double()
    if not a.numel():
        return 0.0
    finite = b.isfinite()
    if not torch.equal(a.isfinite(), finite) or not torch.equal(a[~finite].nan_to_num(), b[~finite].nan_to_num()):
        return float("inf")
    a, b = a.where(finite, 0), b.where(finite, 0)
    return float(((a - b).abs() / (1 + b.abs())).max())


def assert_equal(found: list[torch.Tensor], wanted: list[torch.Tensor], most: float, text: str) -> float:
    worst = max((difference(a, b) for a, b in zip(found, wanted, strict=True)), default=0.0)
    assert worst <= most, f"{text}: by {worst:.1e}"
    return worst


def compare(found: dict[str, list[float]], wanted: dict[str, list[float]], most: float) -> float:
    """The largest difference of two histories.

    Raises:
        AssertionError: it is above `most`, or the histories hold other things.
    """
    assert found.keys() == wanted.keys(), (found.keys(), wanted.keys())
    pairs = [(torch.tensor(found[name]), torch.tensor(wanted[name])) for name in found]
    worst = max(difference(a, b) for a, b in pairs)
    assert worst <= most, f"histories differ by {worst:.1e}: {found}, {wanted}"
    return worst


def peak(function: Callable[[], None]) -> float:
    """The MiB that a function takes on the GPU at most."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    begin = torch.cuda.memory_allocated()
    function()
    return (torch.cuda.max_memory_allocated() - begin) / 2**20


@contextlib.contextmanager
def portable_random() -> Iterator[None]:
    keras.config.enable_portable_random()
    try:
        yield
    finally:
        keras.config.disable_portable_random()


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    keras.config.enable_op_determinism()
    try:
        yield
    finally:
        keras.config.disable_op_determinism()


@contextlib.contextmanager
def drawing(is_real: bool) -> Iterator[list[str]]:
    """The draws inside that give other numbers than on the CPU: by generators of the device."""
    found: list[str] = []
    make = seeded_random.torch_generator

    def noted(seed: Any, place: Any = "cpu") -> Any:
        if torch.device(place).type != "cpu":
            found.append("by a seed")
        return make(seed, place)

    seeded_random.torch_generator = noted
    try:
        yield found
    finally:
        seeded_random.torch_generator = make
        # The last eight bytes count what was drawn since a seed was set.
        if is_real and torch.cuda.get_rng_state()[-8:].any():
            found.append("by torch's generator")


def marked_tests() -> str:
    """The tests of the suite with the mark `cuda`."""
    if importlib.util.find_spec("pytest") is None:
        return "not run: pytest is not installed"
    files = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.cuda" in path.read_text()]
    files = [path for path in files if HAS_KERAS or "\nimport keras\n" not in path.read_text()]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "-p", "no:cacheprovider", *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180)
    last = done.stdout.strip().splitlines()[-15:]
    assert done.returncode == 0, " | ".join(last)
    return last[-1]


def cuda_is_broken() -> bool:
    """Whether the GPU does nothing any more in this process, as after an access to memory of nobody."""
    try:
        return float(torch.ones(1, device="cuda") + 1) != 2
    except RuntimeError:
        return True


class Lines(logging.Handler):
    """Keeps the lines of the library's log."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def main(arguments: list[str] | None = None) -> int:
    """Run the checks.

    Args:
        arguments: those of the command line. Default: the process's.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu", "pretended"), default="cuda")
    parser.add_argument(
        "--only", default="", help="words, divided by commas: run the rows whose names have one of them"
    )
    parser.add_argument("--seconds", type=float, default=480, help="after so many seconds no further row is begun")
    parser.add_argument("--out", type=Path, help="a file for the table in Markdown, written after each row")
    parser.add_argument("--apart", action="store_true", help="run rows in a process of their own, as for a GPU")
    parser.add_argument("--state", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.state is None and (options.apart or options.device == "cuda"):
        return in_other_processes([__file__, *(sys.argv[1:] if arguments is None else arguments)])
    if options.device == "pretended":
        keras.config.set_cuda_graphs("off")
    warnings.filterwarnings("ignore")
    is_real = options.device == "cuda"
    name = torch.cuda.get_device_name() if is_real else f"a {options.device} device"
    title = f"{name}, torch {torch.__version__}, Python {sys.version.split()[0]}"
    words = [word for word in options.only.split(",") if word]
    rows = Rows(
        options.seconds, words, title, options.out, options.state, is_broken=cuda_is_broken if is_real else None
    )
    logger = logging.getLogger("torchkeras")
    logger.addHandler(Lines(rows.lines))
    logger.setLevel(logging.INFO)
    keras.config.disable_tf32()
    print(title, flush=True)
    if options.device == "cpu":
        GRAPHS["cpu"] = recorded_graphs.RecordedGraphs
    device = "cpu" if options.device == "cpu" else "cuda"
    with pretended_cuda() if options.device == "pretended" else contextlib.nullcontext(), keras.device(device):
        try:
            Checks(device, rows, is_real).all()
        except BrokenDeviceError:
            return 1  # the next process goes on
    rows.end()
    print(f"{rows.summary()} on {name}")
    return 1 if rows.failed else 0


if __name__ == "__main__":
    sys.exit(main())
