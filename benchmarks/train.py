"""Benchmarks of the trainer, side by side with TRL and transformers' Trainer, in CPU-seconds of one thread.

`make bench-train` prints a table, then one line of JSON; `python -m benchmarks.train --only speed` runs some of the
figures.

speed    tokens per CPU-second of a Llama with 5.2 million weights, on 160 rows of a heavy-tailed length (median about
         110 tokens, 95th percentile 300, at most 600), as medians of five interleaved runs: `vs_trl_default`,
         `vs_trl_packing` and `vs_hf_grouped` are ratios of ours to a peer's, `rss_vs_trl_packing` that of the memory
         that a training adds. Prints the mean loss of the last quarter of the steps of each
ce       cross entropy with gradients at 512 positions of width 512 and a vocabulary of 200,064, compared with torch's:
         `ce_mem_ratio` (memory beyond the gradients of the weights), `ce_time_ratio`, `ce_grad_max_diff`
rows     `rss_mb_1m_rows`: peak memory of a process and its two workers that tokenize 1,000,000 rows and read them
         in the batches of an epoch
memory   `plan_error_max`: the largest relative difference between the memory estimate and the measured memory of two
         students, full and with LoRA. `phi4_mini_lora_gb` and `phi4_mini_full_gb`: the estimate for 16 rows of 2,048
         tokens in bfloat16, with gradient checkpointing
"""

import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.figures import Figures, print_figures
from benchmarks.memory import memory_figures
from benchmarks.peers.venvs import HERE, Peer, python_of

ROOT = Path(__file__).parent.parent
RUNS, ROWS, SEED = 5, 160, 1
VOCABULARY = 4096
MODEL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 256,
    "intermediate_size": 688,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 2048,
}
POSITIONS, WIDTH, LARGE_VOCABULARY = 512, 512, 200_064
PEERS = ("trl_default", "trl_packing", "hf_grouped")
TRL = Peer("TRL", "trl==1.16 torch==2.13.0", HERE / "trl_trainers.py")
INSTALL_S = 900
MILLION = 1_000_000


def write_inputs(folder: Path) -> None:
    """A model with random weights, and tokenized rows in which an answer can be learned from its question."""
    from tokenizers import Tokenizer, models
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

    set_seed(SEED)
    LlamaForCausalLM(LlamaConfig(**MODEL)).save_pretrained(folder)
    words = Tokenizer(models.WordLevel({f"w{number}": number for number in range(VOCABULARY)}, unk_token="w0"))
    template = "{% for message in messages %}{{ message.content }} w1 {% endfor %}"
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="w0", eos_token="w1", chat_template=template)
    tokenizer.save_pretrained(folder)
    rng = random.Random(SEED)
    rows = [tokenized_row(rng) for _ in range(ROWS)]
    lines = [json.dumps({"input_ids": ids, "completion_mask": mask}) for ids, mask in rows]
    (folder / "rows.jsonl").write_text("\n".join(lines))
    mean = sum(len(ids) for ids, _ in rows) / len(rows)
    settings = {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3, "max_length": 1024, "packed_length": int(8 * mean)}
    (folder / "benchmark.json").write_text(json.dumps(settings))


