"""LoRA: only adapters are trained, and the saved student with merged weights answers as the trained one."""

import json
import shutil
from importlib.util import find_spec

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from azdistill.contracts.errors import DataError, InputError
from azdistill.contracts.rows import TrainRow
from azdistill.contracts.train import CUDA_SETTINGS, FLASH_ATTENTION, TrainConfig
from azdistill.students.folders import fingerprint, model_folder
from azdistill.students.loading import load_student
from azdistill.students.template import tokenize_rows
from azdistill.training.adapters import CPU, add_adapters, load_base, merge_adapters, nf4
from azdistill.training.checkpoints import last_checkpoint
from azdistill.training.fine_tune import fine_tune
from tests.students import tiny
from tests.training.conftest import rows

TRAIN, TEST = rows(48), rows(8, first=64)
LORA = TrainConfig(method="lora", learning_rate=1e-2, lora_dropout=0.1, num_epochs=1, max_length=128, seed=5)

# Architecture, type of the weights on disk, and settings of the adapters. smollm and Gemma have tied embeddings,
# Gemma 2 has soft-capped logits, Phi-3 has fused projections, Qwen2 has biases.
MERGED = [
    ("smollm", "float32", {}),
    ("smollm", "bfloat16", {"use_dora": True}),
    ("smollm", "float16", {"lora_rank": 4}),
    ("llama", "float32", {"use_dora": True}),
    ("llama", "bfloat16", {"use_rslora": True}),
    ("phi3", "float32", {"lora_targets": "qkv_proj,mlp.down_proj"}),
    ("phi3", "bfloat16", {}),
    ("qwen2", "float32", {"use_rslora": True, "use_dora": True}),
    ("qwen3", "bfloat16", {}),
    ("gemma2", "float32", {}),
    ("gemma3", "bfloat16", {}),
]


def write(folder, architecture, dtype="float32", **changed):
    """A student whose weights on disk have the type `dtype`."""
    tiny.write(folder, architecture, **changed)
    load_student(folder).save(folder, dtype)
    return folder


def trained(student):
    """Give the adapters values as a training leaves them: at first their output is zero."""
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in student.model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight) * 0.05)
    student.model.eval()
    return student


def logits(model, tokenizer):
    """Logits of all tokens of the test rows."""
    tokenized = tokenize_rows(tokenizer, [row.messages for row in TEST])
    with torch.no_grad():
        return torch.cat([model(input_ids=torch.tensor([row.input_ids])).logits[0].float() for row in tokenized])


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft reads it
@pytest.mark.parametrize(("architecture", "dtype", "options"), MERGED)
def test_merging_and_saving_keep_the_answers(tmp_path, architecture, dtype, options):
    """Logits before and after agree within the precision of the type on disk, for the adapter next to it, too."""
    folder, config = write(tmp_path / "student", architecture, dtype), LORA.model_copy(update=options)
    student = trained(add_adapters(load_base(folder, config), config))
    assert {weight.dtype for weight in student.model.parameters() if weight.requires_grad} == {torch.float32}
    tied = student.model.get_base_model().config.tie_word_embeddings
    expected = logits(student.model, student.tokenizer)
    untrained = logits(load_student(folder).model, student.tokenizer)

    merged = merge_adapters(student, folder, config)
    torch.testing.assert_close(logits(merged.model, merged.tokenizer), expected, atol=1e-4, rtol=1e-4)
    merged.save(tmp_path / "saved", dtype)

    saved = load_file(tmp_path / "saved" / "model.safetensors")
    assert {weight.dtype for weight in saved.values()} == {getattr(torch, dtype)}
    assert (("lm_head.weight" in saved), set(saved)) == (not tied, set(load_file(folder / "model.safetensors")))
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "saved", dtype=torch.float32)
    error = (logits(loaded, merged.tokenizer) - expected).abs().max()
    change = (expected - untrained).abs().max()
    assert error < {"float32": 1e-3, "float16": 2e-2, "bfloat16": 0.1}[dtype] * change

    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    adapted = PeftModel.from_pretrained(base, tmp_path / "saved" / "adapter")
    torch.testing.assert_close(logits(adapted, merged.tokenizer), expected, atol=1e-4, rtol=1e-4)


def test_a_merged_weight_is_rounded_once(tmp_path):
    folder = write(tmp_path / "student", "smollm", "bfloat16")
    student = trained(add_adapters(load_base(folder, LORA), LORA))
    name = "model.layers.0.self_attn.q_proj"
    module = student.model.get_submodule(f"base_model.model.{name}")
    low_rank = module.lora_B["default"].weight.double() @ module.lora_A["default"].weight.double()
    exact = (module.base_layer.weight.double() + low_rank * LORA.lora_alpha / LORA.lora_rank).detach()
    merge_adapters(student, folder, LORA).save(tmp_path / "saved", "bfloat16")
    saved = load_file(tmp_path / "saved" / "model.safetensors")[f"{name}.weight"]
    ulp = 2.0 ** (exact.abs().log2().floor() - 7)
    assert ((saved.double() - exact).abs() <= ulp * 0.5001).all()


