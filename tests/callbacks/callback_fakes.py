"""A stand-in for a model under training, which our callbacks and Keras's both take."""

import numpy as np
import torch


class FakeOptimizer:
    name = "sgd"

    def __init__(self):
        self.learning_rate = 0.5


class FakeMetric:
    def __init__(self, name="loss", direction=None, value=0.0):
        self.name = name
        self.variables = [torch.tensor(value)]
        if direction:
            self._direction = direction


class FakeModel:
    """Has what callbacks ask for; its only weight counts the steps. Notes what was saved."""

    built = True

    def __init__(self):
        self.optimizer = FakeOptimizer()
        self.metrics = [FakeMetric()]
        self.stop_training = False
        self.weight = np.zeros(1)
        self.weights = []
        self.saved = []

    def get_weights(self):
        return [self.weight.copy()]

    def set_weights(self, weights):
        self.weight = np.array(weights[0])

    def save(self, path, overwrite=True):
        self.saved.append(str(path))
        with open(path, "wb") as file:
            np.save(file, self.weight)

    save_weights = save

    def load_weights(self, path):
        with open(path, "rb") as file:
            self.weight = np.load(file)
