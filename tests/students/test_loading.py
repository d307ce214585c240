"""Loading and saving a student: each error is one line, and nothing missing is replaced by random values."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig
from transformers.utils import logging

from azdistill.contracts.errors import AzdistillError, DataError, InputError
from azdistill.students.chat_template import original_template
from azdistill.students.errors import fitting_memory, saving
from azdistill.students.loading import gpu_index, load_student
from tests.students import tiny


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("complete"))


@pytest.fixture
def folder(complete, tmp_path):
    return shutil.copytree(complete, tmp_path / "student")


def change_json(path, **values):
    """Set fields of a JSON file; None removes one."""
    content = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def remove_weight(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def truncate_weights(folder):
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:5000])


def pickle_weights(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def add_model_code(folder):
    auto_map = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    change_json(folder / "config.json", model_type="evil", auto_map=auto_map)
    (folder / "evil.py").write_text("raise SystemExit('run')")


def add_tokenizer_code(folder):
    auto_map = {"AutoTokenizer": ["evil.Tokenizer", None]}
    change_json(folder / "tokenizer_config.json", tokenizer_class="EvilTokenizer", auto_map=auto_map)
    (folder / "evil.py").write_text("raise SystemExit('run')")


def remove_vocabulary(folder):
    (folder / "tokenizer.json").unlink()
    change_json(folder / "tokenizer_config.json", tokenizer_class="LlamaTokenizer")


UNUSABLE = {
    "pickled weights": (pickle_weights, "no_weights", "convert pickled"),
    "truncated weights": (truncate_weights, "unusable_student", "the model (SafetensorError"),
    "a missing weight": (remove_weight, "missing_weights", "lack 1 weights"),
    "weights of another size": (
        lambda f: change_json(f / "config.json", hidden_size=64),
        "unusable_student",
        "the model (",
    ),
    "config that is not JSON": (
        lambda f: (f / "config.json").write_text("{"),
        "unusable_student",
        "not a valid JSON file",
    ),
    "an unknown architecture": (
        lambda f: change_json(f / "config.json", model_type="nonsense"),
        "unusable_student",
        "nonsense",
    ),
    "a value of the wrong type": (
        lambda f: change_json(f / "config.json", hidden_size="big"),
        "unusable_student",
        "hidden_size",
    ),
    "no causal language model": (
        lambda f: change_json(f / "config.json", model_type="t5"),
        "unusable_student",
        "the model (",
    ),
    "code of a model": (add_model_code, "needs_remote_code", "never runs code from a model folder"),
    "code of a tokenizer": (add_tokenizer_code, "needs_remote_code", "never runs code from a model folder"),
    "no tokenizer.json": (lambda f: (f / "tokenizer.json").unlink(), "unusable_student", "the tokenizer ("),
    "no vocabulary": (remove_vocabulary, "no_vocabulary", "copy tokenizer.json"),
    "a damaged tokenizer.json": (
        lambda f: (f / "tokenizer.json").write_text("{"),
        "unusable_student",
        "the tokenizer (",
    ),
    "no chat template": (lambda f: (f / "chat_template.jinja").unlink(), "no_chat_template", "chat or instruct model"),
    "a tokenizer of another model": (
        lambda f: tiny.model("smollm", vocab_size=100).save_pretrained(f),
        "vocabulary_mismatch",
        "268 ids but its model only 100 embeddings",
    ),
}


@pytest.mark.parametrize("fault", UNUSABLE)
def test_an_unusable_folder_is_one_problem_that_names_it(folder, fault):
    harm, code, text = UNUSABLE[fault]
    harm(folder)
    with pytest.raises(DataError) as error:
        load_student(folder)
    (problem,) = error.value.problems
    assert (problem.code, problem.subject) == (code, f"student {str(folder)!r}")
    assert text in str(error.value)
    assert problem.fix
    assert "\n" not in str(error.value)


def test_an_encoder_is_no_student(tmp_path):
    tiny.tokenizer().save_pretrained(tmp_path)
    size = {"vocab_size": 300, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    AutoConfig.for_model("bert", intermediate_size=64, **size).save_pretrained(tmp_path)
    with pytest.raises(DataError) as error:
        load_student(tmp_path, "random")
    assert [problem.code for problem in error.value.problems] == ["not_causal"]


def test_a_chosen_template_replaces_that_of_the_folder(folder):
    assert original_template(load_student(folder, chat_template=tiny.PHI).tokenizer) == tiny.PHI


def test_code_in_the_folder_of_a_known_architecture_is_ignored(folder):
    change_json(folder / "config.json", auto_map={"AutoModelForCausalLM": "evil.Model"})
    (folder / "evil.py").write_text("raise SystemExit('run')")
    assert type(load_student(folder).model).__name__ == "LlamaForCausalLM"


def test_random_weights_depend_on_the_seed(tmp_path):
    folder = tiny.write(tmp_path, "gemma2", weights=False)
    first, repeated, other = (load_student(folder, "random", seed).model.state_dict() for seed in (1, 1, 2))
    assert all(map(torch.equal, first.values(), repeated.values()))
    assert not all(map(torch.equal, first.values(), other.values()))


def test_a_tokenizer_without_pad_token_gets_one(folder):
    tiny.tokenizer(pad_token=None).save_pretrained(folder)
    student = load_student(folder)
    assert student.tokenizer.pad_token_id == student.model.generation_config.pad_token_id == 4


def test_generation_is_greedy_and_ends_at_the_end_tokens_of_model_tokenizer_and_template(folder):
    tiny.tokenizer(tiny.PHI, "<|endoftext|>").save_pretrained(folder)
    authors = {"eos_token_id": [2, 4], "do_sample": True, "temperature": 0.7, "num_beams": 4, "repetition_penalty": 1.2}
    change_json(folder / "generation_config.json", **authors)
    config = load_student(folder).model.generation_config
    ends = [2, 4, tiny.SPECIAL.index("<|end|>"), tiny.SPECIAL.index("<|endoftext|>")]
    assert (config.eos_token_id, config.do_sample) == (ends, False)
    assert (config.num_beams, config.repetition_penalty) in {(None, None), (1, 1.0)}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_saved_student_loads_as_the_same_student(folder, tmp_path, dtype):
    # transformers refuses to save these settings, so they must be replaced.
    change_json(folder / "generation_config.json", do_sample=False, temperature=0.3)
    student = load_student(folder)
    student.save(tmp_path / "saved", dtype)
    saved = load_file(tmp_path / "saved" / "model.safetensors")
    assert {weight.dtype for weight in saved.values()} == {getattr(torch, dtype)}
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["dtype"] == dtype
    loaded = load_student(tmp_path / "saved", dtype=dtype)
    assert loaded.tokenizer.chat_template == student.tokenizer.chat_template
    assert loaded.model.generation_config.eos_token_id == student.model.generation_config.eos_token_id
    expected = [weight.to(getattr(torch, dtype)) for weight in student.model.state_dict().values()]
    assert all(map(torch.equal, expected, loaded.model.state_dict().values()))


@pytest.mark.parametrize("architecture", ["smollm", "llama"])  # with and without tied weights
def test_saving_in_another_type_leaves_the_model_in_memory_unchanged(tmp_path, architecture):
    student = load_student(tiny.write(tmp_path / "student", architecture))
    before = {name: weight.clone() for name, weight in student.model.state_dict().items()}
    student.save(tmp_path / "saved", "bfloat16")
    after = student.model.state_dict()
    assert {weight.dtype for weight in after.values()} == {torch.float32}
    assert all(torch.equal(before[name], weight) for name, weight in after.items())
    tied = architecture == "smollm"
    assert ("lm_head.weight" in load_file(tmp_path / "saved" / "model.safetensors")) is not tied


def test_loading_and_saving_leave_the_log_settings_of_transformers_unchanged(folder, tmp_path, capfd):
    verbosity, progress_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_info()
    logging.enable_progress_bar()
    try:
        load_student(folder).save(tmp_path / "saved", "float32")
        assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == (logging.INFO, True)
        assert capfd.readouterr() == ("", "")
    finally:
        logging.set_verbosity(verbosity)
        if not progress_bars:
            logging.disable_progress_bar()


def test_each_process_has_the_gpu_of_its_local_rank():
    assert [gpu_index({"LOCAL_RANK": str(rank)}, 4) for rank in range(4)] == [0, 1, 2, 3]
    assert gpu_index({}, 1) == 0
    with pytest.raises(InputError) as error:
        gpu_index({"LOCAL_RANK": "1"}, 1)
    (problem,) = error.value.problems
    assert (problem.code, problem.field) == ("too_many_processes", ("compute", "train_processes"))


def load_large(folder):
    change_json(folder / "config.json", intermediate_size=2**48)
    load_student(folder, "random")


def save_large(folder):
    with saving(folder, "the student"):
        torch.empty(2**60)


@pytest.mark.parametrize("use", [load_large, save_large])
def test_too_little_memory_is_no_error_of_the_folder(folder, use):
    """Neither a folder that is incomplete nor a full disk: their fixes would not help."""
    with pytest.raises(AzdistillError) as error, fitting_memory("lower the batch size"):
        use(folder)
    (problem,) = error.value.problems
    assert (problem.code, problem.fix, error.value.exit_code) == ("out_of_memory", "lower the batch size", 1)
    assert problem.message.startswith("the machine has too little memory (RuntimeError: ")


def test_too_little_memory_of_a_gpu_is_named():
    with (
        pytest.raises(AzdistillError, match=r"the GPU has too little memory \(OutOfMemoryError: CUDA out"),
        fitting_memory(""),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
