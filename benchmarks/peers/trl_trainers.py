"""Trainers that others use, on the rows and the model of the benchmark: one process, one thread.

Runs in a separate virtual environment: `trl_trainers.py TRAINER MODEL ROWS` prints one line of JSON: `tokens`,
`cpu_s` (CPU-seconds of `train()`), `extra_mb` (peak memory beyond that before `train()`) and `losses`.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, DataCollatorForSeq2Seq, Trainer, TrainerCallback, TrainingArguments
from trl import SFTConfig, SFTTrainer

IGNORE_INDEX = -100


def main(trainer: str, model_folder: str, rows_file: str) -> None:
    torch.set_num_threads(1)
    settings = json.loads((Path(model_folder) / "benchmark.json").read_text())
    rows = [json.loads(line) for line in Path(rows_file).read_text().splitlines()]
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    with tempfile.TemporaryDirectory() as folder:
        built = TRAINERS[trainer](model, rows, common(folder, settings), settings)
        before, started = peak_mb(), time.process_time()
        built.train()
        cpu = time.process_time() - started
    losses = [point["loss"] for point in built.state.log_history if "loss" in point]
    tokens = sum(len(row["input_ids"]) for row in rows) * settings["epochs"]
    print(json.dumps({"tokens": tokens, "cpu_s": cpu, "extra_mb": peak_mb() - before, "losses": losses}))


def common(folder: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Arguments that all trainers share."""
    return {
        "output_dir": folder,
        "num_train_epochs": settings["epochs"],
        "per_device_train_batch_size": settings["batch_size"],
        "learning_rate": settings["learning_rate"],
        "lr_scheduler_type": "constant",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        "disable_tqdm": True,
        "seed": 1,
        "dataloader_pin_memory": False,
    }


def trl_default(model: Any, rows: list[Any], arguments: dict[str, Any], settings: dict[str, Any]) -> Trainer:
    """SFTTrainer as it is: random batches, padded, with gradient checkpointing."""
    config = SFTConfig(**arguments, max_length=settings["max_length"])
    return sft(model, rows, config)


def trl_packing(model: Any, rows: list[Any], arguments: dict[str, Any], settings: dict[str, Any]) -> Trainer:
    """SFTTrainer with packing, a packed sequence of a batch's tokens at a time, without gradient checkpointing."""
    arguments |= {"per_device_train_batch_size": 1, "gradient_checkpointing": False}
    return sft(model, rows, SFTConfig(**arguments, packing=True, max_length=settings["packed_length"]))


def sft(model: Any, rows: list[Any], config: SFTConfig) -> Trainer:
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(model.name_or_path)
    return SFTTrainer(model=model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)


def hf_grouped(model: Any, rows: list[Any], arguments: dict[str, Any], settings: dict[str, Any]) -> Trainer:
    """transformers' Trainer with batches of similar length."""
    from transformers import PreTrainedTokenizerFast

    labelled = [
        {
            "input_ids": row["input_ids"],
            "labels": [
                token if target else IGNORE_INDEX
                for token, target in zip(row["input_ids"], row["completion_mask"], strict=True)
            ],
        }
        for row in rows
    ]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(model.name_or_path)
    grouping = {"train_sampling_strategy": "group_by_length"}
    return Trainer(
        model=model,
        args=TrainingArguments(**arguments, **grouping),
        train_dataset=Dataset.from_list(labelled),
        data_collator=DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=IGNORE_INDEX),
        callbacks=[Quiet()],
    )


class Quiet(TrainerCallback):
    """Print no logs: stdout is for the result."""


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


TRAINERS = {"trl_default": trl_default, "trl_packing": trl_packing, "hf_grouped": hf_grouped}

if __name__ == "__main__":
    main(*sys.argv[1:4])
