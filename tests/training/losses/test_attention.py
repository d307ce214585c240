"""The mean attention over heads of a student is compared with a teacher's, under the causal mask."""

import pytest
import torch
from torch.nn import functional

from azdistill.training.losses.attention import attention_loss_sum


def attentions(heads, layers, seed):
    """Scores of two rows of 5 tokens and their attention to earlier tokens."""
    scores = torch.randn(layers, 2, heads, 5, 5, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    later = torch.ones(5, 5, dtype=torch.bool).triu(1)
    return scores, list(scores.masked_fill(later, -torch.inf).softmax(-1))


WEIGHTS = torch.tensor([[0, 1, 1, 0, 0], [0, 0, 0.5, 2, 0]])


def test_the_loss_is_the_divergence_of_the_means_over_heads():
    (scores, student), (_, teacher) = attentions(2, 2, seed=1), attentions(4, 3, seed=2)
    loss = attention_loss_sum(student, teacher, {1: 1, 2: 3}, WEIGHTS)
    expected = sum(
        WEIGHTS[row, position]
        * functional.kl_div(
            student[ours - 1].mean(1)[row, position, : position + 1].log(),
            teacher[theirs - 1].mean(1)[row, position, : position + 1],
            reduction="sum",
        )
        / 2
        for row in range(2)
        for position in range(5)
        for ours, theirs in ((1, 1), (2, 3))
    )
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    computed, autograd = (torch.autograd.grad(value, scores, retain_graph=True)[0] for value in (loss, expected))
    assert computed.isfinite().all()
    torch.testing.assert_close(computed, autograd, atol=1e-5, rtol=1e-5)


def test_a_teacher_that_is_the_student_has_no_loss_and_another_one_another_gradient():
    (scores, student), (_, other) = attentions(2, 1, seed=1), attentions(4, 1, seed=2)
    losses = [attention_loss_sum(student, teacher, {1: 1}, WEIGHTS) for teacher in (student, other)]
    gradients = [torch.autograd.grad(loss, scores, retain_graph=True)[0].norm() for loss in losses]
    assert abs(losses[0]) < 1e-6
    assert gradients[0] < 1e-6
    assert gradients[1] > 0.1


@pytest.mark.parametrize("weights", [torch.zeros(2, 5), torch.zeros(2, 5, dtype=torch.bool)])
def test_rows_without_target_positions_have_loss_0(weights):
    (_, student), (_, teacher) = attentions(2, 1, seed=1), attentions(4, 1, seed=2)
    assert attention_loss_sum(student, teacher, {1: 1}, weights) == 0
