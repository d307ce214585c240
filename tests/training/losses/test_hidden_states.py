"""Hidden states of mapped layers are compared at target positions, whatever the scale of the teacher's."""

import pytest
import torch
from torch.nn import functional

from azdistill.contracts.errors import SpecError
from azdistill.training.losses.hidden_states import HiddenStateProjections, hidden_state_loss_sum, layer_map


@pytest.fixture
def models():
    """Hidden states of a student of 2 layers and a teacher of 4, of two rows of 5 tokens, and weights."""
    torch.manual_seed(1)
    student = [torch.randn(2, 5, 8) for _ in range(3)]
    teacher = [100 * torch.randn(2, 5, 12) for _ in range(5)]
    weights = torch.tensor([[0, 1, 1, 0, 0], [0, 0, 0.5, 2, 0]])
    return student, teacher, weights


def test_layers_are_mapped_uniformly():
    assert layer_map(2, 4) == {1: 2, 2: 4}
    assert layer_map(4, 6) == {1: 2, 2: 3, 3: 5, 4: 6}
    assert layer_map(3, 2) == {1: 1, 2: 2, 3: 2}
    assert layer_map(2, 4, {2: 3}) == {2: 3}


@pytest.mark.parametrize(("pairs", "message"), [({3: 4}, "student has no layer 3"), ({1: 5}, "teacher has no layer 5")])
def test_layers_that_do_not_exist_are_refused(pairs, message):
    with pytest.raises(SpecError, match=message) as error:
        layer_map(2, 4, pairs, ("train", "layers"))
    assert error.value.problems[0].field == ("train", "layers")


def test_the_loss_is_the_mean_squared_error_of_normalized_states(models):
    student, teacher, weights = models
    projections = HiddenStateProjections({1: 2, 2: 4}, 8, 12)
    loss = hidden_state_loss_sum(student, teacher, projections, weights)
    expected = sum(
        weights[row, position]
        * functional.mse_loss(
            functional.layer_norm(projections(layer, student[layer][row, position]), (12,)),
            functional.layer_norm(teacher[2 * layer][row, position], (12,)),
        )
        / 2
        for row in range(2)
        for position in range(5)
        for layer in (1, 2)
    )
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert all(projection.weight.grad.norm() > 0 for projection in projections.projections.values())


def test_the_scale_of_the_teacher_and_other_positions_do_not_matter(models):
    student, teacher, weights = models
    projections = HiddenStateProjections({2: 3}, 8, 12)
    loss = hidden_state_loss_sum(student, teacher, projections, weights)
    scaled = [7 * states + (weights == 0).unsqueeze(-1) * torch.randn(2, 5, 12) for states in teacher]
    torch.testing.assert_close(hidden_state_loss_sum(student, scaled, projections, weights), loss, atol=1e-4, rtol=1e-4)


def test_a_teacher_that_is_the_student_has_no_loss_and_another_one_another_gradient(models):
    student, _, weights = models
    student[2].requires_grad_()
    projections = HiddenStateProjections({2: 2}, 8, 8)
    other = [torch.randn(2, 5, 8) for _ in student]
    loss, other_loss = (hidden_state_loss_sum(student, teacher, projections, weights) for teacher in (student, other))
    assert loss < 1e-6
    assert torch.autograd.grad(loss, student[2])[0].norm() < 1e-6
    assert torch.autograd.grad(other_loss, student[2])[0].norm() > 0.1


def test_projections_can_be_learned(models):
    student, _, weights = models
    teacher = [states @ torch.randn(8, 12) for states in student]
    projections = HiddenStateProjections({1: 1}, 8, 12)
    optimizer = torch.optim.Adam(projections.parameters(), lr=0.1)
    losses = []
    for _ in range(50):
        optimizer.zero_grad()
        losses.append(hidden_state_loss_sum(student, teacher, projections, weights))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.1 * losses[0]


def test_rows_without_target_positions_have_loss_0(models):
    student, teacher, weights = models
    projections = HiddenStateProjections({1: 1}, 8, 12)
    loss = hidden_state_loss_sum(student, teacher, projections, torch.zeros_like(weights))
    loss.backward()
    assert loss == 0
