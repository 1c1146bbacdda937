"""Connectionist temporal classification: sequences without alignment (Graves et al., 2006)."""

from __future__ import annotations

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.keras_tensor import KerasTensor

op = functools.partial(op, file_module="keras.src.ops.nn")


def _check_batch(target: Tensor, output: Tensor, target_length: Tensor, output_length: Tensor) -> None:
    first = [x.shape[0] if len(x.shape) else None for x in (target, output, target_length, output_length)]
    if len(set(first)) > 1:
        raise ValueError(
            "`target`, `output` and both lengths must have the same first dimension, the batch. Received shapes: "
            f"{tuple(target.shape)}, {tuple(output.shape)}, {tuple(target_length.shape)}, {tuple(output_length.shape)}"
        )


def _describe_loss(
    target: Tensor, output: Tensor, target_length: Tensor, output_length: Tensor, mask_index: int
) -> KerasTensor:
    _check_batch(target, output, target_length, output_length)
    return KerasTensor((output.shape[0],), "float32")


def sequence_values(
    target: Tensor, output: Tensor, target_length: Tensor, output_length: Tensor, blank: int = 0
) -> Tensor:
    """The CTC loss of each sequence, in the type of the logits; arguments as in `ctc_loss`."""
    log_prob = F.log_softmax(output, -1).transpose(0, 1)
    return F.ctc_loss(log_prob, target.long(), output_length.long(), target_length.long(), blank, "none")


@op(spec=_describe_loss, name="CTCLoss")
def ctc_loss(
    target: Tensor, output: Tensor, target_length: Tensor, output_length: Tensor, mask_index: int = 0
) -> Tensor:
    """Compute the CTC loss of sequences.

    Args:
        target: tensor of class numbers `(batch, max_length)`.
        output: logits `(batch, steps, classes)`.
        target_length: lengths of the targets, `(batch,)`.
        output_length: lengths of the outputs, `(batch,)`.
        mask_index: class of the blank. Default: `0`.

    Returns:
        A float32 tensor `(batch,)`.

    Raises:
        RuntimeError: the batch sizes differ.

    Example:
        >>> keras.ops.ctc_loss(np.array([[1, 2]]), np.zeros((1, 4, 3), "float32"), np.array([2]), np.array([4])).shape
        torch.Size([1])
    """
    return sequence_values(target, output.float(), target_length, output_length, mask_index)


def _describe_paths(
    inputs: Tensor,
    sequence_lengths: Tensor,
    strategy: str,
    beam_width: int,
    top_paths: int,
    merge_repeated: bool,
    mask_index: int | None,
) -> tuple[KerasTensor, KerasTensor]:
    _check_decoding(strategy, beam_width, top_paths)
    batch, steps = inputs.shape[:2]
    paths = top_paths if strategy == "beam_search" else 1
    return KerasTensor((paths, batch, steps), "int32"), KerasTensor((batch, paths), "float32")


def _check_decoding(strategy: str, beam_width: int, top_paths: int) -> None:
    if strategy not in ("greedy", "beam_search"):
        raise ValueError(f"Invalid strategy {strategy!r}: it must be 'greedy' or 'beam_search'.")
    if top_paths > beam_width and strategy == "beam_search":
        raise ValueError(
            "No more paths can be had than the beam holds: `top_paths` must not exceed `beam_width`. "
            f"Received: top_paths={top_paths}, beam_width={beam_width}"
        )


@op(spec=_describe_paths, name="CTCDecode")
def ctc_decode(
    inputs: Tensor,
    sequence_lengths: Tensor,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int | None = 0,
) -> tuple[Tensor, Tensor]:
    """Find the most likely labellings of sequences.

    Args:
        inputs: logits `(batch, steps, classes)`.
        sequence_lengths: lengths, `(batch,)`.
        strategy: `"greedy"` takes the best class of each step; `"beam_search"` the best paths. Default: `"greedy"`.
        beam_width: number of paths that a beam search follows. Default: `100`.
        top_paths: number of paths that a beam search returns. Default: `1`.
        merge_repeated: whether the greedy path merges a class that repeats without a blank. Default: `True`.
        mask_index: class of the blank; `None`: the last one. Default: `0`.

    Returns:
        Labellings `(paths, batch, steps)`, padded with -1, and their scores `(batch, paths)`.

    Raises:
        ValueError: there is no such strategy, `inputs` is not 3D, or `top_paths` exceeds `beam_width`.

    Example:
        >>> keras.ops.ctc_decode(np.array([[[0.0, 5.0], [5.0, 0.0]]], "float32"), np.array([2]))[0]
        tensor([[[ 1, -1]]], dtype=torch.int32)
    """
    _check_decoding(strategy, beam_width, top_paths)
    if inputs.dim() != 3:
        raise ValueError(f"`inputs` must be (batch, steps, classes). Received: inputs.shape={tuple(inputs.shape)}")
    blank = inputs.shape[-1] - 1 if mask_index is None else mask_index
    counts = torch.arange(inputs.shape[1], device=inputs.device) < sequence_lengths.unsqueeze(-1)
    if strategy == "greedy":
        return _greedy(inputs.float(), counts, blank, merge_repeated)
    return _beam_search(F.log_softmax(inputs.float(), -1), counts, blank, beam_width, top_paths)


