"""A trainer as a job's `training` section says."""

import math
from collections.abc import Sequence
from pathlib import Path

from transformers import PrinterCallback, TrainerCallback, TrainingArguments

from azdistill.contracts.train import TrainConfig
from azdistill.students.loading import Student, best_device, best_dtype
from azdistill.students.template import Encoded
from azdistill.training.trainer import StudentTrainer

LOGS_PER_EPOCH = 10
CHECKPOINTS_KEPT = 2


def student_trainer(
    student: Student,
    rows: Sequence[Encoded],
    held: Sequence[Encoded],
    config: TrainConfig,
    checkpoints: Path,
    work: str,
    callbacks: Sequence[TrainerCallback],
) -> StudentTrainer:
    trainer = StudentTrainer(
        batch_size=config.batch_size,
        pad=student.tokenizer.pad_token_id,
        work=work,
        model=student.model,
        args=_arguments(config, checkpoints, validate=bool(held)),
        train_dataset=rows,
        eval_dataset=held or None,
        callbacks=list(callbacks),
    )
    trainer.remove_callback(PrinterCallback)  # the log lines are ours
    _set_pace(trainer, config)
    return trainer


def precision(config: TrainConfig) -> str:
    """Of the arithmetic; the optimizer's own copy of the weights is float32 in any case."""
    return best_dtype() if config.precision == "auto" else config.precision


def _set_pace(trainer: StudentTrainer, config: TrainConfig) -> None:
    """Logs, checkpoints and validation as parts of an epoch, whose steps the trainer's batches tell."""
    batches, args = len(trainer.get_train_dataloader()), trainer.args
    args.logging_steps = max(batches // LOGS_PER_EPOCH, 1)
    args.save_steps = args.eval_steps = max(math.ceil(batches / config.checkpoints_per_epoch), 1)


def _arguments(config: TrainConfig, checkpoints: Path, *, validate: bool) -> TrainingArguments:
    on_gpu = best_device().type == "cuda"
    return TrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=config.num_epochs,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.scheduler,
        warmup_steps=config.warmup_ratio,  # below 1: a part of all steps
        weight_decay=config.weight_decay,
        max_grad_norm=config.gradient_clip,
        bf16=precision(config) == "bfloat16",
        use_cpu=not on_gpu,
        seed=config.seed,
        save_strategy="steps",
        save_total_limit=CHECKPOINTS_KEPT,
        eval_strategy="steps" if validate else "no",
        logging_nan_inf_filter=False,  # a loss that is no number is an error here, not a line to leave out
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,
        dataloader_pin_memory=on_gpu,
        report_to="none",
        disable_tqdm=True,
        log_level="error",
    )
