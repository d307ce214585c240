"""Settings of FSDP and DeepSpeed, as transformers' TrainingArguments reads them."""

from types import SimpleNamespace

import pytest
from accelerate.utils.deepspeed import HfDeepSpeedConfig
from transformers import TrainingArguments
from transformers.integrations.deepspeed import HfTrainerDeepSpeedConfig

from azdistill.contracts.files import read_json
from azdistill.training.sharding import DEEPSPEED_FILE, FSDP_FILE, sharding_arguments, without_unused_sharding
from tests.training.conftest import CONFIG

FSDP, DEEPSPEED = (CONFIG.model_copy(update={"sharding": name}) for name in ("fsdp", "deepspeed"))


def test_a_single_process_is_not_sharded():
    assert without_unused_sharding(FSDP, {}).sharding == "none"
    assert without_unused_sharding(FSDP, {"WORLD_SIZE": "1"}).sharding == "none"
    assert without_unused_sharding(FSDP, {"WORLD_SIZE": "2"}) == FSDP
    assert sharding_arguments(CONFIG) == {}


def test_the_settings_of_fsdp_are_read(tmp_path):
    """Unknown names would be ignored."""
    arguments = TrainingArguments(str(tmp_path), use_cpu=True, **sharding_arguments(FSDP))
    settings = read_json(FSDP_FILE)
    plugin = arguments.fsdp_plugin_args
    assert plugin.pop("fsdp_version") == settings.pop("version") == 2
    assert settings == {name: plugin[name] for name in settings}
    assert arguments.accelerator_config.gradient_accumulation_kwargs == {"sync_each_batch": True}


class TrainerConfig(HfTrainerDeepSpeedConfig, HfDeepSpeedConfig):
    """The class of transformers, which has its base class only if deepspeed is installed."""

    def __init__(self, settings):
        HfDeepSpeedConfig.__init__(self, settings)
        self.mismatches, self._dtype = [], None


def test_the_settings_of_deepspeed_are_completed_by_those_of_the_trainer(tmp_path):
    config = TrainerConfig(sharding_arguments(DEEPSPEED)["deepspeed"])
    arguments = TrainingArguments(str(tmp_path), use_cpu=True, gradient_accumulation_steps=3, max_grad_norm=0.5)
    config.trainer_config_process(arguments)
    config.trainer_config_finalize(arguments, SimpleNamespace(config=SimpleNamespace(hidden_size=64)), 10)
    assert config.is_zero3()
    assert "auto" not in str(config.config)
    assert (config.config["gradient_accumulation_steps"], config.config["gradient_clipping"]) == (3, 0.5)
    assert config.config["bf16"] == {"enabled": False}
    assert read_json(DEEPSPEED_FILE)["zero_optimization"]["stage"] == 3


@pytest.mark.parametrize("name", ["train_batch_size", "optimizer", "scheduler"])
def test_deepspeed_leaves_to_the_trainer_what_is_its_own(name):
    assert name not in read_json(DEEPSPEED_FILE)
