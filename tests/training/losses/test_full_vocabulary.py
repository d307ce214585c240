"""Divergence from a white-box teacher equals its definition, with the gradient of autograd."""

import pytest
import torch
from torch import nn

from azdistill.training.losses.chunks import NO_TRANSFORM, LogitTransform
from azdistill.training.losses.full_vocabulary import logit_divergence_sum
from tests.training.losses.definitions import divergence_by_definition, gradients_of, transformed

POSITIONS, COMMON = 9, 50
DIVERGENCES = [("forward_kl", 0.5), ("reverse_kl", 0.5), ("jsd", 0.3)]
CAPPED = LogitTransform(0.7, softcap=1.5)


@pytest.fixture
def inputs():
    """A student and a wider teacher, whose output layers are padded to 52 and 56 tokens."""
    torch.manual_seed(1)
    head, teacher_head = nn.Linear(8, 52), nn.Linear(12, 56, bias=False)
    return torch.randn(POSITIONS, 8), head, torch.randn(POSITIONS, 12), teacher_head, torch.rand(POSITIONS)


def by_definition(hidden, head, teacher_hidden, teacher_head, weights, divergence, beta, temperature, ours, theirs):
    student = transformed(head(hidden), ours)[:, :COMMON]
    teacher = transformed(teacher_head(teacher_hidden.double()), theirs)[:, :COMMON].detach()
    rows = zip(weights, student, teacher, strict=True)
    return sum(weight * divergence_by_definition(*row, divergence, beta, temperature) for weight, *row in rows)


@pytest.mark.parametrize(("ours", "theirs"), [(NO_TRANSFORM, CAPPED), (CAPPED, NO_TRANSFORM)])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize(("divergence", "beta"), DIVERGENCES)
def test_loss_and_gradients_are_those_of_autograd(inputs, divergence, beta, temperature, ours, theirs):
    hidden, head, teacher_hidden, teacher_head, weights = inputs
    settings = (weights, divergence, beta, temperature, ours, theirs)
    computed = gradients_of(logit_divergence_sum, hidden, head, teacher_hidden, teacher_head, *settings, COMMON, 4)
    assert teacher_head.weight.grad is None
    teacher = (teacher_hidden, teacher_head.double())
    exact = gradients_of(by_definition, hidden.double(), head.double(), *teacher, *settings)
    for result, expected in zip(computed, exact, strict=True):
        torch.testing.assert_close(result.double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("divergence", "beta"), DIVERGENCES)
def test_a_teacher_that_is_the_student_has_no_loss_and_another_one_another_gradient(inputs, divergence, beta):
    hidden, head, *other, _ = inputs
    settings = {"divergence": divergence, "beta": beta, "common_vocabulary": COMMON}
    loss, gradient, *_ = gradients_of(logit_divergence_sum, hidden, head, hidden, head, **settings)
    other_loss, other_gradient, *_ = gradients_of(logit_divergence_sum, hidden, head, *other, **settings)
    assert abs(loss) < 1e-6 * POSITIONS
    assert gradient.abs().max() < 1e-6
    assert other_loss > 0.1
    assert other_gradient.abs().max() > 0.01


@pytest.mark.parametrize("chunk", [1, None])
def test_the_size_of_the_chunks_does_not_matter(inputs, chunk):
    chunked = gradients_of(logit_divergence_sum, *inputs, common_vocabulary=COMMON, chunk=5)
    other = gradients_of(logit_divergence_sum, *inputs, common_vocabulary=COMMON, chunk=chunk)
    for result, expected in zip(other, chunked, strict=True):
        torch.testing.assert_close(result, expected, atol=1e-6, rtol=1e-5)


def test_ids_beyond_the_common_ones_do_not_matter(inputs):
    _, head, _, teacher_head, _ = inputs
    loss = logit_divergence_sum(*inputs, common_vocabulary=COMMON)
    with torch.no_grad():
        head.weight[COMMON:] = teacher_head.weight[COMMON:] = 100.0
    torch.testing.assert_close(logit_divergence_sum(*inputs, common_vocabulary=COMMON), loss)
    loss.backward()
    assert head.weight.grad[COMMON:].norm() == head.bias.grad[COMMON:].norm() == 0


def test_output_layers_of_different_sizes_need_their_common_size(inputs):
    with pytest.raises(RuntimeError, match="size"):
        logit_divergence_sum(*inputs)


def test_a_frozen_output_layer_gets_no_gradient(inputs):
    trained = gradients_of(logit_divergence_sum, *inputs, common_vocabulary=COMMON)
    inputs[1].requires_grad_(False).zero_grad()
    frozen = gradients_of(logit_divergence_sum, *inputs, common_vocabulary=COMMON)
    assert inputs[1].weight.grad is None
    torch.testing.assert_close(frozen, trained[:2])


def test_in_bfloat16_the_loss_is_close_to_that_of_float32(inputs):
    exact = gradients_of(logit_divergence_sum, *inputs, common_vocabulary=COMMON)
    inputs[3].to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        autocast = gradients_of(logit_divergence_sum, *inputs, common_vocabulary=COMMON)
    assert {each.dtype for each in autocast} == {torch.float32}
    for result, expected in zip(autocast, exact, strict=True):
        torch.testing.assert_close(result, expected, rtol=5e-2, atol=5e-2)
