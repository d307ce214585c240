"""Benchmarks of the distillation signals.

`make bench-signals` prints a table, then one line of JSON; `python -m benchmarks.signals --only losses` runs some of
the figures.

losses   forward KL from a teacher's stored top 20 with gradients, at 512 positions of width 512 and a vocabulary of
         200,064, compared with the same top 20 scattered into a dense distribution: `kd_mem_trained_head` and
         `kd_mem_frozen_head` are ratios of the memory that a process adds, the gradients of the weights included, and
         `kd_time_vs_dense` is the larger of both ratios of CPU-seconds of one thread, as medians of three interleaved
         runs. `kd_grad_max_diff`: the largest difference of a gradient of the mean over positions from autograd's, of
         all divergences
on_policy  see benchmarks/on_policy.py: `generation_share`, `rollouts_vs_generate`
study    see benchmarks/signals_study.py, which writes docs/signals.md: `topk_updates_ratio`, `on_policy_gain`,
         `on_policy_gain_low`, `aligned_share_cross_tokenizer`
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_args

from benchmarks.figures import Figures, print_figures
from benchmarks.on_policy import on_policy
from benchmarks.signals_study import study
from benchmarks.train import median, peak_mb, result_of

if TYPE_CHECKING:
    from torch import Tensor, nn

POSITIONS, WIDTH, VOCABULARY, TOP_K = 512, 512, 200_064, 20
RUNS, SEED = 3, 1
HEADS = ("trained", "frozen")


def losses() -> Figures:
    results: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for _ in range(RUNS):
        for head in HEADS:
            for loss in ("ours", "dense"):
                command = [sys.executable, "-m", "benchmarks.signals", "--loss", loss, head]
                results.setdefault((head, loss), []).append(result_of(command))
    memory = {path: median(runs, lambda run: run["extra_mb"]) for path, runs in results.items()}
    seconds = {path: median(runs, lambda run: run["cpu_s"]) for path, runs in results.items()}
    for path, mb in memory.items():
        print(f"  {' '.join(path):<14} {mb:8.0f} MB {seconds[path]:8.2f} CPU-seconds", flush=True)
    difference = result_of([sys.executable, "-m", "benchmarks.signals", "--loss", "difference", "trained"])
    return {
        **{f"kd_mem_{head}_head": memory[head, "ours"] / memory[head, "dense"] for head in HEADS},
        "kd_time_vs_dense": max(seconds[head, "ours"] / seconds[head, "dense"] for head in HEADS),
        "kd_grad_max_diff": difference["difference"],
    }


def loss_run(loss: str, head_kind: str) -> dict[str, float]:
    """Loss and gradients of an output layer, once: CPU-seconds, and MB that they add."""
    import torch
    from torch import nn

    from azdistill.training.losses.divergences import Divergence
    from azdistill.training.losses.top_k import top_k_divergence_sum

    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    head = nn.Linear(WIDTH, VOCABULARY, bias=False).requires_grad_(head_kind == "trained")
    hidden = torch.randn(POSITIONS, WIDTH, requires_grad=True)
    ids = (torch.randint(VOCABULARY, (POSITIONS, 1)) + 7_919 * torch.arange(TOP_K)) % VOCABULARY
    logprobs = torch.log_softmax(torch.randn(POSITIONS, TOP_K + 1), -1)[:, :TOP_K]

    def gradients(compute: Callable[..., Tensor], *settings: Any) -> list[Tensor]:
        tensors = [hidden, *(weight for weight in head.parameters() if weight.requires_grad)]
        return list(torch.autograd.grad(compute(hidden, head, ids, logprobs, *settings) / POSITIONS, tensors))

    if loss == "difference":
        differences = []
        for divergence in get_args(Divergence):
            computed = gradients(top_k_divergence_sum, None, divergence)
            exact = gradients(by_definition, divergence)
            differences += [float((a - b).abs().max()) for a, b in zip(computed, exact, strict=True)]
        return {"difference": max(differences)}
    before, started = peak_mb(), time.process_time()
    results = gradients(top_k_divergence_sum if loss == "ours" else dense_scatter)
    cpu, extra_mb = time.process_time() - started, peak_mb() - before
    assert all(result.isfinite().all() for result in results)
    return {"cpu_s": cpu, "extra_mb": extra_mb}


def dense_scatter(hidden: Tensor, head: nn.Linear, ids: Tensor, logprobs: Tensor) -> Tensor:
    """Forward KL from the teacher's distribution over all tokens, whose tail is divided evenly."""
    import torch
    from torch.nn import functional

    tail = (1 - logprobs.exp().sum(-1, keepdim=True)) / (VOCABULARY - TOP_K)
    teacher = tail.repeat(1, VOCABULARY).scatter_(-1, ids, logprobs.exp())
    return functional.kl_div(torch.log_softmax(head(hidden), -1), teacher, reduction="sum")


def by_definition(hidden: Tensor, head: nn.Linear, ids: Tensor, logprobs: Tensor, divergence: str) -> Tensor:
    """Divergence over the listed tokens and the tail, by autograd from the logits of all positions."""
    import torch

    listed = torch.log_softmax(head(hidden), -1).gather(-1, ids)
    q, p = (torch.cat([values, 1 - values.sum(-1, keepdim=True)], -1) for values in (listed.exp(), logprobs.exp()))
    m = (p + q) / 2
    values = {"forward_kl": p * (p / q).log(), "reverse_kl": q * (q / p).log()}
    values["jsd"] = (p * (p / m).log() + q * (q / m).log()) / 2
    return values[divergence].sum()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--loss"]:
        print(json.dumps(loss_run(*sys.argv[2:])))
    else:
        print_figures(__doc__, {"losses": losses, "on_policy": on_policy, "study": study})
