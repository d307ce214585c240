"""A student's folder is checked by its files, before a teacher is paid."""

import json
from pathlib import Path
from typing import Any

import pytest

from azdistill.job.model import DistillationJob
from azdistill.job.student_folder import student_problems

COMPLETE: dict[str, Any] = {
    "config.json": {"architectures": ["LlamaForCausalLM"]},
    "tokenizer_config.json": {"chat_template": "{{ messages }}"},
    "model.safetensors": "",
}
NO_TEMPLATE = {"tokenizer_config.json": {}}


def problems(folder: Path, files: dict[str, Any], **student: Any) -> list[str]:
    for name, content in files.items():
        path = folder / "student" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    job = DistillationJob(
        task="conversation",
        data={"training_data": "rows.jsonl"},
        teacher={"teachers": [{"model": "m", "endpoint": "http://127.0.0.1:9"}]},
        student={"model": str(folder / "student"), **student},
    )
    problems = list(student_problems(job))
    field = ("student", "chat_template" if "chat_template" in student else "model")
    assert {(problem.field, problem.severity) for problem in problems} <= {(field, "error")}
    assert all(problem.fix for problem in problems)
    return [problem.code for problem in problems]


@pytest.mark.parametrize(
    ("files", "codes"),
    [
        (COMPLETE, []),
        ({"README.md": "empty"}, ["missing_file", "missing_file"]),
        ({"adapter_config.json": {}, "adapter_model.safetensors": ""}, ["adapter"]),
        ({**COMPLETE, "adapter_config.json": {}}, ["adapter"]),
        ({**COMPLETE, "adapter/adapter_config.json": {}}, []),
        ({**COMPLETE, "config.json": {"quantization_config": {"quant_method": "gptq"}}}, ["quantized_student"]),
        ({**COMPLETE, **NO_TEMPLATE}, ["no_chat_template"]),
        ({**COMPLETE, **NO_TEMPLATE, "chat_template.jinja": "{{ messages }}"}, []),
        ({**COMPLETE, "chat_template.jinja": "{% generation %}{{ messages }}{% endgeneration %}"}, []),
        ({**COMPLETE, "chat_template.jinja": "{% for m in messages %}"}, ["invalid_template"]),
        ({**COMPLETE, "tokenizer_config.json": {"chat_template": "{{ messages"}}, ["invalid_template"]),
        ({"config.json": {}, "tokenizer_config.json": {}, "pytorch_model.bin": ""}, ["no_weights", "no_chat_template"]),
        ({**COMPLETE, "config.json": {"architectures": ["BertForMaskedLM"]}}, ["not_causal"]),
        ({**COMPLETE, "config.json": {"is_encoder_decoder": True}}, ["not_causal"]),
        ({**COMPLETE, "config.json": "{"}, []),
        (
            {
                "data/model/config.json": {},
                "data/model/model.safetensors": "",
                "components/tokenizer/tokenizer_config.json": {"chat_template": "{{ messages }}"},
            },
            [],
        ),
    ],
)
def test_each_missing_file_is_a_problem_of_the_student(tmp_path: Path, files: dict[str, Any], codes: list[str]) -> None:
    assert problems(tmp_path, files) == codes


def test_settings_of_the_student_replace_files(tmp_path: Path) -> None:
    files = {"config.json": {}, "tokenizer_config.json": {}}
    assert problems(tmp_path, files, weights="random", chat_template="chatml") == []


@pytest.mark.parametrize("content", [b"{% for m in messages %}", b"\xff\xfe"])
def test_a_chosen_template_is_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "own.jinja").write_bytes(content)
    assert problems(tmp_path, COMPLETE, chat_template=str(tmp_path / "own.jinja")) == ["invalid_template"]
