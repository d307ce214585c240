"""The memory estimate of training, held against the memory that training takes on this CPU.

`plan_error_max()` is the largest relative difference. `phi4_mini_gb(method)` is the estimate for Phi-4-mini.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from azdistill.contracts.train import TrainConfig

# A Llama of 5.3 million weights.
LLAMA_5M = {
    "model_type": "llama",
    "vocab_size": 4096,
    "hidden_size": 256,
    "intermediate_size": 688,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "tie_word_embeddings": False,
}

# Rows and tokens of a row, by student. Activations are at least as large as the weights.
BATCHES = {"llama-5m": (16, 256), "smollm2-135m": (4, 256)}

# Every large tensor has pages of its own, which are returned as soon as it is freed, so that the resident memory of the
# process is that of its live tensors. By default glibc raises the threshold with each block that is freed, and keeps
# freed blocks for later.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}


def memory_figures() -> dict[str, float]:
    """The figures of `make bench-train`."""
    gigabytes = {f"phi4_mini_{method}_gb": phi4_mini_gb(method) for method in ("lora", "full")}
    return {"plan_error_max": plan_error_max(), **gigabytes}


def plan_error_max() -> float:
    """The largest relative difference between estimated and measured memory: of two students, full and with LoRA."""
    return max(abs(estimated / measured - 1) for estimated, measured in compared().values())


def compared() -> dict[str, tuple[int, int]]:
    """Estimated and measured bytes by student and method."""
    from azdistill.training.memory import peak_bytes, step_memory
    from benchmarks.memory_table import student_configs

    architectures = {"llama-5m": LLAMA_5M, "smollm2-135m": student_configs()["smollm2-135m"]}
    result = {}
    for name, architecture in architectures.items():
        for method in ("full", "lora"):
            config = TrainConfig(method=method, precision="float32").resolved()
            estimated = peak_bytes(step_memory(architecture, config, *BATCHES[name], device="cpu"))
            result[f"{name} {method}"] = estimated, measured_bytes(architecture, config, *BATCHES[name])
    return result


def phi4_mini_gb(method: str) -> float:
    """Estimated GB of Phi-4-mini: 16 rows of 2,048 tokens, bfloat16, gradient checkpointing."""
    from azdistill.training.memory import peak_bytes, step_memory
    from benchmarks.memory_table import student_configs

    config = TrainConfig(method=method, precision="bfloat16", gradient_checkpointing=True)
    return peak_bytes(step_memory(student_configs()["phi-4-mini"], config, 16, 2048)) / 1e9


def measured_bytes(architecture: Mapping[str, Any], config: TrainConfig, rows: int, length: int) -> int:
    """Peak resident memory of a process that trains two steps, above its memory before it makes the student."""
    job = {"architecture": architecture, "config": config.model_dump(), "rows": rows, "length": length}
    command = [sys.executable, "-m", "benchmarks.memory", json.dumps(job)]
    environment = os.environ | MALLOC | {"OMP_NUM_THREADS": "1", "MKL_DISABLE_FAST_MM": "1"}
    output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    return int(output.splitlines()[-1])


def _measure(architecture: Mapping[str, Any], config: dict[str, Any], rows: int, length: int) -> int:
    from azdistill.students.loading import quiet_transformers

    parsed = TrainConfig.model_validate(config)
    with quiet_transformers():
        # The first step loads libraries and starts threads.
        _train({**architecture, "num_hidden_layers": 1, "vocab_size": 128}, parsed, 2, 8)
        baseline = _memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak starts again at the present memory
        _train(architecture, parsed, rows, length)
    return _memory("VmHWM") - baseline


def _train(architecture: Mapping[str, Any], config: TrainConfig, rows: int, length: int) -> None:
    """Train two steps on random rows with the trainer of step train."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, TrainerCallback

    from azdistill.students.loading import Student
    from azdistill.students.template import TokenizedRow
    from azdistill.training.adapters import add_adapters
    from azdistill.training.dataset import TokenizedRows
    from azdistill.training.loss import loss_in_forward
    from azdistill.training.trainer import student_trainer

    class StopBeforeSaving(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            control.should_training_stop = state.global_step == 2
            control.should_save = control.should_log = False
            return control

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**architecture), dtype=torch.float32)
    student = Student(model, SimpleNamespace(pad_token_id=0))
    student = add_adapters(student, config) if config.has_adapters else student
    data = TokenizedRows.of(
        TokenizedRow(torch.randint(1, 100, (length,)).tolist(), ((1, length),)) for _ in range(2 * rows)
    )
    config = config.model_copy(update={"batch_size": rows})
    with tempfile.TemporaryDirectory() as folder:
        trainer = student_trainer(student, data, TokenizedRows.of([]), config, Path(folder), "", [StopBeforeSaving()])
        with loss_in_forward(student.model):
            trainer.train()


def _memory(field: str) -> int:
    """A field of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


if __name__ == "__main__":
    print(_measure(**json.loads(sys.argv[1])))
