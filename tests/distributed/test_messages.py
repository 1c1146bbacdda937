"""The messages between ranks: how many there are, and how large."""

from __future__ import annotations

import torch

from torchkeras.distributed import collectives


def test_messages_are_of_one_kind_and_of_a_limited_size(monkeypatch):
    monkeypatch.setattr(collectives, "LARGEST_MESSAGE", 40)
    tensors = [torch.rand(n, dtype=torch.float64 if n == 2 else None) for n in (4, 3, 2, 5, 30, 1, 9)]
    tensors.append(torch.rand(5, 2).T)
    groups = collectives.by_message(tensors)
    assert [[tensor.numel() for tensor in group] for group in groups] == [[4, 3], [5], [30], [1, 9], [10], [2]]
    whole, sent = [tensor.clone() for tensor in tensors], []

    def double(message):
        sent.append(message.numel())
        message.mul_(2)

    monkeypatch.setattr(collectives, "communicate", lambda message, how: how(message))
    collectives.in_few_messages(tensors, double)
    assert sent == [7, 5, 30, 10, 10, 2]
    for before, after in zip(whole, tensors, strict=True):
        torch.testing.assert_close(after, 2 * before)
