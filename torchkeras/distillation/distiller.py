"""A model that trains a student on labels and on a teacher's outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch

from torchkeras.core import tree
from torchkeras.core.config.serialization import deserialize_keras_object
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.types import Config, Identifier, Nest
from torchkeras.distillation.distillation_loss import DistillationLoss
from torchkeras.metrics import Mean
from torchkeras.models import Model
from torchkeras.training.compile.options import Compiled
from torchkeras.training.state import compiled_of


def _feature_extractor(model: Model, layer_names: list[str]) -> Model | None:
    """A model that gives the outputs of `model` and of the named layers in one pass; `None` if no names are given."""
    if not layer_names:
        return None
    features = {name: model.get_layer(name=name).output for name in layer_names}
    outputs = model.outputs[0] if len(model.outputs) == 1 else model.output
    return Model(model.inputs, {"outputs": outputs, "features": features})


def _outputs_and_features(
    model: Model, extractor: Model | None, x: Nest[Any], **kwargs: Any
) -> tuple[Nest[torch.Tensor], dict[str, Nest[torch.Tensor]]]:
    if extractor is None:
        return model(x, **kwargs), {}
    both = extractor(x, **kwargs)
    return both["outputs"], both["features"]


class Distiller(Model):
    """Train a small student model on labels and on the outputs of a large teacher model.

    The loss is `w * student_loss + (1 - w) * distillation_loss`, plus the regularization losses of the student, where
    `w` is `student_loss_weight`, `student_loss` the loss of `compile()` between targets and the student's outputs, and
    `distillation_loss` the weighted sum of `distillation_losses`. Without targets only the distillation loss counts.
    Calling the distiller calls the student. The teacher is frozen, runs in inference mode and records no gradients.
    The logs have `student_loss`, `distillation_loss` and `total_loss`.

    Args:
        teacher: `Model` that is learned from. Its `trainable` becomes `False`.
        student: `Model` that learns; after training it is `distiller.student`.
        distillation_losses: one `DistillationLoss` or a list of them.
        distillation_loss_weights: list of numbers, one per distillation loss. Default: `None`, each 1.
        student_loss_weight: number from 0 to 1. Default: `0.5`.
        name: name of the model. Default: `"distiller"`.
        **kwargs: further arguments of `Model`: `trainable`, `dtype`.

    Raises:
        ValueError: teacher and student have inputs or outputs of other shapes or dtypes, one of them is no `Model`, or
            an argument has a wrong value.

    Example:
        >>> teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(32), keras.layers.Dense(3)])
        >>> student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> distiller = keras.distillation.Distiller(teacher, student, keras.distillation.LogitsDistillation())
        >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        >>> distiller.compile("adam", loss, metrics=["accuracy"])
        >>> history = distiller.fit(np.ones((8, 4)), np.zeros(8), verbose=0)
        >>> sorted(history.history)
        ['accuracy', 'distillation_loss', 'loss', 'student_loss', 'total_loss']
        >>> distiller.student.predict(np.ones((2, 4)), verbose=0).shape
        (2, 3)
    """

    keras_module = "keras.distillation"
    _teacher_feature_extractor: Model | None
    _student_feature_extractor: Model | None

    def __init__(
        self,
        teacher: Model,
        student: Model,
        distillation_losses: DistillationLoss | Sequence[DistillationLoss],
        distillation_loss_weights: Sequence[float] | None = None,
        student_loss_weight: float = 0.5,
        name: str = "distiller",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        _check_models(teacher, student)
        _check_weight(student_loss_weight)
        self.student_loss_weight = student_loss_weight
        self.distillation_losses = _as_list(distillation_losses)
        self.distillation_loss_weights = _weights(distillation_loss_weights, self.distillation_losses)
        for loss in self.distillation_losses:
            loss.validate_model_compatibility(teacher, student)
        self.teacher = teacher
        self.student = student
        teacher.trainable = False
        # Not submodules: the extractors hold layers of the two models again.
        self.__dict__.update(
            _teacher_feature_extractor=_feature_extractor(teacher, self._tk_layer_names("teacher")),
            _student_feature_extractor=_feature_extractor(student, self._tk_layer_names("student")),
        )
        self.student_loss_tracker = Mean(name="student_loss")
        self.distillation_loss_tracker = Mean(name="distillation_loss")
        self.total_loss_tracker = Mean(name="total_loss")

    @classmethod
    def from_config(cls, config: Config, custom_objects: dict[str, Any] | None = None) -> Self:
        """Make a distiller from its config.

        Args:
            config: the dict that `get_config()` returned.
            custom_objects: classes by name, beside the registered ones. Default: `None`.

        Returns:
            A distiller with models of the same layers.
        """
        return cls(**{name: deserialize_keras_object(value, custom_objects) for name, value in config.items()})

    def _tk_layer_names(self, side: str) -> list[str]:
        names = [getattr(loss, f"{side}_layer_name", None) for loss in self.distillation_losses]
        return list(dict.fromkeys(name for name in names if name is not None))

    def compile(  # type: ignore[override]  # Keras's signature
        self,
        optimizer: Identifier | Any = "adam",
        loss: Nest[Identifier] | Any = None,
        metrics: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Say how the student is trained.

        Args:
            optimizer: as in `Model.compile`. Default: `"adam"`.
            loss: loss between targets and the student's outputs, as in `Model.compile`. It must be given.
            metrics: list of metrics, as in `Model.compile`. Default: `None`.
            **kwargs: further arguments of `Model.compile`.

        Raises:
            ValueError: `loss` is `None`, or `metrics` is not a list or tuple.
        """
        if loss is None:
            raise ValueError(
                "'loss' cannot be `None`: give compile() the loss between targets and the student's outputs."
            )
        if metrics is not None and not isinstance(metrics, (list, tuple)):
            raise ValueError(f"metrics must be a list or tuple, got {type(metrics)}.")
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as `get_compile_config()` described.

        Args:
            config: the dict that it returned. Files that Keras wrote have no loss; the model then stays uncompiled.
        """
        if config.get("loss") is None:
            super().compile_from_config(config)  # says that compile() must be called
            return
        self.compile(**Compiled.arguments(config))
        if self.built:
            self.optimizer.build(self.trainable_weights)

    def call(  # type: ignore[override]  # further arguments are the student's
        self, inputs: Nest[Any], training: bool | None = None, **kwargs: Any
    ) -> Nest[torch.Tensor]:
        """Return the outputs of the student.

        Args:
            inputs: inputs of the student.
            training: whether the student trains. Default: `None`, as the enclosing call.
            **kwargs: further arguments of the student.

        Returns:
            The outputs of the student.
        """
        symbolic = any(isinstance(leaf, KerasTensor) for leaf in tree.flatten(inputs))
        if not training or symbolic or self._student_feature_extractor is None:
            return self.student(inputs, training=training, **kwargs)
        # One pass gives the outputs and the features of the loss; a second pass would draw other dropout masks.
        outputs, features = _outputs_and_features(
            self.student, self._student_feature_extractor, inputs, training=training, **kwargs
        )
        self.__dict__["_tk_student_pass"] = (outputs, features)
        return outputs

    def compute_loss(
        self,
        x: Nest[torch.Tensor] | None = None,
        y: Nest[torch.Tensor] | None = None,
        y_pred: Nest[torch.Tensor] | None = None,
        sample_weight: Nest[torch.Tensor] | None = None,
        training: bool = True,
    ) -> torch.Tensor:
        """Return the combined loss of a batch, and add its parts to the metrics.

        Args:
            x: inputs of both models.
            y: targets. Default: `None`, only the distillation loss counts.
            y_pred: outputs of the student. Default: `None`, the student is called.
            sample_weight: weights of the samples, for the student's loss. Default: `None`.
            training: whether the loss is for a training step. Default: `True`.

        Returns:
            A scalar tensor.
        """
        if y_pred is None:
            y_pred = self(x, training=training)
        weight = self.student_loss_weight
        zero = torch.zeros((), device=tree.flatten(y_pred)[0].device)
        student_loss = zero
        if weight > 0 and y is not None:
            student_loss = compiled_of(self, "compute_loss").loss(y, y_pred, sample_weight)
        distillation_loss = self._tk_distillation_loss(x, y_pred, training) if weight < 1 else zero
        total = weight * student_loss + (1 - weight) * distillation_loss
        for one in self.losses:
            total = total + one
        self.student_loss_tracker.update_state(student_loss.detach())
        self.distillation_loss_tracker.update_state(distillation_loss.detach())
        self.total_loss_tracker.update_state(total.detach())
        return total

    def _tk_distillation_loss(self, x: Nest[torch.Tensor], y_pred: Nest[torch.Tensor], training: bool) -> torch.Tensor:
        with torch.no_grad():
            teacher_outputs, teacher_features = _outputs_and_features(
                self.teacher, self._teacher_feature_extractor, x, training=False
            )
        features = self._tk_student_features(x, y_pred, training)
        total: torch.Tensor | None = None
        for loss, weight in zip(self.distillation_losses, self.distillation_loss_weights):
            teacher_name, student_name = (getattr(loss, f"{side}_layer_name", None) for side in ("teacher", "student"))
            theirs = teacher_outputs if teacher_name is None else teacher_features[teacher_name]
            ours = y_pred if student_name is None else features[student_name]
            loss.validate_outputs(theirs, ours)
            value = torch.as_tensor(loss.compute_loss(theirs, ours))
            if value.dim():
                raise ValueError(
                    f"Distillation loss {type(loss).__name__} returned a non-scalar loss with shape "
                    f"{tuple(value.shape)}: compute_loss() must return a scalar tensor."
                )
            total = weight * value if total is None else total + weight * value
        assert total is not None  # there is at least one distillation loss
        return total

    def _tk_student_features(
        self, x: Nest[torch.Tensor], y_pred: Nest[torch.Tensor], training: bool
    ) -> dict[str, Nest[torch.Tensor]]:
        outputs, features = self.__dict__.pop("_tk_student_pass", (None, {}))
        if outputs is y_pred or self._student_feature_extractor is None:
            return features
        return _outputs_and_features(self.student, self._student_feature_extractor, x, training=training)[1]


def _as_list(distillation_losses: DistillationLoss | Sequence[DistillationLoss]) -> list[DistillationLoss]:
    given: list[Any] = [distillation_losses]
    if isinstance(distillation_losses, (list, tuple)):
        given = list(distillation_losses)
    if not given or not all(isinstance(loss, DistillationLoss) for loss in given):
        raise ValueError(
            "'distillation_losses' must be a DistillationLoss (LogitsDistillation, FeatureDistillation or a subclass "
            f"of your own) or a list of at least one; received {distillation_losses!r}."
        )
    return given


def _weights(weights: Sequence[float] | None, distillation_losses: list[DistillationLoss]) -> list[float]:
    if weights is None:
        return [1.0] * len(distillation_losses)
    if len(weights) != len(distillation_losses):
        raise ValueError(
            f"Number of distillation_loss_weights ({len(weights)}) must match number of distillation_losses "
            f"({len(distillation_losses)})."
        )
    return list(weights)


def _check_weight(weight: float) -> None:
    if isinstance(weight, bool) or not isinstance(weight, (int, float)):
        raise ValueError(f"student_loss_weight must be a number, got {type(weight)}.")
    if not 0 <= weight <= 1:
        raise ValueError(f"student_loss_weight must be between 0.0 and 1.0, got {weight}.")


def _check_models(teacher: Model, student: Model) -> None:
    """Teacher and student must take the same inputs and give outputs of the same shapes and dtypes."""
    for side, model in (("Teacher", teacher), ("Student", student)):
        if not isinstance(model, Model):
            raise ValueError(f"{side} must be a keras.Model, got {type(model)}.")
    for what in ("inputs", "outputs"):
        pair = [getattr(model, what, None) for model in (teacher, student)]
        if any(tensors is None for tensors in pair):
            continue  # subclassed, or not built yet
        theirs, ours = (tree.flatten(tensors) for tensors in pair)
        if len(theirs) != len(ours):
            raise ValueError(
                f"Teacher and student must have as many {what}. Teacher: {len(theirs)}, student: {len(ours)}."
            )
        for t, s in zip(theirs, ours):
            _check_pair(what, t, s)


def _check_pair(what: str, teacher: KerasTensor, student: KerasTensor) -> None:
    sizes = zip(teacher.shape, student.shape)
    fits = len(teacher.shape) == len(student.shape) and all(a == b or None in (a, b) for a, b in sizes)
    if not fits:
        raise ValueError(
            f"Teacher and student {what} shapes are incompatible: all dimensions must match. "
            f"Teacher: {teacher.shape}, Student: {student.shape}."
        )
    if teacher.dtype != student.dtype:
        raise ValueError(
            f"Teacher and student {what} dtypes must match. Teacher: {teacher.dtype}, Student: {student.dtype}."
        )
