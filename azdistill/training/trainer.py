"""transformers' Trainer with our batches and losses."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, EvalLoopOutput

from azdistill.students.problems import writing
from azdistill.students.template import Encoded
from azdistill.training.batches import TokenBudgetLoader, TokenBudgetSampler, collate
from azdistill.training.checkpoints import mark_whole
from azdistill.training.loss import answer_loss, learned_tokens


class StudentTrainer(Trainer):
    """Trainer with batches of a token budget, and a validation loss that is a mean over tokens as the training loss."""

    def __init__(self, *, batch_size: int, pad: int, work: str, **arguments: Any) -> None:
        super().__init__(data_collator=partial(collate, pad=pad), compute_loss_func=answer_loss, **arguments)
        self._rows_of_average_batch, self._work = batch_size, work

    def get_train_dataloader(self) -> TokenBudgetLoader:
        return self._loader(self.train_dataset)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> TokenBudgetLoader:
        return self._loader(self.eval_dataset if eval_dataset is None else eval_dataset)

    def _loader(self, rows: Sequence[Encoded]) -> TokenBudgetLoader:
        args = self.args
        lengths = [len(row.ids) for row in rows]
        sampler = TokenBudgetSampler(
            lengths, self._rows_of_average_batch, args.seed, args.process_index, args.world_size
        )
        return TokenBudgetLoader(rows, sampler, collate_fn=self.data_collator, pin_memory=args.dataloader_pin_memory)

    @torch.no_grad()
    def evaluation_loop(self, dataloader: Any, *_: Any, **__: Any) -> EvalLoopOutput:
        """Trainer's own is a mean over batches, whatever their size."""
        self.model.eval()
        sums = torch.zeros(2, dtype=torch.float64)
        for batch in dataloader:
            inputs = self._prepare_inputs(batch)
            labels = inputs.pop("labels")
            loss = answer_loss(self.model_wrapped(**inputs), labels, num_items_in_batch=1)
            sums += torch.stack([loss, learned_tokens(labels)]).double().cpu()
        total, count = self.accelerator.reduce(sums.to(self.args.device)).tolist()
        return EvalLoopOutput(None, None, {"eval_loss": total / count}, len(dataloader.dataset))

    def floating_point_ops(self, inputs: Any) -> int:
        """Nobody reads them, and Trainer counts all weights for them at every step."""
        return 0

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(self.args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        with writing(folder, "training: a checkpoint"):
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                mark_whole(folder, self._work)
