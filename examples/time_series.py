"""Time series: forecast the carbon dioxide of the air for half a year from the two years before.

    python examples/time_series.py [folder]
    python -m torchkeras run --nproc 2 examples/time_series.py

Data: weekly means of the Mauna Loa Observatory from 1958 to 2001, in parts per million (ppm), from the package
statsmodels. The first 70% of the weeks are to train, the next 15% to validate, the last 15% to test: a random split
would let the model see the future. Two simple forecasts are the baseline: last year's values plus the growth since
then, and a linear regression on the same two years.

Expect an error (RMSE) of 0.55 to 0.65 ppm, where the baselines have 0.87 and 0.58, after 15 seconds on two cores. The
series is so regular that the network gains little over the regression.
"""

import sys
from pathlib import Path

import numpy as np
from statsmodels.datasets import co2

import torchkeras as keras
from torchkeras import layers
from torchkeras.distributed import is_main_process  # with several processes, one of them prints and draws

EPOCHS = 60
PAST, AHEAD = 104, 26  # weeks
SCALE = 3  # ppm: the usual change within half a year


def load() -> tuple[np.ndarray, np.ndarray]:
    """Dates and values of all weeks; missing weeks are interpolated."""
    series = co2.load_pandas().data["co2"].interpolate()
    return series.index.to_numpy(), series.to_numpy("float32")


def windows(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs (n, PAST), targets (n, AHEAD), and the level (n, 1): the value of the last input week.

    Inputs and targets are differences from the level, because all values of the test weeks are higher than those of
    the training weeks.
    """
    all_weeks = np.lib.stride_tricks.sliding_window_view(values, PAST + AHEAD)
    level = all_weeks[:, PAST - 1 : PAST]
    return (all_weeks[:, :PAST] - level) / SCALE, (all_weeks[:, PAST:] - level) / SCALE, level


def forecaster() -> keras.Model:
    """Two convolutions shorten the 104 weeks to 11 steps for the GRU."""
    inputs = keras.Input((PAST,), name="past")
    x = layers.Reshape((PAST, 1))(inputs)
    x = layers.Conv1D(32, 8, strides=4, activation="relu")(x)
    x = layers.Conv1D(32, 4, strides=2, activation="relu")(x)
    x = layers.GRU(32)(x)
    return keras.Model(inputs, layers.Dense(AHEAD, name="ahead")(x))


def error(forecast: np.ndarray, truth: np.ndarray) -> float:
    """The root mean squared error, in ppm."""
    return float(SCALE * np.sqrt(((forecast - truth) ** 2).mean()))


def draw(dates: np.ndarray, values: np.ndarray, forecasts: dict[int, np.ndarray], path: Path) -> None:
    """The last years, and forecasts, whose keys are the indices of their first weeks."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(11, 5), layout="constrained")
    first = min(forecasts) - PAST
    axes.plot(dates[first:], values[first:], color="lightgray", linewidth=4, label="measured")
    for number, (week, forecast) in enumerate(forecasts.items()):
        axes.plot(dates[week : week + AHEAD], forecast, color="tab:blue", label=None if number else "forecast")
        axes.plot(dates[week - 1], values[week - 1], "o", color="tab:blue")
    axes.set(ylabel="CO2, parts per million", title="Each forecast starts from the weeks before its dot")
    axes.legend()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main(folder: Path, epochs: int = EPOCHS, seed: int = 1) -> dict[str, float]:
    keras.utils.set_random_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    dates, values = load()
    past, ahead, level = windows(values)
    # No target week of one part is a target week of another.
    end_of_train, start_of_test = int(0.7 * len(past)), int(0.85 * len(past))
    train = slice(0, end_of_train - AHEAD)
    val, test = slice(end_of_train, start_of_test - AHEAD), slice(start_of_test, None)

    model = forecaster()
    model.compile(keras.optimizers.Adam(3e-3), loss="mse")
    history = model.fit(
        past[train],
        ahead[train],
        validation_data=(past[val], ahead[val]),
        batch_size=32,
        epochs=epochs,
        callbacks=[
            keras.callbacks.ReduceLROnPlateau(patience=5, factor=0.5),
            keras.callbacks.EarlyStopping(patience=15, restore_best_weights=True),
        ],
        verbose=0,
    ).history
    forecast = model.predict(past[test], verbose=0)

    year_before = past[:, PAST - 52 : PAST - 52 + AHEAD] - past[:, PAST - 53 : PAST - 52]
    with_one = np.pad(past, ((0, 0), (0, 1)), constant_values=1)
    coefficients, *_ = np.linalg.lstsq(with_one[train], ahead[train])
    errors = {
        "as last year, plus the growth": error(year_before[test], ahead[test]),
        "linear regression": error(with_one[test] @ coefficients, ahead[test]),
        "network": error(forecast, ahead[test]),
    }
    model.save(folder / "co2.keras")
    if is_main_process():
        print(f"Errors on the last 15% of the weeks, in parts per million, after {len(history['loss'])} epochs:")
        for name, value in errors.items():
            print(f"  {name}: {value:.2f}")
        first = start_of_test + PAST  # the first week of the first test run's forecast
        shown = {first + n: SCALE * forecast[n] + level[start_of_test + n] for n in range(0, len(forecast), 40)}
        draw(dates, values, shown, folder / "co2.png")
        print(f"The model is in {folder / 'co2.keras'}, forecasts and truth in {folder / 'co2.png'}.")
    return errors


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/time_series"))
