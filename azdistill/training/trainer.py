"""transformers' Trainer with our batches and loss, set up as a job says."""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

from azdistill.contracts.train import TrainConfig
from azdistill.students.loading import Student, best_device, best_dtype
from azdistill.students.template import Encoded
from azdistill.training.batches import TokenBudgetSampler, collate
from azdistill.training.checkpoints import MarkCheckpoints
from azdistill.training.history import ShowProgress
from azdistill.training.loss import answer_loss

LOGS_PER_EPOCH = 10
CHECKPOINTS_KEPT = 2


class StudentTrainer(Trainer):
    """Trainer with batches of a token budget; the rest is transformers' own."""

    def __init__(self, *, batch_size: int, pad: int, seed: int, **arguments: Any) -> None:
        super().__init__(data_collator=partial(collate, pad=pad), compute_loss_func=answer_loss, **arguments)
        self._rows_of_average_batch, self._draw_seed = batch_size, seed

    def get_train_dataloader(self) -> DataLoader[Encoded]:
        return self._loader(self.train_dataset)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Encoded]:
        return self._loader(self.eval_dataset if eval_dataset is None else eval_dataset)

    def _loader(self, rows: Sequence[Encoded]) -> DataLoader[Encoded]:
        lengths = [len(row.ids) for row in rows]
        sampler = TokenBudgetSampler(lengths, self._rows_of_average_batch, self._draw_seed)
        loader: DataLoader[Encoded] = DataLoader(rows, batch_sampler=sampler, collate_fn=self.data_collator)  # type: ignore[arg-type]
        prepared: DataLoader[Encoded] = self.accelerator.prepare(loader)
        return prepared


def student_trainer(
    student: Student,
    rows: Sequence[Encoded],
    held: Sequence[Encoded],
    config: TrainConfig,
    checkpoints: Path,
    work: str,
) -> StudentTrainer:
    trainer = StudentTrainer(
        batch_size=config.batch_size,
        pad=student.tokenizer.pad_token_id,
        seed=config.seed,
        model=student.model,
        args=_arguments(rows, held, config, checkpoints),
        train_dataset=rows,
        eval_dataset=held or None,
        processing_class=student.tokenizer,
        callbacks=[MarkCheckpoints(work), ShowProgress()],
    )
    for noisy in ("PrinterCallback", "ProgressCallback"):
        for callback in [found for found in trainer.callback_handler.callbacks if type(found).__name__ == noisy]:
            trainer.remove_callback(callback)
    return trainer


def _arguments(
    rows: Sequence[Encoded], held: Sequence[Encoded], config: TrainConfig, checkpoints: Path
) -> TrainingArguments:
    batches = len(TokenBudgetSampler([len(row.ids) for row in rows], config.batch_size, config.seed))
    every = max(math.ceil(batches / config.checkpoints_per_epoch), 1)
    return TrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=config.num_epochs,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.scheduler,
        warmup_steps=config.warmup_ratio,
        weight_decay=config.weight_decay,
        max_grad_norm=config.gradient_clip,
        bf16=precision(config) == "bfloat16",
        use_cpu=best_device().type == "cpu",
        seed=config.seed,
        logging_steps=max(batches // LOGS_PER_EPOCH, 1),
        save_strategy="steps",
        save_steps=every,
        save_total_limit=CHECKPOINTS_KEPT,
        eval_strategy="steps" if held else "no",
        eval_steps=every,
        prediction_loss_only=True,
        remove_unused_columns=False,
        dataloader_pin_memory=best_device().type == "cuda",
        report_to="none",
        disable_tqdm=True,
        log_level="error",
    )


def precision(config: TrainConfig) -> str:
    """Of the arithmetic; the optimizer's own copy of the weights is float32 in any case."""
    return best_dtype() if config.precision == "auto" else config.precision
