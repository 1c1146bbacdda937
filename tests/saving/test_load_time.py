"""Loading a file does not import torch's compiler, which takes seconds."""

import subprocess
import sys

SCRIPT = """
import sys
import torchkeras as keras
assert "torch._dynamo" not in sys.modules, "importing the library imported the compiler"
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dropout(0.5)])
model.compile("adam", "mse")
model.save(sys.argv[1])
keras.saving.load_model(sys.argv[1])
assert "torch._dynamo" not in sys.modules, "the compiler was imported"
"""


def test_the_compiler_is_not_imported(tmp_path):
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "m.keras")], capture_output=True, text=True, timeout=120
    )
    assert found.returncode == 0, found.stderr
