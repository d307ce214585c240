"""Training prompts that leave no room for an answer, counted with the tokenizer of the student's folder."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from azdistill.doctor.data import check_files
from azdistill.job.model import DistillationJob


def tokenizer(folder: Path) -> None:
    """A token a word."""
    folder.mkdir(parents=True)
    words = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.save(str(folder / "tokenizer.json"))


def warnings(folder: Path, **train: int) -> list[str]:
    job = DistillationJob(
        task="conversation",
        data={"training_data": str(folder / "rows.jsonl")},
        teacher={"teachers": [{"model": "m", "endpoint": "http://127.0.0.1:9"}]},
        student={"model": str(folder / "student")},
        train={"max_length": 100, **train},
    )
    return [str(problem) for file in check_files(job) for problem in file.problems]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Prompts of 10 to 105 words, with answers of one word."""
    rows = [{"prompt": f"{'word ' * count}?", "completion": "Yes."} for count in range(9, 105, 5)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_prompts_without_room_for_an_answer_are_counted(folder: Path) -> None:
    tokenizer(folder / "student" / "components" / "tokenizer")
    (warning,) = warnings(folder)
    assert "train.max_length=100: 5 of the first 20 training prompts leave fewer than 16 of 100 tokens" in warning
    assert "(the longest has 105)" in warning
    assert not warnings(folder, max_length=121)
    (folder / "student" / "config.json").write_text('{"max_position_embeddings": 101}')
    (warning,) = warnings(folder, max_length=2048)
    assert "4 of the first 20 training prompts leave fewer than 16 of 101 tokens" in warning


def test_without_a_tokenizer_nothing_is_counted(folder: Path) -> None:
    assert not warnings(folder)
    tokenizer(folder / "student")
    (folder / "student" / "tokenizer.json").write_text("{")
    assert not warnings(folder)


def test_rows_that_are_too_long_for_any_tokenizer_have_one_warning_of_their_own(folder: Path) -> None:
    tokenizer(folder / "student")
    assert not warnings(folder, max_length=16)
