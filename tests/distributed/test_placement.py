"""Under torchrun: how weights lie on two ranks, what that saves, and what is refused."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow


def found(run, rule):
    return [rank["placement"][rule] for rank in run.ranks]


def test_memory_falls_with_the_ranks(run):
    for rank in found(run, "memory_falls"):
        assert rank["data"] == [1.0, 1.0, 1.0]
        assert rank["sharded"] == [0.5, 0.5, 0.5], "weights, gradients, optimizer state"
        assert rank["model"] == [0.5, 0.5, 0.5]


def test_options_change_no_number_but_bfloat16(run):
    for rank in found(run, "options_of_fully_sharded_training"):
        for name, losses in rank.items():
            assert losses[-1] > 0, f"{name}: fit() after predict() trains"
            assert losses == pytest.approx(rank["plain"], rel=0.1 if name == "bfloat16" else 1e-5), name
        assert rank["bfloat16"] != rank["plain"]


def test_activation_checkpoints_keep_less(run):
    for without, with_checkpoints in found(run, "checkpoints_forget_activations"):
        assert with_checkpoints < without / 3


def test_layouts_that_do_not_fit_are_refused_in_one_error(run):
    for message in found(run, "layouts_that_do_not_fit"):
        assert "a/kernel of shape (3, 4), layout ('model', None): axis 0 of size 3 can't be split evenly" in message
        assert "a/bias of shape (4,), layout ('model', None): a layout must have an entry for each" in message
        assert "b/kernel of shape (4, 4), layout ('model', 'model'): only one axis can be split" in message


def test_keys_without_a_weight_are_named_once_on_rank_0(run):
    first, second = found(run, "keys_that_match_nothing")
    assert len(first) == 1 and second == []
    assert "['a/kernel']" in first[0] and "'outer/a/kernel'" in first[0]


def test_an_optimizer_of_replaced_weights_is_refused(run):
    for message in found(run, "an_optimizer_of_weights_that_were_replaced"):
        assert "SGD holds weights that are no longer the model's" in message


def test_a_step_sends_no_message_more_than_one_by_hand(run):
    for rank in found(run, "messages"):
        for strategy, (fit, by_hand) in rank.items():
            assert by_hand, strategy
            assert fit == by_hand, strategy


def test_models_in_parts_are_copied_or_refused(run):
    for *works, said in found(run, "models_in_parts_are_copied_or_refused"):
        assert works == [True, True, True]
        names = ["quantize()", "export()", "to_torch()"]
        assert [message.split(" needs whole weights")[0] for message in said] == names


def test_batches_of_each_rank_count_alike(run):
    # The mean of the gradients 2 * 1 and 2 * 4, times the rate.
    assert found(run, "batches_of_each_rank") == [pytest.approx(1 - 0.5 * 5)] * 2
