"""torch's losses, optimizers, schedulers and metrics of `compile()` in `.keras` files."""

import functools
import warnings
import zipfile

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import torchkeras as keras

ROWS, BATCH = 20, 8


@pytest.fixture
def data(rng):
    x = rng.normal(size=(ROWS, 4)).astype("float32")
    return x, rng.integers(0, 3, ROWS), rng.normal(size=(ROWS, 3)).astype("float32")


def make():
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, activation="tanh", name="first"),
            keras.layers.Dense(3, name="second"),
        ]
    )


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)


class OwnLoss(nn.Module):
    def forward(self, y_pred, y_true):
        return (y_pred - y_true).abs().mean()


def by_layer(parameters):
    first = [p for p in parameters if p.path.startswith("first/")]
    rest = [p for p in parameters if not p.path.startswith("first/")]
    groups = [{"params": first, "lr": 0.02}, {"params": rest, "weight_decay": 0.1}]
    return torch.optim.AdamW(groups, lr=0.01, betas=(0.8, 0.99))


TORCHS_OWN = {
    "module": lambda: {"loss": nn.SmoothL1Loss(beta=0.5), "optimizer": "adam"},
    "function": lambda: {"loss": F.mse_loss},
    "function with arguments": lambda: {"loss": functools.partial(F.huber_loss, delta=0.3), "metrics": ["mae"]},
    "loss as metric": lambda: {"loss": "mse", "metrics": [nn.L1Loss()]},
    "optimizer's class": lambda: {"loss": "mse", "optimizer": torch.optim.Adam},
    "optimizer's function": lambda: {"loss": "mse", "optimizer": sgd},
    "groups": lambda: {"loss": nn.MSELoss(), "optimizer": by_layer},
    "rows and columns": lambda: {"loss": "mse", "optimizer": lambda p: torch.optim.Adafactor(p, lr=0.1)},
    "schedule of batches": lambda: {
        "loss": "mse",
        "optimizer": keras.optimizers.TorchOptimizer(
            sgd, scheduler=lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [2, 3, 5], 0.5)
        ),
    },
    "schedule of epochs": lambda: {
        "loss": "mse",
        "optimizer": keras.optimizers.TorchOptimizer(
            torch.optim.Adam, lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 5), "epoch"
        ),
    },
    "schedule by a metric": lambda: {
        "loss": "mse",
        "optimizer": keras.optimizers.TorchOptimizer(
            sgd, lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o, patience=0), "epoch", "loss"
        ),
    },
}


@pytest.mark.parametrize("case", TORCHS_OWN)
def test_models_with_torchs_own_are_saved_and_train_on(case, data, tmp_path):
    """A file holds names, numbers and tensors; the loaded model goes on where the other one does."""
    x, _, y = data
    model = make()
    model.compile(**TORCHS_OWN[case]())
    options = {"batch_size": BATCH, "shuffle": False, "verbose": 0}
    model.fit(x, y, epochs=2, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert not any(name.endswith(("pkl", "pt", "pth")) for name in archive.namelist())
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert int(loaded.optimizer.iterations) == int(model.optimizer.iterations) > 0
    again, expected = (m.fit(x, y, epochs=3, **options).history for m in (loaded, model))
    for name, values in expected.items():
        np.testing.assert_allclose(again[name], values, rtol=1e-6, err_msg=name)
    for a, b in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert loaded.optimizer.learning_rate == pytest.approx(model.optimizer.learning_rate)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"loss": OwnLoss()}, "OwnLoss.*none of torch's own"),
        (
            {
                "loss": "mse",
                "optimizer": keras.optimizers.TorchOptimizer(
                    sgd, scheduler=lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda step: 0.5)
                ),
            },
            "LambdaLR.lr_lambdas",
        ),
    ],
)
def test_what_no_file_can_describe_is_told(arguments, said, data, tmp_path):
    x, _, y = data
    model = make()
    model.compile(**arguments)
    model.fit(x, y, verbose=0)
    with pytest.warns(UserWarning, match=rf"(?s){said}.*Call compile\(\) again after loading"):
        model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    assert not loaded.compiled


def test_torchmetrics_are_left_out_of_files(data, tmp_path):
    torchmetrics = pytest.importorskip("torchmetrics")
    x, _, y = data
    model = make()
    model.compile("adam", "mse", metrics=["mae", torchmetrics.MeanSquaredError()])
    model.fit(x, y, verbose=0)
    with pytest.warns(UserWarning, match="MeanSquaredError.*compile"):
        model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert list(loaded.evaluate(x, y, verbose=0, return_dict=True)) == ["loss", "mae"]
    assert int(loaded.optimizer.iterations) == int(model.optimizer.iterations)


def test_schedulers_by_epoch_see_the_metrics(data):
    x, _, y = data
    model = make()
    optimizer = keras.optimizers.TorchOptimizer(
        sgd, lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o, factor=0.5, patience=0), "epoch"
    )
    model.compile(optimizer, "mse")
    with pytest.raises(ValueError, match="'val_loss'.*monitor"):
        model.fit(x, y, verbose=0)
    model.fit(x, y, validation_data=(x, y + 100), epochs=2, verbose=0)
    rate = optimizer.learning_rate
    optimizer.scheduler.best = -1.0  # nothing is better than that
    model.fit(x, y, validation_data=(x, y), epochs=3, verbose=0)
    assert optimizer.learning_rate == pytest.approx(rate / 8)
