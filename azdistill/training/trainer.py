"""transformers' Trainer with token-budget batches, our losses and marked checkpoints."""

import itertools
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import EvalLoopOutput

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.files import read_json, write_json
from azdistill.contracts.layout import USAGE_FILE
from azdistill.contracts.scoring import Scorer
from azdistill.contracts.train import TrainConfig
from azdistill.students.errors import saving
from azdistill.students.gpus import require_bfloat16
from azdistill.students.loading import Student, best_device, best_dtype
from azdistill.students.usage import peak_memory_bytes
from azdistill.training.architecture import without_adapters
from azdistill.training.batches import TokenBudgetDataLoader, TokenBudgetSampler, collate, collate_packed
from azdistill.training.checkpoints import (
    CHECKPOINTS_KEPT,
    checkpoint_path,
    complete_checkpoint,
    delete_checkpoints,
    is_complete,
    is_foreign,
    start_checkpoint,
)
from azdistill.training.dataset import TokenizedRows
from azdistill.training.divergence import StopOnDivergence
from azdistill.training.layer_terms import Projections, projections_of
from azdistill.training.loss import num_target_tokens
from azdistill.training.rollout_diagnostics import ROLLOUT
from azdistill.training.rollouts import OnPolicyBatches
from azdistill.training.self_teacher import SelfTeacher
from azdistill.training.sharding import set_up_fsdp, sharding_arguments

LOGS_PER_EPOCH = 10

# Prefix of the terms of the loss in Trainer's log.
LOSS_TERM = "loss_"

# A loss that is not finite is seen at the next log.
MAX_STEPS_BETWEEN_LOGS = 100


