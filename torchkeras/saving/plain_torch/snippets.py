"""Small functions and modules that a written source brings along where torch has no single name for them."""

from __future__ import annotations

SNIPPETS = {
    "pad_same": '''
def pad_same(x, size, stride, dilation, mode="constant", value=0.0):
    """Pad (N, C, ...) so that a window gives ceil(length / stride) outputs, the odd element behind."""
    pads = []
    for length, k, s, d in zip(x.shape[:1:-1], size[::-1], stride[::-1], dilation[::-1]):
        total = max(0, (k - 1) * d + 1 - s + -length % s)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, mode, value) if mode == "constant" else F.pad(x, pads, mode)
''',
    "average_same": '''
def average_same(x, size, stride):
    """Average pooling of (N, C, ...) with ceil(length / stride) outputs; an even border does not count."""
    pads = [max(0, k - s + -n % s) for n, k, s in zip(x.shape[2:], size, stride)]
    pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[len(size) - 1]
    if all(total % 2 == 0 for total in pads):
        return pool(x, size, stride, [total // 2 for total in pads], count_include_pad=False)
    return pool(pad_same(x, size, stride, (1,) * len(size), "replicate"), size, stride)
''',
    "Normalize": '''
class Normalize(nn.Module):
    """Subtract a mean and divide by the root of a variance, both fixed."""

    def __init__(self, *shape):
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("variance", torch.ones(shape))

    def forward(self, x):
        return (x - self.mean) / self.variance.sqrt().clamp(min=1e-7)
''',
    "Einsum": '''
class Einsum(nn.Module):
    """A product of the inputs and a weight by an equation, and a bias."""

    def __init__(self, equation, shape, bias_shape=None):
        super().__init__()
        self.equation = equation
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = None if bias_shape is None else nn.Parameter(torch.empty(bias_shape))

    def forward(self, x):
        x = torch.einsum(self.equation, x, self.weight)
        return x if self.bias is None else x + self.bias
''',
    "Parameter": '''
class Parameter(nn.Module):
    """One learned tensor."""

    def __init__(self, *shape):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape))

    def forward(self):
        return self.weight
''',
    "Attention": '''
class Attention(nn.Module):
    """Multi-head attention with projections of their own sizes; heads of keys and values may be shared by several."""

    def __init__(self, query, key, value, output, heads, size, value_size, shared_heads=None, bias=True, scale=None):
        super().__init__()
        shared = heads if shared_heads is None else shared_heads
        self.heads, self.shared, self.scale = heads, shared, scale
        self.query = nn.Linear(query, heads * size, bias)
        self.key = nn.Linear(key, shared * size, bias)
        self.value = nn.Linear(value, shared * value_size, bias)
        self.output = nn.Linear(heads * value_size, output, bias)

    def forward(self, query, key, value, is_causal=False, mask=None):
        q = self.query(query).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k = self.key(key).unflatten(-1, (self.shared, -1)).transpose(1, 2)
        v = self.value(value).unflatten(-1, (self.shared, -1)).transpose(1, 2)
        k, v = (t.repeat_interleave(self.heads // self.shared, 1) for t in (k, v))
        x = F.scaled_dot_product_attention(q, k, v, mask, is_causal=is_causal, scale=self.scale)
        return self.output(x.transpose(1, 2).flatten(2))
''',
    "run_masked": '''
def run_masked(rnn, x, mask, all_steps, repeat_last):
    """Run a recurrent module over the steps that count: outputs of all steps, or the last of each direction.

    Steps that do not count put out zeros, or with repeat_last what the step before them did.
    """
    order = (~mask).to(torch.int8).argsort(dim=1, stable=True)
    lengths = mask.sum(1)
    x = x.gather(1, order.unsqueeze(-1).expand_as(x))
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False)
    outputs, state = rnn(packed)
    if not all_steps:
        h = state[0] if isinstance(state, tuple) else state
        return h.transpose(0, 1).flatten(1) * (lengths > 0).unsqueeze(-1)
    outputs, _ = nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True, total_length=x.shape[1])
    place = mask.cumsum(1) - 1
    there = place >= 0 if repeat_last else mask
    outputs = outputs.gather(1, place.clamp(min=0).unsqueeze(-1).expand(-1, -1, outputs.shape[-1]))
    return outputs * there.unsqueeze(-1)
''',
}
