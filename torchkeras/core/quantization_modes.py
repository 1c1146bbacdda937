"""The names of the quantizations: dtype policies and the settings of layers both go by them."""

# In the order in which Keras's errors list them.
QUANTIZATION_MODES = ("int8", "float8", "int4", "ternary", "gptq", "awq")
