"""Divergences of two distributions, and their gradients in closed form."""

import pytest
import torch

from azdistill.training.losses.divergences import divergence_with_gradient
from tests.training.losses.definitions import divergence_by_definition

DIVERGENCES = [("forward_kl", 0.5), ("reverse_kl", 0.5), ("jsd", 0.5), ("jsd", 0.1)]


def logits(seed):
    return 3 * torch.randn(7, 50, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("temperature", [1.0, 0.5, 4.0])
@pytest.mark.parametrize(("divergence", "beta"), DIVERGENCES)
def test_the_gradient_in_closed_form_is_that_of_autograd(divergence, beta, temperature):
    student, teacher = logits(1), logits(2)
    values, gradient = divergence_with_gradient(student, teacher, divergence, beta, temperature)
    expected = divergence_by_definition(student.requires_grad_(), teacher, divergence, beta, temperature)
    torch.testing.assert_close(values.sum(), expected.detach())
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, student)[0])


@pytest.mark.parametrize(("divergence", "beta"), DIVERGENCES)
def test_equal_distributions_have_divergence_0_and_no_gradient(divergence, beta):
    student = logits(1).float()
    values, gradient = divergence_with_gradient(student, student + 5, divergence, beta)
    assert values.abs().max() < 1e-6
    assert gradient.abs().max() < 1e-6


@pytest.mark.parametrize(("divergence", "beta", "weight"), [("forward_kl", 1e-5, 1e5), ("reverse_kl", 1 - 1e-5, 1e5)])
def test_jensen_shannon_tends_to_both_divergences(divergence, beta, weight):
    limit = weight * divergence_with_gradient(logits(1) / 3, logits(2) / 3, "jsd", beta)[0]
    expected, _ = divergence_with_gradient(logits(1) / 3, logits(2) / 3, divergence)
    torch.testing.assert_close(limit, expected, rtol=1e-3, atol=0)
