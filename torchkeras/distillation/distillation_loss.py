"""How far a student's outputs are from its teacher's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import torch

from torchkeras import losses
from torchkeras.core import tree
from torchkeras.core.config.configurable import Configurable
from torchkeras.core.config.serialization import deserialize_keras_object
from torchkeras.core.types import Config, Identifier, Nest
from torchkeras.losses import Loss
from torchkeras.training.compile.loss import get_loss

if TYPE_CHECKING:
    from torchkeras.models import Model

KL_DIVERGENCES = (losses.kl_divergence, losses.KLDivergence)


def _resolved(loss: Nest[Identifier | None], owner: str) -> Nest[Any]:
    """The losses of names; at least one must be there."""
    resolved = tree.map_structure(lambda one: losses.get(one) if isinstance(one, str) else one, loss)
    if all(one is None for one in tree.flatten(resolved)):
        raise ValueError(
            f"The `loss` argument in `{owner}` must contain at least one non-`None` value; received loss={loss!r}."
        )
    return resolved


def _is_kl_divergence(loss: Any) -> bool:
    return loss is KL_DIVERGENCES[0] or isinstance(loss, KL_DIVERGENCES[1])


class DistillationLoss(Configurable):
    """Base class of the losses between a teacher's and a student's outputs: override `compute_loss`.

    A subclass with attributes `teacher_layer_name` and `student_layer_name` gets the outputs of these layers; where the
    name is `None` or missing, it gets the outputs of the model.

    Example:
        >>> class LogitMatching(keras.distillation.DistillationLoss):
        ...     def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
        ...         return keras.ops.mean((teacher_outputs - student_outputs) ** 2)
        >>> float(LogitMatching().compute_loss(torch.ones(2, 3), torch.zeros(2, 3)))
        1.0
    """

    keras_module = "keras.distillation"

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Make a loss from its config.

        Args:
            config: the dict that `get_config()` returned.

        Returns:
            A loss of this class.
        """
        return cls(**{name: deserialize_keras_object(value) for name, value in config.items()})

    def compute_loss(
        self, teacher_outputs: Nest[torch.Tensor], student_outputs: Nest[torch.Tensor], **kwargs: Any
    ) -> torch.Tensor:
        """Return the loss of a batch.

        Args:
            teacher_outputs: outputs of the teacher: a tensor, or a nest of tensors for several outputs.
            student_outputs: outputs of the student, in the same structure.
            **kwargs: for subclasses with further arguments.

        Returns:
            A scalar tensor.

        Raises:
            NotImplementedError: the subclass does not override this method.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement compute_loss().")

    def validate_outputs(self, teacher_outputs: Nest[torch.Tensor], student_outputs: Nest[torch.Tensor]) -> None:
        """Check that both models gave the same structure of outputs.

        Args:
            teacher_outputs: outputs of the teacher.
            student_outputs: outputs of the student.

        Raises:
            ValueError: the structures differ.
        """
        tree.assert_same_structure(teacher_outputs, student_outputs)

    def validate_model_compatibility(self, teacher: Model, student: Model) -> None:
        """Check that the loss can be used between two models. The base class accepts all.

        Args:
            teacher: the model that is learned from.
            student: the model that learns.

        Raises:
            ValueError: the loss needs something that one of the models does not have.
        """


class FeatureDistillation(DistillationLoss):
    """Distance between the outputs of a layer of the teacher and of a layer of the student.

    `loss(teacher_features, student_features)`, averaged over the batch and summed over several outputs. The features
    must have shapes that the loss takes; `"cosine_similarity"`, say, compares directions.

    Args:
        loss: name of a loss, a `Loss`, or a callable; for a layer with several outputs a nest of them, where `None`
            leaves an output out. Default: `"mse"`.
        teacher_layer_name: layer of the teacher. Default: `None`, the outputs of the model.
        student_layer_name: layer of the student. Default: `None`, the outputs of the model.

    Raises:
        ValueError: all losses are `None`.

    Reference: Romero et al., "FitNets: Hints for Thin Deep Nets" (2015).

    Example:
        >>> loss = keras.distillation.FeatureDistillation("mse", teacher_layer_name="wide", student_layer_name="narrow")
        >>> float(loss.compute_loss(torch.ones(2, 3), torch.full((2, 3), 3.0)))
        4.0
    """

    def __init__(
        self,
        loss: Nest[Identifier | None] = "mse",
        teacher_layer_name: str | None = None,
        student_layer_name: str | None = None,
    ) -> None:
        self.loss = _resolved(loss, "FeatureDistillation")
        self.teacher_layer_name = teacher_layer_name
        self.student_layer_name = student_layer_name

    def validate_model_compatibility(self, teacher: Model, student: Model) -> None:
        """Check that the named layers exist, and that their outputs can be read.

        Args:
            teacher: the model that is learned from.
            student: the model that learns.

        Raises:
            ValueError: a model has no such layer, or is subclassed, so that outputs of its layers are not known.
        """
        sides = (("teacher", teacher, self.teacher_layer_name), ("student", student, self.student_layer_name))
        for side, model, name in sides:
            if name is None:
                continue
            if getattr(model, "inputs", None) is None:
                raise ValueError(
                    f"FeatureDistillation with layer names requires Functional or Sequential models that are built. "
                    f"The {side} {model.name!r} has no symbolic inputs: build it, leave the layer names out to "
                    f"compare final outputs, or use LogitsDistillation."
                )
            try:
                model.get_layer(name=name)
            except ValueError as error:
                raise ValueError(f"In {side} model: {error}") from None

    def validate_outputs(self, teacher_outputs: Nest[torch.Tensor], student_outputs: Nest[torch.Tensor]) -> None:
        """Check that teacher, student and `loss` have the same structure.

        Args:
            teacher_outputs: features of the teacher.
            student_outputs: features of the student.

        Raises:
            ValueError: the structures differ.
        """
        super().validate_outputs(teacher_outputs, student_outputs)
        _check_structure(self.loss, teacher_outputs)

    def compute_loss(
        self, teacher_outputs: Nest[torch.Tensor], student_outputs: Nest[torch.Tensor], **kwargs: Any
    ) -> torch.Tensor:
        """Return the distance of the features.

        Args:
            teacher_outputs: features of the teacher.
            student_outputs: features of the student, in the same structure.
            **kwargs: not used.

        Returns:
            A scalar tensor.
        """
        return _total(self.loss, teacher_outputs, student_outputs)


class LogitsDistillation(DistillationLoss):
    """Distance between the outputs of teacher and student, softened by a temperature.

    Logits of both are divided by `temperature` T. For the Kullback-Leibler divergence the loss is
    `T ** 2 * KL(softmax(teacher / T), softmax(student / T))`; other losses get the divided logits. Several outputs are
    summed.

    Args:
        temperature: number above 0. Higher values show more of how the teacher ranks the wrong classes; 3 to 5 is
            usual. Default: `3.0`.
        loss: name of a loss, a `Loss`, or a callable; for a model with several outputs a nest of them, where `None`
            leaves an output out. Default: `"kl_divergence"`. Keras computes the divergence of the name without the
            softmax; here the name and `KLDivergence()` mean the same.

    Raises:
        ValueError: all losses are `None`, or the temperature is not a number above 0.

    Reference: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (2015).

    Example:
        >>> loss = keras.distillation.LogitsDistillation(temperature=2.0)
        >>> logits = torch.tensor([[2.0, 1.0, 0.0]])
        >>> float(loss.compute_loss(logits, logits))
        0.0
    """

    def __init__(self, temperature: float = 3.0, loss: Nest[Identifier | None] = "kl_divergence") -> None:
        self.loss = _resolved(loss, "LogitsDistillation")
        if isinstance(temperature, bool) or not isinstance(temperature, (int, float)):
            raise ValueError(f"temperature must be a number, got {type(temperature)}.")
        if temperature <= 0:
            raise ValueError(f"temperature must be positive; received {temperature}.")
        self.temperature = temperature

    def compute_loss(
        self, teacher_outputs: Nest[torch.Tensor], student_outputs: Nest[torch.Tensor], **kwargs: Any
    ) -> torch.Tensor:
        """Return the distance of the softened outputs.

        Args:
            teacher_outputs: logits of the teacher.
            student_outputs: logits of the student, in the same structure.
            **kwargs: not used.

        Returns:
            A scalar tensor.
        """
        _check_structure(self.loss, teacher_outputs)
        return _total(self.loss, teacher_outputs, student_outputs, self.temperature)


def _check_structure(loss: Nest[Any], outputs: Nest[torch.Tensor]) -> None:
    try:
        tree.assert_same_structure(loss, outputs)
    except ValueError as error:
        raise ValueError(
            f"Loss structure mismatch: `loss` must have the structure of the outputs. Loss structure: "
            f"{loss!r}, output structure: {tree.map_structure(lambda t: tuple(t.shape), outputs)}."
        ) from error


def _total(
    loss: Nest[Any], teacher: Nest[torch.Tensor], student: Nest[torch.Tensor], temperature: float | None = None
) -> torch.Tensor:
    """Sum over outputs. With a temperature, outputs are logits."""
    pairs = zip(tree.flatten(loss), tree.flatten(teacher), tree.flatten(student), strict=True)
    terms = [_term(one, t, s, temperature) for one, t, s in pairs if one is not None]
    return torch.stack(terms).sum() if len(terms) > 1 else terms[0]


def _term(loss: Any, teacher: torch.Tensor, student: torch.Tensor, temperature: float | None) -> torch.Tensor:
    scale = 1.0
    if temperature is not None:
        teacher, student = teacher / temperature, student / temperature
        if _is_kl_divergence(loss):
            teacher, student = torch.softmax(teacher, -1), torch.softmax(student, -1)
            scale = temperature**2  # keeps the gradients' size, which softening divides by it
    # A Loss averages with the share of this rank in the global batch; a bare function does not know of ranks.
    averaged: Loss = get_loss(loss)
    value = averaged(teacher, student)
    return (value.mean() if value.dim() else value) * scale
