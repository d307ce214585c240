"""Loading: what is wrong with a folder is said in one line; nothing random stands in for what is missing."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from azdistill.contracts.errors import DataError
from azdistill.students.loading import load_student
from tests.students import tiny


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("right"))


@pytest.fixture
def folder(right, tmp_path):
    return shutil.copytree(right, tmp_path / "student")


def change_json(path, **values):
    found = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: value for key, value in found.items() if value is not None}))


def without_a_weight(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def pickled(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def custom_code(folder):
    auto_map = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    change_json(folder / "config.json", model_type="evil", auto_map=auto_map)
    (folder / "evil.py").write_text("raise SystemExit('run')")


def custom_tokenizer(folder):
    auto_map = {"AutoTokenizer": ["evil.Tokenizer", None]}
    change_json(folder / "tokenizer_config.json", tokenizer_class="EvilTokenizer", auto_map=auto_map)
    (folder / "evil.py").write_text("raise SystemExit('run')")


WRONG = {
    "pickled weights": (pickled, r"no \*.safetensors beside config.json; convert pickled"),
    "half a weights file": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:5000]),
        "no usable model .SafetensorError",
    ),
    "a weight that is missing": (without_a_weight, "1 weights .* 'model.layers.1.mlp.up_proj.weight'"),
    "weights of another size": (
        lambda f: change_json(f / "config.json", hidden_size=64),
        "no usable model",
    ),
    "config that is not JSON": (lambda f: (f / "config.json").write_text("{"), "not a valid JSON file"),
    "an unknown architecture": (lambda f: change_json(f / "config.json", model_type="nonsense"), "nonsense"),
    "a value of the wrong type": (lambda f: change_json(f / "config.json", hidden_size="big"), "hidden_size"),
    "no language model": (lambda f: change_json(f / "config.json", model_type="t5"), "no usable model"),
    "custom code": (custom_code, "code from a model's folder is never run"),
    "a custom tokenizer": (custom_tokenizer, "code from a model's folder is never run"),
    "no tokenizer.json": (lambda f: (f / "tokenizer.json").unlink(), "no usable tokenizer"),
    "no tokenizer.json of a known class": (
        lambda f: (
            (f / "tokenizer.json").unlink()
            or change_json(f / "tokenizer_config.json", tokenizer_class="LlamaTokenizer")
        ),
        "its tokenizer has no vocabulary; copy tokenizer.json",
    ),
    "a broken tokenizer.json": (lambda f: (f / "tokenizer.json").write_text("{"), "no usable tokenizer"),
    "no chat template": (
        lambda f: (f / "chat_template.jinja").unlink(),
        "no chat_template; take a chat or instruct model",
    ),
    "a tokenizer of another model": (
        lambda f: tiny.model("smollm", vocab_size=100).save_pretrained(f),
        "268 ids and its model knows 100",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_said_in_one_line(folder, wrong):
    harm, said = WRONG[wrong]
    harm(folder)
    with pytest.raises(DataError, match=said) as problem:
        load_student(folder)
    assert str(folder) in str(problem.value)
    assert "\n" not in str(problem.value)


def test_a_known_architecture_with_custom_code_beside_it_runs_the_known_one(folder):
    change_json(folder / "config.json", auto_map={"AutoModelForCausalLM": "evil.Model"})
    (folder / "evil.py").write_text("raise SystemExit('run')")
    assert type(load_student(folder).model).__name__ == "LlamaForCausalLM"


def test_random_weights_are_of_the_seed(tmp_path):
    folder = tiny.write(tmp_path, "gemma2", weights=False)
    first, again, other = (load_student(folder, "random", seed).model.state_dict() for seed in (1, 1, 2))
    assert all(map(torch.equal, first.values(), again.values()))
    assert not all(map(torch.equal, first.values(), other.values()))


def test_a_tokenizer_without_pad_token_gets_one(folder):
    tiny.tokenizer(pad_token=None).save_pretrained(folder)
    student = load_student(folder)
    assert student.tokenizer.pad_token_id == student.model.generation_config.pad_token_id == 4


def test_answers_end_at_the_marks_of_model_tokenizer_and_template_and_are_greedy(folder):
    tiny.tokenizer(tiny.PHI, "<|endoftext|>").save_pretrained(folder)
    advice = {"eos_token_id": [2, 4], "do_sample": True, "temperature": 0.7, "num_beams": 4, "repetition_penalty": 1.2}
    change_json(folder / "generation_config.json", **advice)
    found = load_student(folder).model.generation_config
    marks = [2, 4, tiny.SPECIAL.index("<|end|>"), tiny.SPECIAL.index("<|endoftext|>")]
    assert (found.eos_token_id, found.do_sample) == (marks, False)
    assert (found.num_beams, found.repetition_penalty) in {(None, None), (1, 1.0)}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_saved_student_is_the_student(folder, tmp_path, dtype):
    change_json(folder / "generation_config.json", do_sample=False, temperature=0.3)  # saved as it is, this would fail
    student = load_student(folder)
    student.save(tmp_path / "saved", dtype)
    saved = load_file(tmp_path / "saved" / "model.safetensors")
    assert {weight.dtype for weight in saved.values()} == {getattr(torch, dtype)}
    again = load_student(tmp_path / "saved", dtype=dtype)
    assert again.tokenizer.chat_template == student.tokenizer.chat_template
    assert again.model.generation_config.eos_token_id == student.model.generation_config.eos_token_id
    assert all(map(torch.equal, student.model.state_dict().values(), again.model.state_dict().values()))
