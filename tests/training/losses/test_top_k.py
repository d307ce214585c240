"""Divergence from stored top-K log probabilities equals its definition, with the gradient of autograd."""

import math

import pytest
import torch
from torch import nn

from azdistill.training.losses.chunks import NO_TRANSFORM, LogitTransform
from azdistill.training.losses.top_k import top_k_divergence_sum
from tests.training.losses.definitions import divergence_by_definition, gradients_of, transformed

POSITIONS, WIDTH, VOCABULARY, K = 12, 8, 50, 6
DIVERGENCES = [("forward_kl", 0.5), ("reverse_kl", 0.5), ("jsd", 0.5), ("jsd", 0.9)]


@pytest.fixture
def inputs():
    """A student and a teacher. Position 3 has no listed token, position 4 one, and position 5 a value of -inf."""
    torch.manual_seed(1)
    head, hidden, weights = nn.Linear(WIDTH, VOCABULARY), torch.randn(POSITIONS, WIDTH), torch.rand(POSITIONS)
    logprobs, ids = torch.log_softmax(2 * torch.randn(POSITIONS, VOCABULARY), -1).topk(K)
    for position, first in ((3, 0), (4, 1)):
        ids[position, first:], logprobs[position, first:] = -1, -math.inf
    logprobs[5, 2] = -math.inf
    return hidden, head, ids, logprobs, weights


def top_k_of(head, hidden, k=K, transform=NO_TRANSFORM):
    """Teacher's ids and log probabilities of a teacher that is this student."""
    logprobs, ids = torch.log_softmax(transformed(head(hidden), transform), -1).topk(k)
    return ids, logprobs.detach()


def by_definition(hidden, head, ids, logprobs, weights, divergence, beta, temperature, transform):
    """Sum over positions of the divergences over the listed tokens and the tail, in float64."""
    total = torch.zeros((), dtype=torch.float64)
    log_q = torch.log_softmax(transformed(head(hidden), transform), -1)
    for position in range(len(hidden)):
        listed = (ids[position] >= 0) & logprobs[position].isfinite()
        tokens, teacher = ids[position][listed], logprobs[position][listed].double()
        others = torch.ones(log_q.shape[-1], dtype=torch.bool).index_fill(0, tokens, False)
        student = torch.cat([log_q[position][tokens], log_q[position][others].logsumexp(0, keepdim=True)])
        teacher = torch.cat([teacher, (1 - teacher.exp().sum(0, keepdim=True)).log()])
        total = total + weights[position] * divergence_by_definition(student, teacher, divergence, beta, temperature)
    return total