def student_trainer(
    student: Student,
    train_rows: TokenizedRows,
    validation_rows: TokenizedRows,
    config: TrainConfig,
    checkpoints: Path,
    inputs_hash: str,
    callbacks: Sequence[TrainerCallback],
    scorer: Scorer | None = None,
    self_teacher: SelfTeacher | None = None,
) -> "StudentTrainer":
    """A trainer with the settings of a job's `train` section. `scorer` or `self_teacher` scores what the student
    samples."""
    trainer = StudentTrainer(
        config=config,
        inputs_hash=inputs_hash,
        model=student.model,
        args=training_arguments(config, checkpoints, evaluate=bool(validation_rows)),
        data_collator=collate_packed
        if config.packing
        else partial(collate, pad_token_id=student.tokenizer.pad_token_id),
        train_dataset=train_rows,
        eval_dataset=validation_rows or None,
        callbacks=list(callbacks),
    )
    trainer.remove_callback(PrinterCallback)
    if config.on_policy:
        trainer.sample_rows(student, scorer, self_teacher)
    # The steps of an epoch are known only now: they depend on the token budget.
    steps_per_epoch, args = len(trainer.get_train_dataloader()), trainer.args
    args.logging_steps = min(max(steps_per_epoch // LOGS_PER_EPOCH, 1), MAX_STEPS_BETWEEN_LOGS)
    args.save_steps = args.eval_steps = max(math.ceil(steps_per_epoch / config.checkpoints_per_epoch), 1)
    return trainer


def training_arguments(config: TrainConfig, checkpoints: Path, *, evaluate: bool) -> TrainingArguments:
    on_gpu = best_device().type == "cuda"
    args = TrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=config.num_epochs,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.scheduler,
        warmup_steps=config.warmup_ratio,  # a value below 1 is a share of all steps
        weight_decay=config.weight_decay,
        max_grad_norm=config.gradient_clip,
        bf16=precision(config) == "bfloat16",
        optim=config.optimizer,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        **_activation_checkpointing(config),
        **sharding_arguments(config),
        use_cpu=not on_gpu and config.sharding != "deepspeed",
        seed=config.seed,
        save_strategy="steps",
        save_total_limit=None,  # Trainer would delete checkpoints of other programs too, see StudentTrainer
        eval_strategy="steps" if evaluate else "no",
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        logging_nan_inf_filter=False,  # StopOnDivergence must see them
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,
        dataloader_pin_memory=on_gpu,
        report_to="none",
        disable_tqdm=True,
    )
    args._n_gpu = min(args.n_gpu, 1)  # else one process uses all GPUs through DataParallel, which is slow and inexact
    return args


def _activation_checkpointing(config: TrainConfig) -> dict[str, Any]:
    """The arguments of gradient checkpointing, which newer versions of transformers call activation checkpointing."""
    is_new = hasattr(TrainingArguments, "activation_checkpointing")
    name = "activation_checkpointing" if is_new else "gradient_checkpointing"
    return {name: True, f"{name}_kwargs": {"use_reentrant": False}} if config.gradient_checkpointing else {}


def precision(config: TrainConfig) -> str:
    """Type of the arithmetic. The trained weights themselves are float32."""
    if config.precision == "bfloat16":
        require_bfloat16(best_device())
    return best_dtype() if config.precision == "auto" else config.precision


class StudentTrainer(Trainer):
    """Trainer whose batches follow a token budget. Its model must be inside `loss_in_forward`."""

    def __init__(self, *, config: TrainConfig, inputs_hash: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._config, self._inputs_hash = config, inputs_hash
        self._tokens, self._logged_at = 0, time.monotonic()  # since the last log
        self._terms: dict[str, torch.Tensor] = {}  # sums since the last log
        self._terms_from_step: int | None = None
        self._agreement: dict[str, torch.Tensor] = {}  # sums since the last log
        self._on_policy: OnPolicyBatches | None = None
        self._scorer: Scorer | None = None
        self._scorer_usage: dict[str, Any] = {}  # of the complete steps
        self._self_teacher: SelfTeacher | None = None
        # `loss_in_forward` computes the loss, for the target tokens of all batches of an optimizer step.
        self.model_accepts_loss_kwargs = True
        self._divergence = StopOnDivergence(self._batch_rows)
        self.add_callback(self._divergence)

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        if self.args.fsdp:
            set_up_fsdp(self)

    def train(self, *arguments: Any, **options: Any) -> Any:
        """Train with the attention of the config, which a sharded student does not have yet: see `load_base`."""
        if self._config.is_sharded and self._config.attn_implementation != "auto":
            self.model.set_attn_implementation(self._config.attn_implementation)
        return super().train(*arguments, **options)

    def sample_rows(self, student: Student, scorer: Scorer | None, self_teacher: SelfTeacher | None) -> None:
        """Let rollouts of the student take the place of a share of the training rows."""
        self._scorer, self._self_teacher = scorer, self_teacher
        model = without_adapters(student.model)
        budget = self.get_train_dataloader().sampler_of_batches.token_budget
        # Processes compute gradients together, so each must have as many forward passes as the others.
        several = self.args.world_size > 1
        token_budget = None if several else budget
        self._on_policy = OnPolicyBatches(model, student.tokenizer, self._config, token_budget, scorer, self_teacher)

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> Any:
        """The batches of an optimizer step, and the number of their target tokens."""
        if self._on_policy is None:
            return super().get_batch_samples(epoch_iterator, num_batches, device)
        rows = list(itertools.islice(epoch_iterator, num_batches))
        try:
            with self.accelerator.autocast():
                batches = self._on_policy.batches(rows, self.state.global_step, self.state.max_steps)
        except AzdistillError:  # the scoring teacher has failed, or its budget is spent
            self._save_last_step()
            raise
        self._scorer_usage = self._scorer.usage() if self._scorer else {}
        passes = [one for batch in batches for one in batch]
        _, num_items_in_batch = super().get_batch_samples(iter(passes), len(passes), device)
        return batches, num_items_in_batch

    def get_train_dataloader(self) -> TokenBudgetDataLoader:
        return self._data_loader(self.train_dataset, list if self._on_policy else self.data_collator)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> TokenBudgetDataLoader:
        return self._data_loader(self.eval_dataset if eval_dataset is None else eval_dataset, self.data_collator)

    def _data_loader(self, rows: TokenizedRows, collate_rows: Callable[..., Any]) -> TokenBudgetDataLoader:
        args, config = self.args, self._config
        sampler = TokenBudgetSampler(
            rows.lengths,
            config.batch_size,
            config.seed,
            args.process_index,
            args.world_size,
            config.gradient_accumulation_steps,
            config.packing,
        )
        pin_memory = args.dataloader_pin_memory
        return TokenBudgetDataLoader(rows, sampler, collate_fn=collate_rows, pin_memory=pin_memory)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log the speed (tokens a second of this process, padding included) and the memory with each training loss."""
        if "loss" in logs:
            seconds = time.monotonic() - self._logged_at
            logs |= {"tokens_per_s": round(self._tokens / seconds, 1), "peak_memory_bytes": peak_memory_bytes()}
            logs |= self._logged_terms() | self._logged_rollouts(seconds)
            self._tokens, self._logged_at = 0, time.monotonic()
        super().log(logs, start_time)

    def _logged_terms(self) -> dict[str, float]:
        """The mean of each term of the loss since the last log: of this process, multiplied by its weight."""
        terms, steps = self._terms, self.state.global_step - (self._terms_from_step or 0)
        self._terms, self._terms_from_step = {}, self.state.global_step
        return {f"{LOSS_TERM}{name}": float(total) / max(steps, 1) for name, total in terms.items()}

    def _logged_rollouts(self, seconds: float) -> dict[str, float]:
        """Diagnostics of the rollouts since the last log."""
        if self._on_policy is None:
            return {}
        agreement, self._agreement = self._agreement, {}
        positions = float(agreement.pop("positions", 0.0))
        shares = {f"{ROLLOUT}{name}": round(float(total) / positions, 4) for name, total in agreement.items()}
        return self._on_policy.take_diagnostics(seconds, shares.get(f"{ROLLOUT}overlap")) | shares

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch)
        if self._terms_from_step is None:  # the start, or the step of a checkpoint
            self._terms_from_step = self.state.global_step
        for name, value in outputs["terms"].items():
            self._terms[name] = self._terms.get(name, 0.0) + value.detach()
        for name, value in outputs["agreement"].items():
            self._agreement[name] = self._agreement.get(name, 0.0) + value
        return (loss, outputs) if return_outputs else loss

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Compute the gradients of a batch, which on-policy distillation divides into several forward passes."""
        loss = torch.zeros((), device=self.args.device)
        for batch in inputs if isinstance(inputs, list) else [inputs]:
            self._tokens += batch["input_ids"].numel()
            loss = loss + super().training_step(model, batch, num_items_in_batch)
        self._divergence.add_loss(self.state.global_step + 1, loss)
        return loss

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm)
        self._divergence.add_gradient_norm(self.state.global_step + 1, norm)
        return norm

    def _batch_rows(self, step: int, batch: int | None) -> list[str]:
        """Names of the training rows in a batch of this process, or in all batches of a step."""
        loader, accumulated = self.get_train_dataloader(), self.args.gradient_accumulation_steps
        epoch, step_in_epoch = divmod(step - 1, math.ceil(len(loader) / accumulated))
        loader.set_epoch(epoch)
        batches = list(loader.sampler_of_batches)[step_in_epoch * accumulated :][:accumulated]
        indices = [index for number, rows in enumerate(batches) if batch in (None, number) for index in rows]
        return [self.train_dataset.name(index) for index in indices]

    @torch.no_grad()
    def evaluation_loop(self, dataloader: Any, *_: Any, **__: Any) -> EvalLoopOutput:
        """Compute `eval_loss` as the mean cross entropy of target tokens, whatever the terms of the training loss are;
        Trainer's own is a mean over batches of any size."""
        self.model.eval()
        sums, losses = torch.zeros(2, dtype=torch.float64), []
        for batch in dataloader:
            inputs = self._prepare_inputs(batch)
            loss = self.model_wrapped(**inputs, num_items_in_batch=1, text_only=True)["loss"]
            losses.append(loss)
            sums += torch.stack([loss, num_target_tokens(inputs["labels"])]).double().cpu()
        loss_sum, tokens = self.accelerator.reduce(sums.to(self.args.device)).tolist()
        if not math.isfinite(loss_sum):
            rows, batches = dataloader.dataset, dataloader.sampler_of_batches
            names = [[rows.name(index) for index in batch] for batch in batches]
            self._divergence.stop_validation(self.state.global_step, losses, names)
        return EvalLoopOutput(None, None, {"eval_loss": loss_sum / tokens}, len(dataloader.dataset))

    def floating_point_ops(self, inputs: Any) -> int:
        """Report no floating-point operations. Trainer would count all weights for it at every step."""
        return 0

    def _save_last_step(self) -> None:
        """Save a checkpoint of the last complete step, unless there is one."""
        step = self.state.global_step
        checkpoint = checkpoint_path(Path(self.args.output_dir), step)
        if step and not is_complete(checkpoint) and not is_foreign(checkpoint, self._inputs_hash):
            self._save_checkpoint(self.model, None)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Save a checkpoint with our marker, and delete our older ones."""
        folder = Path(self.args.output_dir)
        checkpoint = checkpoint_path(folder, self.state.global_step)
        with saving(checkpoint, "a checkpoint"):
            if self.args.should_save:
                start_checkpoint(checkpoint, self._inputs_hash)
            self.accelerator.wait_for_everyone()
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                complete_checkpoint(checkpoint, self._inputs_hash)
                delete_checkpoints(folder, self._inputs_hash, CHECKPOINTS_KEPT, self.best_step)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the weights of a checkpoint. FSDP and DeepSpeed save those of a sharded model with the optimizer."""
        if not self._config.is_sharded:
            super().save_model(output_dir, _internal_call)
        if output_dir and self.args.should_save:
            for part in self._separate_parts():
                part.save(Path(output_dir))
            if self._scorer_usage:
                write_json(Path(output_dir, USAGE_FILE), self._scorer_usage)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        for part in self._separate_parts():
            part.load(Path(resume_from_checkpoint))
        if self._scorer and (usage := Path(resume_from_checkpoint, USAGE_FILE)).is_file():
            self._scorer_usage = read_json(usage)
            self._scorer.resume(self._scorer_usage)

    def _separate_parts(self) -> list[Projections | SelfTeacher]:
        """Parts of a checkpoint in separate files: they are no part of the student."""
        return [part for part in (projections_of(self.model), self._self_teacher) if part is not None]

    @property
    def best_step(self) -> int | None:
        """The step with the lowest validation loss, whose weights are the student. None: the last step."""
        step: int | None = self.state.best_global_step if self._config.keep_best else None
        return step

    def load_best(self, checkpoint: Path) -> None:
        """Load the weights of a checkpoint."""
        self.state.best_model_checkpoint = str(checkpoint)
        self._load_best_model()
