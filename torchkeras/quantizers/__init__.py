"""Quantizers: integer and 8-bit float forms of tensors, and the settings of quantized layers."""

from torchkeras.quantizers.abs_max import AbsMaxQuantizer as AbsMaxQuantizer
from torchkeras.quantizers.abs_max import Quantizer as Quantizer
from torchkeras.quantizers.abs_max import abs_max_quantize as abs_max_quantize
from torchkeras.quantizers.calibrated_configs import AWQConfig as AWQConfig
from torchkeras.quantizers.calibrated_configs import GPTQConfig as GPTQConfig
from torchkeras.quantizers.configs import Float8QuantizationConfig as Float8QuantizationConfig
from torchkeras.quantizers.configs import Int4QuantizationConfig as Int4QuantizationConfig
from torchkeras.quantizers.configs import Int8QuantizationConfig as Int8QuantizationConfig
from torchkeras.quantizers.configs import QuantizationConfig as QuantizationConfig
from torchkeras.quantizers.configs import TernaryQuantizationConfig as TernaryQuantizationConfig
from torchkeras.quantizers.fake_quantization import fake_quant_with_min_max_vars as fake_quant_with_min_max_vars
from torchkeras.quantizers.float8 import compute_float8_amax_history as compute_float8_amax_history
from torchkeras.quantizers.float8 import compute_float8_scale as compute_float8_scale
from torchkeras.quantizers.float8 import quantize_and_dequantize as quantize_and_dequantize
from torchkeras.quantizers.grouped import (
    abs_max_quantize_grouped_with_zero_point as abs_max_quantize_grouped_with_zero_point,
)
from torchkeras.quantizers.identifiers import deserialize as deserialize
from torchkeras.quantizers.identifiers import get as get
from torchkeras.quantizers.identifiers import serialize as serialize
from torchkeras.quantizers.int2 import pack_int2 as pack_int2
from torchkeras.quantizers.int2 import unpack_int2 as unpack_int2
from torchkeras.quantizers.int4 import pack_int4 as pack_int4
from torchkeras.quantizers.int4 import unpack_int4 as unpack_int4
from torchkeras.quantizers.report import QuantizationReport as QuantizationReport
from torchkeras.quantizers.ternary import pack_ternary as pack_ternary
from torchkeras.quantizers.ternary import unpack_ternary as unpack_ternary
