"""Plain folders and MLflow's layouts hold the same student."""

import shutil

import pytest
import torch
from safetensors.torch import save_file

from azdistill.contracts.errors import AzdistillError, DataError
from azdistill.students.folders import fingerprint, model_part, tokenizer_part, weight_files
from azdistill.students.loading import load_student
from azdistill.students.problems import writing
from tests.students import tiny

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("plain"), "qwen2")


def mlflow(plain, root, model="data/model", tokenizer="components/tokenizer"):
    """The student as `mlflow.transformers` lays it out."""
    for path in plain.iterdir():
        part = root / (tokenizer if path.name in TOKENIZER else model)
        part.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, part)
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
def test_an_mlflow_layout_is_the_same_student(plain, tmp_path, model, tokenizer):
    folder = mlflow(plain, tmp_path / "m", model, tokenizer)
    (folder / model).parent.joinpath("config").mkdir()
    shutil.copy(plain / "config.json", (folder / model).parent / "config")
    assert (model_part(folder), tokenizer_part(folder)) == (folder / model, folder / tokenizer)
    first, second = load_student(plain), load_student(folder)
    assert first.tokenizer.get_vocab() == second.tokenizer.get_vocab()
    assert all(map(torch.equal, first.model.state_dict().values(), second.model.state_dict().values()))


def test_a_checkpoint_below_the_student_is_not_the_student(plain, tmp_path):
    folder = shutil.copytree(plain, tmp_path / "m")
    shutil.copytree(plain, folder / "checkpoint-1")
    assert model_part(folder) == tokenizer_part(folder) == folder


def test_without_weights_the_architecture_is_found(tmp_path):
    folder = tiny.write(tmp_path, weights=False)
    assert (model_part(folder), weight_files(folder)) == (folder, [])


@pytest.mark.parametrize("absent", ["config.json", "tokenizer_config.json"])
def test_what_is_absent_is_named(plain, tmp_path, absent):
    folder = shutil.copytree(plain, tmp_path / "m")
    (folder / absent).unlink()
    with pytest.raises(DataError, match=f"no {absent}"):
        load_student(folder)


def test_a_fingerprint_is_of_what_is_loaded(plain, tmp_path):
    folder = shutil.copytree(plain, tmp_path / "m")
    (folder / "README.md").write_text("x")
    assert fingerprint(folder) == fingerprint(plain)
    tiny.model("qwen2", seed=1).save_pretrained(folder)
    assert fingerprint(folder) != fingerprint(plain)


@pytest.mark.parametrize(
    "way",
    [
        lambda path: path.write_text("a"),
        lambda path: torch.save(torch.zeros(1), path),
        lambda path: save_file({"a": torch.zeros(1)}, path),
    ],
    ids=["python", "torch", "safetensors"],
)
def test_what_cannot_be_written_is_one_line(tmp_path, way):
    nowhere = tmp_path / "nowhere"
    with pytest.raises(AzdistillError) as found, writing(nowhere, "the student"):
        way(nowhere / "file")
    assert str(found.value).startswith(f"the student can't be written to '{nowhere}' (")
    assert "\n" not in str(found.value)


def test_a_bug_while_writing_stays_a_bug(tmp_path):
    with pytest.raises(KeyError), writing(tmp_path, "the student"):
        {}["a"]
