"""Divergences as their definitions say, for comparison."""

import torch


def divergence_by_definition(student, teacher, divergence, beta, temperature):
    """Sum over positions of the divergence of logits with the same classes in the last dimension, by autograd."""
    log_q, log_p = torch.log_softmax(student / temperature, -1), torch.log_softmax(teacher / temperature, -1)
    p, q = log_p.exp(), log_q.exp()
    log_m = (beta * p + (1 - beta) * q).log()
    values = {
        "forward_kl": p * (log_p - log_q),
        "reverse_kl": q * (log_q - log_p),
        "jsd": beta * p * (log_p - log_m) + (1 - beta) * q * (log_q - log_m),
    }
    return temperature**2 * values[divergence].sum()


def transformed(logits, transform):
    """The logits after a LogitTransform, with a gradient."""
    logits = transform.scale * logits
    return transform.softcap * torch.tanh(logits / transform.softcap) if transform.softcap else logits


def gradients_of(function, hidden, head, *arguments, **settings):
    """A loss of an output layer, times 3, and its gradients: of `hidden`, then of the weights that are trained."""
    states = hidden.clone().requires_grad_()
    head.zero_grad()
    loss = 3 * function(states, head, *arguments, **settings)
    loss.backward()
    return [loss.detach(), states.grad, *(weight.grad.clone() for weight in head.parameters() if weight.requires_grad)]
