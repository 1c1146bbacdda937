"""What every test gets: Keras on torch as the oracle, one thread, fresh seeds that a failure prints."""

from __future__ import annotations

import atexit
import gc
import os
import random
import re
import shutil
import tempfile

# Before anything imports Keras or starts a thread; child processes inherit it.
os.environ["KERAS_BACKEND"] = "torch"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # dozens of processes import the package: it is compiled once
if "TORCHKERAS_TEST_HOME" not in os.environ:
    # Neither library may read (or write) the settings of whoever runs the tests.
    _home = tempfile.mkdtemp(prefix="torchkeras-tests-")
    os.environ["TORCHKERAS_TEST_HOME"] = os.environ["KERAS_HOME"] = _home
    atexit.register(shutil.rmtree, _home, ignore_errors=True)

import numpy as np
import pytest
import torch

from tests.torch_limits import mark_limits
from torchkeras.core import naming, settings
from torchkeras.core.symbolic.keras_tensor import set_building
from torchkeras.dtype_policies import reset_dtype_policy

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seed(request: pytest.FixtureRequest) -> int:
    """A fresh seed for Python, NumPy and torch. `TORCHKERAS_TEST_SEED=N` repeats the run that printed N."""
    given = os.environ.get("TORCHKERAS_TEST_SEED")
    value = int(given) if given else int.from_bytes(os.urandom(4), "little")
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)
    request.node.user_properties.append(("seed", value))
    return value


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """Random numbers that differ from run to run."""
    return np.random.default_rng(seed)


@pytest.fixture(autouse=True)
def fresh_state():
    """Names count from zero, no graph is being built, and settings are the defaults, whatever ran before."""
    naming.reset_names()
    set_building(False)  # a test that records a call and makes no model of it leaves global hooks
    before = dict(settings._settings)
    yield
    settings._settings.update(before)
    reset_dtype_policy()  # a policy that a test sets by name would outlive a later floatx


@pytest.fixture(autouse=True, scope="module")
def lasting_objects():
    """Python's collector leaves out what outlives a module of tests: caches of compilers, tables, classes."""
    yield
    gc.collect()
    gc.freeze()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = (yield).get_result()
    value = dict(item.user_properties).get("seed")
    if report.failed and value is not None:
        report.sections.append(("seed", f"repeat with TORCHKERAS_TEST_SEED={value}"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Names of tests are the same in each process, which those with an address of memory are not."""
    wrong = {item.nodeid.split("[")[0] for item in items if re.search(r"0x[0-9a-f]{9,}", item.nodeid)}
    if wrong:
        raise pytest.UsageError(f"give the parameters of these tests ids without addresses: {sorted(wrong)}")
    mark_limits(items)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Tens of thousands of tests and all modules are objects that live to the end: no collection need look at them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)  # compilers make so many lasting objects that collections took a tenth of the time


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("cuda") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
