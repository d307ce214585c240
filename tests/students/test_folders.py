"""A plain folder and an MLflow layout load as the same student."""

import shutil
import warnings

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file

from azdistill.contracts.errors import AzdistillError, DataError
from azdistill.students.errors import saving
from azdistill.students.folders import fingerprint, model_folder, tokenizer_folder, weight_files
from azdistill.students.loading import load_student, load_tokenizer
from azdistill.students.usage import weight_file_bytes
from tests.students import tiny

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("plain"), "qwen2")


def mlflow_layout(plain, root, model="data/model", tokenizer="components/tokenizer", files=TOKENIZER_FILES):
    """Copy the student into the folders of `mlflow.transformers`."""
    for path in plain.iterdir():
        folder = root / (tokenizer if path.name in files else model)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    (root / "MLmodel").write_text("flavors: {}\n")
    return root


@pytest.mark.parametrize(
    ("model", "tokenizer"),
    [
        ("data/model", "components/tokenizer"),
        ("mlflow_model_folder/data/model", "mlflow_model_folder/components/tokenizer"),
        ("data/model", "data/tokenizer"),
    ],
)
def test_an_mlflow_layout_loads_as_the_same_student(plain, tmp_path, model, tokenizer):
    folder = mlflow_layout(plain, tmp_path / "m", model, tokenizer)
    (folder / model).parent.joinpath("config").mkdir()
    shutil.copy(plain / "config.json", (folder / model).parent / "config")
    assert (model_folder(folder), tokenizer_folder(folder)) == (folder / model, folder / tokenizer)
    from_plain, from_mlflow = load_student(plain), load_student(folder)
    assert from_plain.tokenizer.get_vocab() == from_mlflow.tokenizer.get_vocab()
    assert type(from_plain.tokenizer) is type(from_mlflow.tokenizer)
    assert all(map(torch.equal, from_plain.model.state_dict().values(), from_mlflow.model.state_dict().values()))


def test_a_checkpoint_inside_the_folder_is_not_loaded(plain, tmp_path):
    folder = shutil.copytree(plain, tmp_path / "m")
    shutil.copytree(plain, folder / "checkpoint-1")
    assert model_folder(folder) == tokenizer_folder(folder) == folder


def test_a_folder_without_weights_has_an_architecture(tmp_path):
    folder = tiny.write(tmp_path, weights=False)
    assert (model_folder(folder), weight_files(folder)) == (folder, [])


@pytest.mark.parametrize("missing", ["config.json", "tokenizer_config.json"])
def test_a_missing_file_is_named(plain, tmp_path, missing):
    folder = shutil.copytree(plain, tmp_path / "m")
    (folder / missing).unlink()
    with pytest.raises(DataError, match=f"no {missing}"):
        load_student(folder)


def test_a_fingerprint_depends_on_the_files_that_are_loaded(plain, tmp_path):
    folder = shutil.copytree(plain, tmp_path / "m")
    (folder / "README.md").write_text("x")
    assert fingerprint(folder) == fingerprint(plain)
    tiny.model("qwen2", seed=1).save_pretrained(folder)
    assert fingerprint(folder) != fingerprint(plain)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_text("a"),
        lambda path: torch.save(torch.zeros(1), path),
        lambda path: save_file({"a": torch.zeros(1)}, path),
    ],
    ids=["python", "torch", "safetensors"],
)
def test_an_error_while_saving_is_one_line(tmp_path, write):
    missing = tmp_path / "missing"
    with pytest.raises(AzdistillError) as error, saving(missing, "the student"):
        write(missing / "file")
    assert str(error.value).startswith(f"the student can't be written to '{missing}' (")
    assert "\n" not in str(error.value)


def test_a_bug_while_saving_passes_through(tmp_path):
    with pytest.raises(KeyError), saving(tmp_path, "the student"):
        {}["a"]


@pytest.fixture
def adapter(plain, tmp_path):
    """An adapter as peft saves it, with weights that change the answers, next to a copy of its base model."""
    base = load_student(shutil.copytree(plain, tmp_path / "base")).model
    with warnings.catch_warnings(category=FutureWarning, action="ignore"):  # peft reads a deprecated property
        model = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    model.peft_config["default"].base_model_name_or_path = str(tmp_path / "base")
    model.save_pretrained(tmp_path / "adapter")
    return model, tmp_path / "adapter"


def test_an_adapter_is_loaded_with_its_base_model(adapter, plain):
    model, folder = adapter
    ids, base = torch.arange(20, 40)[None], load_student(plain)
    loaded = load_student(folder)
    with torch.no_grad():
        expected = model(input_ids=ids).logits
        assert torch.allclose(loaded.model(input_ids=ids).logits, expected, atol=1e-5)
        assert not torch.allclose(base.model(input_ids=ids).logits, expected, atol=1e-2)
    assert type(loaded.model) is type(base.model)
    assert loaded.tokenizer.get_vocab() == base.tokenizer.get_vocab()
    sizes = [path.stat().st_size for path in (folder / "adapter_model.safetensors", plain / "model.safetensors")]
    assert weight_file_bytes(folder) == sum(sizes)
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
    tiny.tokenizer("{% for m in messages %}{{ m.content }}{% endfor %}").save_pretrained(folder)
    assert "im_start" not in load_tokenizer(folder).chat_template


def test_the_fingerprint_of_an_adapter_depends_on_its_base_model(adapter):
    _, folder = adapter
    before = fingerprint(folder)
    (folder.parent / "base" / "generation_config.json").write_text("{}")
    assert fingerprint(folder) != before


def test_an_adapter_without_its_base_model_or_its_weights_is_rejected(adapter):
    _, folder = adapter
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(DataError) as raised:
        load_student(folder)
    assert [problem.code for problem in raised.value.problems] == ["no_weights"]
    shutil.rmtree(folder.parent / "base")
    with pytest.raises(DataError) as raised:
        load_student(folder)
    assert [problem.code for problem in raised.value.problems] == ["adapter"]
