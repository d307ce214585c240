"""A student's folder is checked by its files, before a teacher is paid."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES
from transformers.utils.chat_template_utils import _compile_jinja_template as compile_template

from azdistill.job.model import DistillationJob
from azdistill.job.student_folder import ENCODERS, check_student, student_problems
from azdistill.job.template_rendering import StudentTemplate
from tests.students.families import TEMPLATES

COMPLETE: dict[str, Any] = {
    "config.json": {"architectures": ["LlamaForCausalLM"]},
    "tokenizer_config.json": {"chat_template": "{{ messages }}"},
    "model.safetensors": "",
}
NO_TEMPLATE = {"tokenizer_config.json": {}}


def job_of(
    folder: Path, files: dict[str, Any], student: dict[str, Any] | None = None, **fields: Any
) -> DistillationJob:
    """A job whose student has these files."""
    for name, content in files.items():
        path = folder / "student" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return DistillationJob(
        task="conversation",
        data={"training_data": str(folder / "rows.jsonl")},
        teacher={"teachers": [{"model": "m", "endpoint": "http://127.0.0.1:9"}]},
        student={"model": str(folder / "student"), **(student or {})},
        **fields,
    )


def problems(folder: Path, files: dict[str, Any], **student: Any) -> list[str]:
    problems = list(student_problems(job_of(folder, files, student)))
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
        ({"model-Q4_K_M.gguf": "GGUF", "README.md": "x"}, ["gguf"]),
        ({**COMPLETE, "model-Q4_K_M.gguf": "GGUF"}, []),
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
        ({**COMPLETE, "config.json": {"architectures": ["BertModel"], "model_type": "bert"}}, ["not_causal"]),
        ({**COMPLETE, "config.json": {"model_type": "bert", "is_decoder": True}}, []),
        ({**COMPLETE, "chat_template.jinja": "{{ raise_exception('no') }}"}, ["invalid_template"]),
        ({**COMPLETE, "chat_template.jinja": "{{ messages[0].content + 1 }}"}, ["invalid_template"]),
        ({**COMPLETE, "chat_template.jinja": "{{ bos_token + messages[0].content }}"}, ["invalid_template"]),
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


def test_the_encoders_are_those_of_transformers() -> None:
    assert set(ENCODERS) <= set(MODEL_FOR_MASKED_LM_MAPPING_NAMES)


def test_settings_of_the_student_replace_files(tmp_path: Path) -> None:
    files = {"config.json": {}, "tokenizer_config.json": {}}
    assert problems(tmp_path, files, weights="random", chat_template="chatml") == []


ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}"
HOSTILE_TEMPLATES = [
    ENDLESS,
    "{{ 9 ** 9 ** 9 }}",
    "{% set a = 'x' * 99999 %}{{ a * 99999 }}",
    "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    f"{{{{ {'(' * 20_000}1{')' * 20_000} }}}}",
    "{{ 1 }}" * 25_000,
]


@pytest.mark.parametrize("template", HOSTILE_TEMPLATES, ids=range(len(HOSTILE_TEMPLATES)))
def test_a_template_that_loops_or_needs_much_memory_is_invalid(tmp_path: Path, template: str) -> None:
    started = time.process_time()
    assert problems(tmp_path, {**COMPLETE, "chat_template.jinja": template}) == ["invalid_template"]
    assert time.process_time() - started < 5  # without the limits: hours


@pytest.mark.parametrize(
    "content",
    ["[" * 100_000, f'{{"max_position_embeddings": {"9" * 5000}}}', '{"architectures": [[]], "model_type": {}}', "\0"],
)
def test_a_file_of_the_student_with_any_content_is_no_crash(tmp_path: Path, content: str) -> None:
    for name in ("config.json", "tokenizer_config.json"):
        problems(tmp_path, {**COMPLETE, name: content})


@pytest.mark.parametrize("content", [b"{% for m in messages %}", b"\xff\xfe"])
def test_a_chosen_template_is_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "own.jinja").write_bytes(content)
    assert problems(tmp_path, COMPLETE, chat_template=str(tmp_path / "own.jinja")) == ["invalid_template"]


def rows(folder: Path, *conversations: str) -> None:
    """Write conversations to rows.jsonl. Each is the first letters of its roles."""
    roles = {"s": "system", "u": "user", "a": "assistant"}
    lines = [json.dumps({"messages": [{"role": roles[r], "content": "x" * 600} for r in row]}) for row in conversations]
    (folder / "rows.jsonl").write_text("no JSON\n" + "\n".join(lines) + "\n")


ONE_QUESTION = "{% if messages | length > 2 %}{{ raise_exception('one question only') }}{% endif %}{{ messages }}"
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}{{ messages }}"


@pytest.mark.parametrize(
    ("template", "conversations", "line"),
    [
        (ONE_QUESTION, ("u", "ua", "uau"), 4),
        (ONE_QUESTION, ("u", "ua", "uua", "a", "uss"), None),  # step prepare rejects the last ones
        (NO_SYSTEM, ("su", "suau"), None),  # merged into the question, as in training
        ("{{ messages }}", ("su", "suau"), None),
    ],
)
def test_rows_that_the_template_rejects(
    tmp_path: Path, template: str, conversations: tuple[str, ...], line: int | None
) -> None:
    rows(tmp_path, *conversations)
    problems = list(student_problems(job_of(tmp_path, {**COMPLETE, "chat_template.jinja": template})))
    assert [(problem.code, problem.field) for problem in problems] == (
        [("template_rejects_roles", ("student", "model"))] if line else []
    )
    assert all(f"rows.jsonl:{line} " in problem.message for problem in problems)


@pytest.mark.parametrize(
    ("positions", "max_length", "conversations", "field"),
    [
        (8192, 2048, ("ua", "uaua"), None),
        (8192, 450, ("ua", "uaua"), None),  # one hundred tokens a turn
        (8192, 450, ("uauau", "uaua"), ("train", "max_length")),
        (450, 2048, ("uauau", "uaua"), ("student", "model")),
        (None, 2048, ("uauau", "uaua"), None),
    ],
)
def test_rows_that_are_longer_than_the_context(
    tmp_path: Path, positions: int | None, max_length: int, conversations: tuple[str, ...], field: Any
) -> None:
    rows(tmp_path, *conversations)
    config = {"architectures": ["LlamaForCausalLM"], "max_position_embeddings": positions}
    job = job_of(tmp_path, {**COMPLETE, "config.json": config}, train={"max_length": max_length})
    assert [(problem.code, problem.severity, problem.field) for problem in student_problems(job)] == (
        [("rows_too_long", "warning", field)] if field else []
    )
    check_student(job)


def test_random_weights_in_place_of_those_in_the_folder_are_a_warning(tmp_path: Path) -> None:
    job = job_of(tmp_path, COMPLETE, {"weights": "random"})
    (problem,) = student_problems(job)
    assert (problem.code, problem.severity, problem.field) == ("ignored_weights", "warning", ("student", "weights"))
    (tmp_path / "student" / "model.safetensors").unlink()
    assert not list(student_problems(job))


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("*.jinja")), ids=lambda path: path.stem)
def test_public_templates_are_rendered_as_transformers_renders_them(template: Path) -> None:
    text, tokens = template.read_text(), {"bos_token": "<s>", "eos_token": "</s>"}
    turns = [
        {"role": "user", "content": "Q <é>"},
        {"role": "assistant", "content": "A"},
        {"role": "user", "content": "R"},
    ]
    rendered = StudentTemplate(text, tokens)
    assert (rendered.error(), rendered.rejection(turns)) == ("", "")
    fixed_date = re.sub(r"strftime_now\([^)]*\)", "'26 Jul 2024'", text)
    expected = compile_template(fixed_date).render(messages=turns, add_generation_prompt=True, **tokens)
    assert StudentTemplate(fixed_date, tokens)._render(turns, add_generation_prompt=True) == expected


def test_a_student_that_is_a_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    (problem,) = student_problems(job_of(tmp_path, {}, {"model": str(tmp_path / "model.gguf")}))
    assert (problem.code, problem.message) == ("not_a_folder", "is a file")
    assert "*.safetensors" in problem.fix
