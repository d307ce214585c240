"""Cross entropy in chunks equals torch's, with the gradient in closed form."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from azdistill.training.losses.chunks import LogitTransform
from azdistill.training.losses.cross_entropy import cross_entropy_sum

TRANSFORMS = {"none": LogitTransform(), "scaled": LogitTransform(scale=0.3), "capped": LogitTransform(0.7, softcap=1.5)}


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("chunk", [1, 5, 16, None])
def test_the_gradient_in_closed_form_is_that_of_autograd(transform, bias, chunk):
    torch.manual_seed(1)
    head, transform = nn.Linear(8, 31, bias=bias), TRANSFORMS[transform]
    hidden, targets, weights = torch.randn(16, 8), torch.randint(31, (16,)), torch.rand(16)

    def chunked(states):
        return cross_entropy_sum(states, head, targets, weights, transform, chunk)

    def plain(states):
        logits = transform.scale * head(states)
        if transform.softcap:
            logits = transform.softcap * torch.tanh(logits / transform.softcap)
        return functional.cross_entropy(logits, targets, reduction="none") @ weights

    results = []
    for function in (chunked, plain):
        states = hidden.clone().requires_grad_()
        head.zero_grad()
        loss = 3 * function(states)
        loss.backward()
        results.append([loss, states.grad, *(weight.grad.clone() for weight in head.parameters())])
    for computed, expected in zip(*results, strict=True):
        torch.testing.assert_close(computed, expected, atol=1e-6, rtol=1e-5)


def test_a_frozen_output_layer_gets_no_gradient():
    head = nn.Linear(8, 31).requires_grad_(False)
    hidden = torch.randn(4, 8, requires_grad=True)
    cross_entropy_sum(hidden, head, torch.tensor([1, 2, 3, 4])).backward()
    assert head.weight.grad is None
    assert hidden.grad.abs().sum() > 0


def test_in_bfloat16_the_loss_is_close_to_that_of_float32():
    torch.manual_seed(1)
    head, hidden, targets = nn.Linear(64, 500, bias=False), torch.randn(32, 64), torch.randint(500, (32,))
    exact = cross_entropy_sum(hidden, head, targets)
    with torch.autocast("cpu", torch.bfloat16):
        autocast = cross_entropy_sum(hidden, head, targets)
    (gradient,) = torch.autograd.grad(autocast, head.weight)
    assert autocast.dtype == gradient.dtype == torch.float32
    torch.testing.assert_close(autocast, exact, rtol=1e-2, atol=0)
    torch.testing.assert_close(gradient, torch.autograd.grad(exact, head.weight)[0], rtol=5e-2, atol=5e-2)


def test_without_gradients_the_parameters_get_none():
    head = nn.Linear(8, 31)
    with torch.no_grad():
        loss = cross_entropy_sum(torch.randn(4, 8), head, torch.tensor([1, 2, 3, 4]))
    assert not loss.requires_grad
