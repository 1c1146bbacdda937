"""Public classes have Keras's public attributes and few others: any other name is free for subclasses of users."""

from __future__ import annotations

import inspect

import keras as real
import pytest
import torch

import torchkeras as keras

# Attributes that the classes of Keras lack. Those that its instances have, or that are made for users.
OURS = {
    "layers": "autocast lora_enabled mean moving_variance rank seed states units variance",
    "optimizers": "elementwise low_precision_update momentums slot_groups update_many",
    "metrics": "non_trainable_variables",
    "losses": "",
    "callbacks": "get_state idle_hooks monitor_op needs_all_ranks runs_last set_state",
    "initializers": "",
    "models": "autocast inputs input_shape loss operations optimizer output_names output_shape outputs "
    "quantization_summary reset_state reset_states steps_per_execution",
    "quantizers": "calibration_batch_size",
}
# Those that the package's classes use on each other, of classes that hardly anybody derives from.
INTERNAL = {
    "layers": {"InputSpec": "fits", "any": "inputs_quantizer is_awq_calibrated is_gptq_calibrated"},
    "callbacks": {
        "ModelCheckpoint": "file_path",
        "CallbackList": "acts_on_test_batches acts_on_train_batches append only_progress_watches "
        "watches_predict_batches watches_test_batches watches_train_batches",
    },
    "quantizers": {"any": "dtype_policy_string"},
}


@pytest.mark.parametrize("namespace", OURS)
def test_public_attributes_are_keras_or_listed(namespace):
    internal = INTERNAL.get(namespace, {})
    known = {"keras_module", *dir(torch.nn.Module), *OURS[namespace].split(), *internal.get("any", "").split()}
    extra, compared = {}, 0
    for name, theirs in vars(getattr(real, namespace)).items():
        ours = getattr(getattr(keras, namespace), name, None)
        if not inspect.isclass(theirs) or not inspect.isclass(ours):
            continue
        compared += 1
        allowed = known.union(dir(theirs), internal.get(name, "").split())
        found = [attribute for attribute in dir(ours) if not attribute.startswith("_") and attribute not in allowed]
        if found:
            extra[name] = found
    assert compared > 1
    assert not extra, "name them _tk_..., or list them with those that are made for users"
