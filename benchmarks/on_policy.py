"""On-policy part of `make bench-signals`: the share of generation in the time of a step, and the speed of rollouts.

A student of 5 million weights samples 32 answers of 64 tokens on average, at most 256, and a teacher of the
same size scores them. `generation_share` is the share of generation in the CPU-seconds of an optimizer step, and
`rollouts_vs_generate` how many times as many CPU-seconds transformers' `generate` takes to sample at the same batch, as
medians of three interleaved runs of one thread.

The rest of a step is one forward pass of the teacher, and one forward and backward pass of the student: four times the
arithmetic of sampling the same tokens. On a CPU, which is limited by arithmetic, fast generation has the smaller
share; with plain `generate` it would be `rollouts_vs_generate` times as long. A GPU samples at the speed of its memory.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azdistill.students.loading import Student
    from azdistill.students.template import TokenizedRow

ROWS, PROMPT_TOKENS, MAX_NEW_TOKENS, ENDS = 32, 48, 256, 64
VOCABULARY, RUNS = 4096, 3


def on_policy() -> dict[str, float]:
    import torch

    from azdistill.contracts.train import OnPolicy, TrainConfig
    from azdistill.training.loss import loss_in_forward, num_target_tokens
    from azdistill.training.objective import TrainingObjective
    from azdistill.training.rollouts import OnPolicyBatches
    from azdistill.training.white_box import WhiteBoxTeacher

    torch.set_num_threads(1)
    settings = OnPolicy(share=1, max_new_tokens=MAX_NEW_TOKENS, start_fraction=0)
    config, student, teacher = TrainConfig(on_policy=settings, learning_rate=1e-5), _student(0), _student(1)
    writer = OnPolicyBatches(student.model, student.tokenizer, config, token_budget=ROWS * (PROMPT_TOKENS + ENDS))
    optimizer = torch.optim.AdamW(student.model.parameters(), lr=1e-5, fused=True)
    generation, training, plain = [], [], []
    teachers = [WhiteBoxTeacher(teacher.model.requires_grad_(False), VOCABULARY)]
    with loss_in_forward(student.model, TrainingObjective(config), teachers):
        for step in range(RUNS):
            (passes,), seconds = _timed(lambda step=step: writer.batches([_rows()], step, RUNS))
            generation.append(seconds)
            plain.append(_timed(lambda: _generate(student))[1])

            def train(passes: Any = passes) -> None:
                count = sum(num_target_tokens(batch["labels"]) for batch in passes)
                for batch in passes:
                    student.model(**batch, num_items_in_batch=count)["loss"].backward()
                optimizer.step()
                optimizer.zero_grad()

            training.append(_timed(train)[1])
    ours, rest, theirs = (statistics.median(times) for times in (generation, training, plain))
    print(f"  generation {ours:.2f}, the rest of the step {rest:.2f}, generate {theirs:.2f} CPU-seconds", flush=True)
    return {"generation_share": ours / (ours + rest), "rollouts_vs_generate": theirs / ours}


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.process_time()
    return work(), time.process_time() - started


def _student(seed: int) -> Student:
    """Random weights: a token is one of the end tokens with a probability of about 1/64."""
    from types import SimpleNamespace

    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, set_seed

    from azdistill.students.loading import Student

    set_seed(seed)
    sizes = {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 4, "num_attention_heads": 8}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, num_key_value_heads=4, **sizes)).eval()
    ends = list(range(1, VOCABULARY, ENDS))
    model.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=0, do_sample=True, top_k=0)
    return Student(model, SimpleNamespace(pad_token_id=0))


def _rows() -> list[TokenizedRow]:
    from azdistill.students.template import TokenizedRow

    length = PROMPT_TOKENS
    ids = [[2 + (7 * row + 3 * place) % 4000 for place in range(length + 1)] for row in range(ROWS)]
    return [TokenizedRow(row, ((length, length + 1),)) for row in ids]


def _generate(student: Student) -> None:
    import torch

    ids = torch.tensor([row.input_ids[:PROMPT_TOKENS] for row in _rows()])
    with torch.inference_mode():
        student.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=MAX_NEW_TOKENS)
