"""The TF32 switch sets torch's own settings."""

from __future__ import annotations

import torch

from torchkeras import config


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