@pytest.mark.parametrize("transform", [NO_TRANSFORM, LogitTransform(0.7, softcap=1.5)])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize(("divergence", "beta"), DIVERGENCES)
def test_loss_and_gradients_are_those_of_autograd(inputs, divergence, beta, temperature, transform):
    hidden, head, ids, logprobs, weights = inputs
    settings = (divergence, beta, temperature, transform)
    computed = gradients_of(top_k_divergence_sum, hidden, head, ids, logprobs, weights, *settings, 5)
    exact = gradients_of(by_definition, hidden.double(), head.double(), ids, logprobs, weights, *settings)
    for ours, expected in zip(computed, exact, strict=True):
        torch.testing.assert_close(ours.double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("chunk", [1, 5, None])
def test_the_size_of_the_chunks_does_not_matter(inputs, chunk):
    hidden, head, ids, logprobs, weights = inputs
    whole = gradients_of(top_k_divergence_sum, hidden, head, ids, logprobs, weights)
    chunked = gradients_of(top_k_divergence_sum, hidden, head, ids, logprobs, weights, chunk=chunk)
    for ours, expected in zip(chunked, whole, strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize(("divergence", "beta"), DIVERGENCES)
def test_a_teacher_that_is_the_student_has_no_loss_and_another_one_another_gradient(
    inputs, divergence, beta, scale, dtype
):
    hidden, head, other_ids, other_logprobs, weights = inputs
    with torch.no_grad():
        head.weight.mul_(scale)  # at 30, nearly all probability is that of one token
    ids, logprobs = top_k_of(head, hidden)
    logprobs = logprobs.to(dtype)
    loss, gradient, *_ = gradients_of(top_k_divergence_sum, hidden, head, ids, logprobs, weights, divergence, beta)
    other_loss, other_gradient, *_ = gradients_of(
        top_k_divergence_sum, hidden, head, other_ids, other_logprobs, weights, divergence, beta
    )
    assert abs(loss) < (1e-6 if dtype == torch.float32 else 1e-3) * POSITIONS
    assert gradient.norm() < 0.05 * other_gradient.norm()
    assert other_loss > 0.01


def test_a_position_without_listed_tokens_has_loss_0_and_no_gradient(inputs):
    hidden, head, ids, logprobs, _ = inputs
    loss, gradient, of_weight, of_bias = gradients_of(top_k_divergence_sum, hidden[3:4], head, ids[3:4], logprobs[3:4])
    assert loss == gradient.norm() == of_weight.norm() == of_bias.norm() == 0


def test_unused_entries_do_not_matter(inputs):
    hidden, head, ids, logprobs, weights = inputs
    longer_ids = torch.cat([torch.full((POSITIONS, 3), -1), ids], 1)
    longer_logprobs = torch.cat([torch.full((POSITIONS, 3), -math.inf), logprobs], 1)
    shorter = gradients_of(top_k_divergence_sum, hidden, head, ids, logprobs, weights)
    longer = gradients_of(top_k_divergence_sum, hidden, head, longer_ids, longer_logprobs, weights)
    for ours, expected in zip(longer, shorter, strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("divergence", ["forward_kl", "reverse_kl", "jsd"])
def test_the_tail_counts(divergence):
    """Training on the top K alone ends with the teacher's tail: no other token gains probability."""
    torch.manual_seed(2)
    head, hidden = nn.Linear(WIDTH, VOCABULARY), torch.eye(WIDTH)
    with torch.no_grad():
        head.weight[40:] += 3  # tokens that the teacher does not list
    logprobs = torch.tensor([[0.6, 0.25, 0.1]]).log().repeat(WIDTH, 1)
    ids = torch.stack([torch.randperm(40)[:3] for _ in range(WIDTH)])
    optimizer = torch.optim.Adam(head.parameters(), lr=0.3)
    for _ in range(60):
        optimizer.zero_grad()
        top_k_divergence_sum(hidden, head, ids, logprobs, divergence=divergence).backward()
        optimizer.step()
    probabilities = torch.softmax(head(hidden), -1).gather(-1, ids)
    torch.testing.assert_close(probabilities, logprobs.exp(), atol=0.04, rtol=0)


def test_a_frozen_output_layer_gets_no_gradient(inputs):
    hidden, head, ids, logprobs, weights = inputs
    trained = gradients_of(top_k_divergence_sum, hidden, head, ids, logprobs, weights)
    head.zero_grad()
    frozen = gradients_of(top_k_divergence_sum, hidden, head.requires_grad_(False), ids, logprobs, weights)
    assert head.weight.grad is None
    torch.testing.assert_close(frozen, trained[:2])


def test_in_bfloat16_the_loss_is_close_to_that_of_float32(inputs):
    hidden, head, ids, logprobs, weights = inputs
    exact = gradients_of(top_k_divergence_sum, hidden, head, ids, logprobs, weights)
    with torch.autocast("cpu", torch.bfloat16):
        autocast = gradients_of(top_k_divergence_sum, hidden, head, ids, logprobs, weights)
    assert {each.dtype for each in autocast} == {torch.float32}
    for ours, expected in zip(autocast, exact, strict=True):
        torch.testing.assert_close(ours, expected, rtol=5e-2, atol=5e-2)
