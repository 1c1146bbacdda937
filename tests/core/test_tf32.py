"""The TF32 switch sets torch's own settings."""

from __future__ import annotations

import pytest
import torch

from torchkeras import config
from torchkeras.core.tf32 import float32_precisions
from torchkeras.training.replay.settings import Settings


def test_the_switch_and_torchs_settings_are_one():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    try:
        for switch, precision, allowed in ((config.enable_tf32, "high", True), (config.disable_tf32, "highest", False)):
            switch()
            assert config.is_tf32_enabled() is allowed
            assert torch.get_float32_matmul_precision() == precision
            assert torch.backends.cuda.matmul.allow_tf32 is torch.backends.cudnn.allow_tf32 is allowed
        torch.set_float32_matmul_precision("high")
        assert config.is_tf32_enabled()
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def test_precisions_are_read_however_they_were_set():
    matmul, seen = torch.backends.cuda.matmul, set()
    try:
        for precision in ("tf32", "ieee"):
            matmul.fp32_precision = precision  # after which torch's older questions may raise an error
            seen.add(float32_precisions())
            assert Settings([]) == Settings([])
        assert len(seen) == 2
    finally:
        matmul.fp32_precision = "ieee"
        torch.set_float32_matmul_precision("highest")
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("first", ["none", "tf32", "ieee"])
@pytest.mark.parametrize("then", ["none", "tf32", "ieee"])
def test_the_switch_holds_whatever_the_setting_of_all_backends(first, then):
    backends = torch.backends
    try:
        for switch, wanted in ((config.disable_tf32, "ieee"), (config.enable_tf32, "tf32")):
            backends.fp32_precision = first
            switch()
            backends.fp32_precision = then
            assert float32_precisions() == (wanted,) * 3
            assert backends.cudnn.allow_tf32 is backends.cuda.matmul.allow_tf32 is (wanted == "tf32")
    finally:
        backends.fp32_precision = "none"
        torch.set_float32_matmul_precision("highest")
        backends.cudnn.allow_tf32 = True
