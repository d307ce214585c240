"""Private names of transformers that we override or call. When one moves, these tests fail; then change our code and
the upper bound of transformers in pyproject.toml."""

import inspect
import re
import tomllib
from pathlib import Path

import transformers
from packaging.requirements import Requirement
from transformers import Trainer, TrainingArguments

from azdistill.contracts.train import TrainConfig
from azdistill.training.trainer import StudentTrainer, training_arguments

ROOT = Path(__file__).parents[2]
CODE = ROOT / "azdistill" / "training"


def parameters(method):
    return list(inspect.signature(method).parameters)


def test_the_private_methods_of_trainer_have_the_parameters_that_we_use():
    assert parameters(Trainer._save_checkpoint) == ["self", "model", "trial"]
    assert parameters(Trainer._prepare_inputs) == ["self", "inputs"]
    assert parameters(Trainer._load_best_model) == ["self"]
    for name in ("_save_checkpoint", "_load_from_checkpoint", "_get_grad_norm", "training_step"):
        assert parameters(getattr(StudentTrainer, name)) == parameters(getattr(Trainer, name))


def test_one_process_uses_one_gpu():
    """Trainer uses DataParallel where `n_gpu`, which is `_n_gpu`, is above 1."""
    args = TrainingArguments(use_cpu=True, report_to="none")
    args._n_gpu = 4
    assert args.n_gpu == 4
    assert "self.args.n_gpu > 1" in inspect.getsource(Trainer._wrap_model)
    assert training_arguments(TrainConfig(), Path("checkpoints"), evaluate=False).n_gpu <= 1


def test_trainer_calls_what_we_override():
    source = inspect.getsource(Trainer)
    for call in (
        "self._save_checkpoint(model, trial)",
        "self._get_grad_norm(model, grad_norm=grad_norm)",
        "self._load_from_checkpoint(resume_from_checkpoint)",
        "self.training_step(model, inputs, num_items_in_batch)",
        "self.floating_point_ops(inputs)",
        "self.get_train_dataloader()",
        "self.get_eval_dataloader(eval_dataset)",
        "self.evaluation_loop",
    ):
        assert call in source, call


def test_no_other_private_name_of_trainer_is_used():
    used = {name for path in CODE.glob("*.py") for name in re.findall(r"\.(_[a-z]\w*)", path.read_text())}
    assert {name for name in used if hasattr(Trainer, name)} == {
        "_get_grad_norm",
        "_load_from_checkpoint",
        "_load_best_model",
        "_prepare_inputs",
        "_save_checkpoint",
    }


def test_transformers_has_an_upper_bound_and_the_tested_version_is_within():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for requirements in pyproject["project"]["optional-dependencies"].values():
        for requirement in map(Requirement, requirements):
            if requirement.name == "transformers":
                assert any(bound.operator == "<" for bound in requirement.specifier)
                assert transformers.__version__ in requirement.specifier