def tokenized_row(rng: random.Random) -> tuple[list[int], list[int]]:
    """Token ids, and a mask of the answer: a third of the row, at its end, which repeats tokens of the question."""
    length = min(max(int(rng.lognormvariate(4.7, 0.6)), 12), 600)
    question = [min(int(rng.paretovariate(0.7)) + 1, VOCABULARY - 1) for _ in range(length - length // 3)]
    answer = [*(question * 2)[: length // 3 - 1], 1]
    return question + answer, [0] * len(question) + [1] * len(answer)


def ours(folder: Path) -> dict[str, Any]:
    """A training with our trainer, in this process: see trl_trainers.py for the result."""
    import torch

    from azdistill.contracts.train import TrainConfig
    from azdistill.students.loading import load_student, quiet_transformers
    from azdistill.students.template import TokenizedRow
    from azdistill.training.dataset import TokenizedRows
    from azdistill.training.loss import loss_in_forward
    from azdistill.training.trainer import student_trainer

    torch.set_num_threads(1)
    settings = json.loads((folder / "benchmark.json").read_text())
    rows = []
    for line in (folder / "rows.jsonl").read_text().splitlines():
        ids, mask = json.loads(line).values()
        rows.append(TokenizedRow(ids, ((mask.index(1), len(ids)),)))
    config = TrainConfig(
        learning_rate=settings["learning_rate"],
        batch_size=settings["batch_size"],
        num_epochs=settings["epochs"],
        scheduler="constant_with_warmup",
        warmup_ratio=0,
        seed=SEED,
    )
    with quiet_transformers(), tempfile.TemporaryDirectory() as checkpoints:
        student = load_student(folder, dtype="float32")
        trainer = student_trainer(
            student, TokenizedRows.of(rows), TokenizedRows.of([]), config, Path(checkpoints), "", []
        )
        trainer.args.save_strategy, trainer.args.logging_steps = "no", 1
        with loss_in_forward(student.model):
            before, started = peak_mb(), time.process_time()
            trainer.train()
            cpu = time.process_time() - started
    losses = [point["loss"] for point in trainer.state.log_history if "loss" in point]
    tokens = sum(len(row.input_ids) for row in rows) * settings["epochs"]
    return {"tokens": tokens, "cpu_s": cpu, "extra_mb": peak_mb() - before, "losses": losses}


def speed() -> Figures:
    python = python_of(TRL, INSTALL_S)
    commands = {name: [str(python), str(TRL.script), name] for name in PEERS}
    commands["azdistill"] = [sys.executable, "-m", "benchmarks.train", "--ours"]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder)
        for _ in range(RUNS):
            for trainer, command in commands.items():
                runs[trainer].append(result_of([*command, str(folder), str(folder / "rows.jsonl")]))
    rates = {name: median(results, lambda run: run["tokens"] / run["cpu_s"]) for name, results in runs.items()}
    memory = {name: median(results, lambda run: run["extra_mb"]) for name, results in runs.items()}
    for name, results in runs.items():
        last = median(results, lambda run: statistics.fmean(run["losses"][-len(run["losses"]) // 4 :]))
        print(
            f"  {name:<14} {rates[name]:8.0f} tokens per CPU-second {memory[name]:8.0f} MB   loss {last:.3f}",
            flush=True,
        )
    ratios = {f"vs_{name}": rates["azdistill"] / rates[name] for name in PEERS}
    return {**ratios, "rss_vs_trl_packing": memory["azdistill"] / memory["trl_packing"]}


def median(results: list[dict[str, Any]], figure: Any) -> float:
    return statistics.median(map(figure, results))


def cross_entropy() -> Figures:
    results: dict[str, list[dict[str, float]]] = {"chunked": [], "plain": []}
    for _ in range(RUNS):
        for path, values in results.items():
            values.append(result_of([sys.executable, "-m", "benchmarks.train", "--ce", path]))
    memory = {path: median(values, lambda run: run["extra_mb"]) for path, values in results.items()}
    seconds = {path: median(values, lambda run: run["cpu_s"]) for path, values in results.items()}
    return {
        "ce_mem_ratio": memory["chunked"] / memory["plain"],
        "ce_time_ratio": seconds["chunked"] / seconds["plain"],
        "ce_grad_max_diff": result_of([sys.executable, "-m", "benchmarks.train", "--ce", "difference"])["difference"],
    }


def cross_entropy_run(path: str) -> dict[str, float]:
    """Loss and gradients of an output layer, once: CPU-seconds, and MB beyond the gradients of the weights."""
    import torch
    from torch import nn

    from azdistill.training.losses.cross_entropy import cross_entropy_sum

    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    head = nn.Linear(WIDTH, LARGE_VOCABULARY, bias=False)
    hidden = torch.randn(POSITIONS, WIDTH, requires_grad=True)
    targets = torch.randint(LARGE_VOCABULARY, (POSITIONS,))

    def gradients(compute: str) -> list[Any]:
        if compute == "plain":
            loss = nn.functional.cross_entropy(head(hidden), targets, reduction="sum")
        else:
            loss = cross_entropy_sum(hidden, head, targets)
        return list(torch.autograd.grad(loss / POSITIONS, [hidden, head.weight]))

    if path == "difference":
        pairs = zip(gradients("plain"), gradients("chunked"), strict=True)
        return {"difference": max(float((plain - chunked).abs().max()) for plain, chunked in pairs)}
    before, started = peak_mb(), time.process_time()
    of_weight = gradients(path)[1]
    cpu = time.process_time() - started
    return {"cpu_s": cpu, "extra_mb": peak_mb() - before - of_weight.nbytes / 2**20}


def million_rows() -> Figures:
    command = [sys.executable, "-m", "benchmarks.train", "--rows", str(MILLION)]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    peak = 0.0
    while child.poll() is None:
        peak = max(peak, tree_mb(child.pid))
        time.sleep(0.5)
    if child.returncode:
        sys.exit(f"{' '.join(command)} ended with {child.returncode}")
    print(f"  {child.stdout.read().strip() if child.stdout else ''}")
    return {"rss_mb_1m_rows": peak}


def tree_mb(pid: int) -> float:
    """Resident memory of a process and its children, MB. Pages of a file that several map count several times."""
    try:
        process = psutil.Process(pid)
        return sum(each.memory_info().rss for each in (process, *process.children(recursive=True))) / 2**20
    except psutil.NoSuchProcess:
        return 0.0


def read_rows_of_an_epoch(count: int) -> str:
    """Tokenize rows, and read all of them in batches."""
    from azdistill.contracts.rows import Message, TrainRow
    from azdistill.contracts.train import TrainConfig
    from azdistill.students.tiny import byte_level_tokenizer
    from azdistill.training.batches import TokenBudgetDataLoader, TokenBudgetSampler, collate
    from azdistill.training.rows import tokenize_training_rows

    rng = random.Random(SEED)
    words = ["".join(rng.choices("abcdefghij", k=rng.randint(2, 8))) for _ in range(2000)]
    tokenizer = byte_level_tokenizer([" ".join(rng.choices(words, k=50)) for _ in range(1000)])

    def row(number: int) -> TrainRow:
        question, answer = (" ".join(rng.choices(words, k=size)) for size in (rng.randint(5, 20), rng.randint(1, 8)))
        turns = (Message(role="user", content=question), Message(role="assistant", content=answer))
        return TrainRow(id=f"{number:016x}", messages=turns)

    with tempfile.TemporaryDirectory() as name:
        started, path = time.perf_counter(), Path(name) / "rows.arrow"
        rows = tokenize_training_rows(map(row, range(count)), tokenizer, TrainConfig(), path=path, workers=2)
        tokenized = time.perf_counter() - started
        loader = TokenBudgetDataLoader(
            rows, TokenBudgetSampler(rows.lengths, 32, SEED), collate_fn=lambda batch: collate(batch, 0)
        )
        tokens = sum(int(batch["input_ids"].numel()) for batch in loader)
        read = time.perf_counter() - started - tokenized
        size = path.stat().st_size / 2**20
    return (
        f"{count:,} rows, {tokens:,} tokens: tokenized in {tokenized:.0f} s, read in {read:.0f} s, file {size:.0f} MB"
    )


def result_of(command: list[str]) -> dict[str, Any]:
    """The last line that a process prints, as JSON."""
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ours"]:
        print(json.dumps(ours(Path(sys.argv[2]))))
    elif sys.argv[1:2] == ["--ce"]:
        print(json.dumps(cross_entropy_run(sys.argv[2])))
    elif sys.argv[1:2] == ["--rows"]:
        print(read_rows_of_an_epoch(int(sys.argv[2])))
    else:
        print_figures(__doc__, {"speed": speed, "ce": cross_entropy, "rows": million_rows, "memory": memory_figures})