def test_a_base_that_lost_precision_in_training_is_read_anew(tmp_path):
    """Weights in float32 that are trained in bfloat16, as on a GPU, are merged and saved in float32."""
    folder, config = write(tmp_path / "student", "smollm"), LORA.model_copy(update={"precision": "bfloat16"})
    student = trained(add_adapters(load_base(folder, config), config))
    assert student.model.get_base_model().lm_head.weight.dtype == torch.bfloat16
    merged = merge_adapters(student, folder, config)
    before, after = load_student(folder).model.state_dict(), merged.model.state_dict()
    changed = {name for name, weight in before.items() if not torch.equal(weight, after[name])}
    assert changed == {name for name in before if name.endswith("_proj.weight")}


def test_weights_in_4_bits_are_trained_and_the_adapter_is_merged_into_the_unquantized_ones(tmp_path):
    folder = write(tmp_path / "student", "smollm", "bfloat16", hidden_size=64, intermediate_size=128)
    config = LORA.model_copy(update={"method": "qlora"})
    base = load_student(folder, device=CPU, quantization=nf4(config))
    student = trained(add_adapters(base, config))
    layer = student.model.get_submodule("base_model.model.model.layers.0.mlp.up_proj")
    assert (layer.base_layer.weight.dtype, layer.base_layer.weight.numel()) == (torch.uint8, 64 * 128 // 2)
    student.model.state_dict()  # unpacks the weights that bitsandbytes packs for inference on CPUs with AVX-512 BF16
    model = student.model.train()
    ids = torch.tensor([student.tokenizer("Which colour?")["input_ids"]])
    model(input_ids=ids, labels=ids).loss.backward()
    assert layer.lora_A["default"].weight.grad.abs().sum() > 0

    low_rank = layer.lora_B["default"].weight @ layer.lora_A["default"].weight * 2
    merge_adapters(student, folder, config).save(tmp_path / "saved", "bfloat16")
    assert "quantization_config" not in json.loads((tmp_path / "saved" / "config.json").read_text())
    base, merged = (load_file(path / "model.safetensors") for path in (folder, tmp_path / "saved"))
    name = "model.layers.0.mlp.up_proj.weight"
    assert torch.equal(merged[name], (base[name].float() + low_rank).to(torch.bfloat16))
    assert torch.equal(merged["model.embed_tokens.weight"], base["model.embed_tokens.weight"])
    assert load_student(folder, "random", device=CPU, quantization=nf4(config)).model.is_loaded_in_4bit


@pytest.fixture(scope="module")
def uninterrupted(student, tmp_path_factory):
    """A complete training of adapters, and the folder of its checkpoints."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("uninterrupted")
    config = LORA.model_copy(update={"checkpoints_per_epoch": 3, "gradient_checkpointing": True})
    return config, fine_tune(TRAIN, TEST, student, config, folder, "inputs"), folder


def test_only_the_adapters_are_trained_and_the_loss_falls(uninterrupted, student):
    _, tuned, folder = uninterrupted
    before, after = load_student(student).model.state_dict(), tuned.student.model.state_dict()
    changed = {name for name, weight in before.items() if not torch.equal(weight, after[name])}
    assert changed == {name for name in before if name.endswith("_proj.weight")}
    assert tuned.history[-1]["loss"] < tuned.history[0]["loss"] * 0.8
    adapters = sum(weight.numel() for weight in tuned.student.adapter.weights.values())
    metrics = tuned.metrics
    assert (metrics.method, metrics.trained_parameters) == ("lora", adapters)
    assert metrics.parameters == sum(weight.numel() for weight in load_student(student).model.parameters())
    checkpoint = last_checkpoint(folder, "inputs")
    assert (checkpoint / "adapter_model.safetensors").is_file()
    assert not (checkpoint / "model.safetensors").exists()


def test_a_resumed_training_ends_with_the_same_weights(uninterrupted, student, tmp_path):
    """Within an epoch, with dropout in the adapters: they, the optimizer and the random generators are restored."""
    config, complete, folder = uninterrupted
    shutil.copytree(folder, tmp_path / "copy")
    shutil.rmtree(last_checkpoint(tmp_path / "copy", "inputs"))
    resumed = fine_tune(TRAIN, TEST, student, config, tmp_path / "copy", "inputs")
    assert 0 < resumed.metrics.resumed_from_step < resumed.metrics.steps
    for first, second in (
        (complete.student.adapter.weights, resumed.student.adapter.weights),
        (complete.student.model.state_dict(), resumed.student.model.state_dict()),
    ):
        assert all(torch.equal(weight, second[name]) for name, weight in first.items())


def test_the_adapter_with_the_lowest_validation_loss_is_merged(student, tmp_path):
    """The answers of the validation rows have no letter of the training rows, so their loss rises in the end."""
    wrong = [TrainRow(id=row.id, messages=tiny.turns(row.messages[0].content, "QXZ")) for row in TEST]
    config = LORA.model_copy(update={"checkpoints_per_epoch": 4, "num_epochs": 3, "lora_alpha": 128})
    tuned = fine_tune(TRAIN[:16], wrong, student, config, tmp_path, "inputs")
    assert tuned.metrics.saved_step < tuned.metrics.steps
    best = load_file(tmp_path / f"checkpoint-{tuned.metrics.saved_step}" / "adapter_model.safetensors")
    assert all(torch.equal(weight, best[name]) for name, weight in tuned.student.adapter.weights.items())
    assert tuned.metrics.trained_parameters == sum(weight.numel() for weight in best.values())


def test_an_adapter_next_to_the_model_changes_neither_its_fingerprint_nor_what_is_loaded(uninterrupted, tmp_path):
    _, tuned, _ = uninterrupted
    tuned.student.save(tmp_path / "saved", tuned.dtype)
    complete = fingerprint(tmp_path / "saved")
    assert model_folder(tmp_path / "saved") == tmp_path / "saved"
    loaded = load_student(tmp_path / "saved").model
    assert all(map(torch.equal, loaded.state_dict().values(), tuned.student.model.state_dict().values()))
    config = json.loads((tmp_path / "saved" / "adapter" / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["r"], config["inference_mode"]) == (None, 16, True)
    assert config["target_modules"] == sorted(config["target_modules"])
    shutil.rmtree(tmp_path / "saved" / "adapter")
    assert fingerprint(tmp_path / "saved") == complete


@pytest.mark.parametrize("target", ["q_projection", "lm_head", "embed_tokens", "proj", "model.layers"])
def test_a_target_that_matches_no_linear_module_is_an_error_with_their_names(student, target):
    config = LORA.model_copy(update={"lora_targets": f"q_proj,{target}"})
    with pytest.raises(InputError) as error:
        add_adapters(load_base(student, config), config)
    (problem,) = error.value.problems
    assert (problem.code, problem.field, problem.value) == ("unknown_target", ("train", "lora_targets"), target)
    assert "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj" in problem.fix


@pytest.mark.parametrize(("field", "value"), [setting[:2] for setting in CUDA_SETTINGS if setting.field != "sharding"])
def test_a_setting_that_needs_a_gpu_is_an_error_before_the_student_is_loaded(tmp_path, field, value):
    """Sharding has no effect on a single process."""
    config = LORA.model_copy(update={field: value})
    with pytest.raises((InputError, DataError)) as error:
        fine_tune(TRAIN, TEST, tmp_path / "absent", config, tmp_path)
    (problem,) = error.value.problems
    if not torch.cuda.is_available():
        assert (problem.code, problem.field, problem.value) == ("needs_cuda", ("train", field), value)
        assert problem.fix
    elif find_spec("flash_attn") is None and value == FLASH_ATTENTION:
        assert (problem.code, problem.command) == ("missing_package", "pip install flash-attn")
    else:
        assert problem.code == "missing_file"


@pytest.mark.gpu
@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_adapters_are_trained_on_a_gpu_and_saved_in_the_type_of_the_base(tmp_path, method):
    folder = write(tmp_path / "student", "smollm", "bfloat16", hidden_size=128, intermediate_size=256)
    config = LORA.model_copy(update={"method": method, "num_epochs": 2})
    tuned = fine_tune(TRAIN, TEST, folder, config, tmp_path / "checkpoints")
    assert tuned.history[-1]["loss"] < tuned.history[0]["loss"]
    assert (tuned.metrics.precision, tuned.dtype) == ("bfloat16", "bfloat16")
    tuned.student.save(tmp_path / "saved", tuned.dtype)
    assert {weight.dtype for weight in load_student(tmp_path / "saved").model.parameters()} == {torch.bfloat16}


def quantize(folder):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"quantization_config": {"quant_method": "gptq"}}))


def add_adapter_config(folder):
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "microsoft/Phi-4-mini-instruct"}')


def leave_only_an_adapter(folder):
    add_adapter_config(folder)
    (folder / "config.json").unlink()
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")


@pytest.mark.parametrize(
    ("harm", "code", "text"),
    [
        (leave_only_an_adapter, "adapter", "of microsoft/Phi-4-mini-instruct"),
        (add_adapter_config, "adapter", "of microsoft/Phi-4-mini-instruct"),
        (quantize, "quantized_student", "before quantization"),
    ],
)
@pytest.mark.parametrize("method", ["full", "lora"])
def test_an_adapter_or_quantized_weights_are_no_student(tmp_path, harm, code, text, method):
    folder = tiny.write(tmp_path / "student")
    harm(folder)
    with pytest.raises(DataError) as error:
        load_base(folder, LORA.model_copy(update={"method": method}))
    (problem,) = error.value.problems
    assert (problem.code, problem.subject) == (code, f"student {str(folder)!r}")
    assert text in f"{problem.message} {problem.fix}"