def _greedy(x: Tensor, counts: Tensor, blank: int, merge_repeated: bool) -> tuple[Tensor, Tensor]:
    logits, classes = x.max(-1)
    kept = counts & (classes != blank)
    if merge_repeated:
        kept[:, 1:] &= classes[:, 1:] != classes[:, :-1]
    steps = x.shape[1]
    places = torch.where(
        kept, kept.cumsum(1, dtype=torch.int64) - 1, steps
    )  # what is left out goes to a column beyond the end
    paths = torch.full((x.shape[0], steps + 1), -1, dtype=torch.int32, device=x.device)
    paths.scatter_(1, places, classes.int())
    return paths[:, :steps].unsqueeze(0), -logits.where(counts, 0).sum(1, keepdim=True)


def _beam_search(log_prob: Tensor, counts: Tensor, blank: int, width: int, top_paths: int) -> tuple[Tensor, Tensor]:
    """Prefix beam search (arXiv:1408.2873) for the whole batch at once.

    Of each prefix in the beam it holds the probability of ending in a blank and that of ending in its last label. A
    step either keeps a prefix or puts a label behind it; where the latter makes a prefix that is in the beam, the two
    become one. Prefixes are told from each other by a hash of 64 bits, and their parents' hashes are kept.
    """
    batch, steps, classes = log_prob.shape
    rest = torch.full((classes,), -math.inf, device=log_prob.device)
    rest[blank] = 0.0  # beyond the end there are blanks for sure, which change nothing
    log_prob = torch.where(counts.unsqueeze(-1), log_prob, rest)

    labels = torch.full((batch, width, steps + 1), -1, dtype=torch.int32, device=log_prob.device)
    lengths, codes = torch.zeros((2, batch, width), dtype=torch.int64, device=log_prob.device)
    parents, last = codes - 1, lengths + blank
    in_label = torch.full((batch, width), -math.inf, device=log_prob.device)
    in_blank = in_label.clone()
    in_blank[:, 0] = 0.0
    for step in range(steps):
        p = log_prob[:, step]
        either = torch.logaddexp(in_blank, in_label)
        p_last = p.gather(1, last)

        grown = either.unsqueeze(2) + p.unsqueeze(1)  # (batch, width, classes)
        grown.scatter_(2, last.unsqueeze(2), (in_blank + p_last).unsqueeze(2))  # a label again needs a blank between
        grown[:, :, blank] = -math.inf
        grown = F.pad(grown.flatten(1), (0, 1), value=-math.inf)

        alive = either > -math.inf
        is_parent = (parents.unsqueeze(2) == codes.unsqueeze(1)) & alive.unsqueeze(2) & alive.unsqueeze(1)
        found, origin = is_parent.any(2), is_parent.int().argmax(2)
        twin = torch.where(found, origin * classes + last, width * classes)
        kept_label = torch.logaddexp(in_label + p_last, grown.gather(1, twin))
        kept_blank = either + p[:, blank].unsqueeze(1)
        grown.scatter_(1, twin, -math.inf)

        scores = torch.cat([torch.logaddexp(kept_blank, kept_label), grown[:, :-1]], 1)
        scores, chosen = scores.topk(width, 1)
        kept = chosen < width
        source = torch.where(kept, chosen, (chosen - width) // classes)
        label = torch.where(kept, last.gather(1, source), (chosen - width) % classes)
        lengths, codes, parents = (state.gather(1, source) for state in (lengths, codes, parents))
        labels = labels.gather(1, source.unsqueeze(2).expand_as(labels))
        labels.scatter_(2, torch.where(kept, steps, lengths).unsqueeze(2), label.int().unsqueeze(2))
        parents = torch.where(kept, parents, codes)
        codes = torch.where(kept, codes, codes * 6364136223846793005 + label + 1)
        lengths, last = lengths + ~kept, label
        in_blank = torch.where(kept, kept_blank.gather(1, source), -math.inf)
        in_label = torch.where(kept, kept_label.gather(1, source), scores)
    return labels[:, :top_paths, :steps].transpose(0, 1), torch.logaddexp(in_blank, in_label)[:, :top_paths]
