"""Section white_box: inputs of step train, GPU memory, and jobs that cannot have it."""

import json
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.errors import SpecError
from azdistill.job.advice import advice
from azdistill.job.bundle import compile_job, pipeline_document
from azdistill.job.memory import training_of
from azdistill.job.model import DistillationJob
from azdistill.job.plan import plan
from azdistill.job.student_folder import student_problems
from azdistill.job.training_settings import choose_settings

TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"
SEVEN_B = {"parameters": 7, "address": "azureml:qwen:1"}


def job(white_box: Any = ({"model": "azureml:qwen:1"},), data: str = "rows.jsonl", **fields: Any) -> DistillationJob:
    train = {"losses": {"text": 0.5, "logits": 0.5}} | fields.pop("train", {})
    return DistillationJob.model_validate(
        {
            "task": "conversation",
            "data": {"training_data": data, "test_data": data},
            "teacher": {"teachers": [{"model": "deepseek-v3", "connection": "deepseek"}]},
            "student": {"model": "phi-4-mini"},
            "white_box": list(white_box),
            "train": train,
            **fields,
        }
    )


def test_only_train_reads_the_models_and_their_weights() -> None:
    teachers = [{"model": "azureml:qwen:1", "type": "mlflow_model"}, {"model": "phi-4-mini", "weight": 0.5}]
    text = pipeline_document(plan(job((), train={"losses": None})))
    with_models = pipeline_document(plan(job(teachers)))
    changed = {
        (node, name): value
        for node, content in with_models["jobs"].items()
        for name, value in content["inputs"].items()
        if text["jobs"][node]["inputs"].get(name) != value
    }
    assert {name: value for name, value in changed.items() if name[1] not in ("method", "gradient_checkpointing")} == {
        ("train", "white_box_1"): "${{parent.inputs.white_box_1}}",
        ("train", "white_box_2"): "${{parent.inputs.white_box_2}}",
        ("train", "white_box_weights"): "1,0.5",
        ("train", "losses"): "${{parent.inputs.losses}}",
    }
    assert with_models["inputs"]["white_box_1"] == {
        "type": "mlflow_model",
        "path": "azureml:qwen:1",
        "mode": "download",
    }
    assert with_models["inputs"]["white_box_2"]["path"].startswith("azureml://registries/azureml/models/Phi-4-mini")


def test_a_local_folder_is_in_the_bundle(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a"}\n')
    (tmp_path / "qwen").mkdir()
    (tmp_path / "qwen" / "config.json").write_text("{}")
    compile_job(job([{"model": str(tmp_path / "qwen")}], str(tmp_path / "rows.jsonl")), tmp_path / "bundle")
    assert (tmp_path / "bundle" / "inputs" / "white_box_1" / "config.json").read_text() == "{}"


def needed_gb(of: DistillationJob, **settings: Any) -> float:
    training = training_of(of)
    assert training
    memory = training.with_settings(**settings).memory()
    assert memory
    return memory.total_gb


def test_the_memory_of_a_teacher_is_counted() -> None:
    alone = needed_gb(job((), train={"losses": None}))
    together = job([{"model": "qwen"}], catalog={"students": {"qwen": SEVEN_B}})
    assert needed_gb(together) - alone == pytest.approx(7 * 2 + 1)
    assert needed_gb(together, teacher_quantization="4bit") - alone == pytest.approx(7 * 0.7 + 1)


def test_a_teacher_that_takes_the_memory_changes_the_method_that_is_chosen() -> None:
    facts = {"catalog": {"students": {"large": {"parameters": 20, "address": "azureml:large:1"}}}}
    alone, together = job((), train={"losses": None}), job([{"model": "large"}], **facts)
    assert choose_settings(alone).config.method == "full"
    assert choose_settings(together).config.method != "full"


def test_a_teacher_of_unknown_size_is_named() -> None:
    problems = [problem for problem in advice(job()) if problem.code == "unknown_size"]
    assert [problem.field for problem in problems] == [("white_box", 0, "model")]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"white_box": ()}, ("missing_teacher", ("train", "losses", "logits"), 0.5)),
        ({"train": {"losses": None}}, ("unused_teacher", ("white_box",), None)),
        ({"white_box": [{"model": "azureml:qwen"}]}, ("missing_version", ("white_box", 0, "model"), "azureml:qwen")),
        ({"white_box": [{"model": "azureml:q:1"}] * 4}, ("wrong_length", ("white_box",), None)),
        ({"train": {"sharding": "fsdp"}}, ("incompatible_fields", ("train",), None)),
        ({"train": {"losses": {"attention": 1}}}, ("incompatible_fields", ("train",), None)),
        ({"train": {"layer_map": "1-4"}}, ("wrong_format", ("train", "layer_map"), "1-4")),
        ({"train": {"white_box_weights": "2"}}, ("shared_field", ("train", "white_box_weights"), "2")),
    ],
)
def test_jobs_that_cannot_have_a_white_box_teacher(fields: dict[str, Any], problem: Any) -> None:
    with pytest.raises(SpecError) as caught:
        job(**fields)
    assert [(found.code, found.field, found.value) for found in caught.value.problems] == [problem]


def tokenizer(vocabulary: Any, added: dict[str, int] | None = None, merges: Any = None) -> str:
    tokens = [{"id": index, "content": token, "special": True} for token, index in (added or {}).items()]
    return json.dumps({"model": {"vocab": vocabulary, "merges": merges}, "added_tokens": tokens})


BPE = tokenizer({"a": 0, "b": 1, "c": 2}, {"<end>": 3}, [["a", "b"], ["b", "c"]])


@pytest.mark.parametrize(
    ("teacher", "config", "difference"),
    [
        (BPE, {}, None),
        (tokenizer([["a", 0.0], ["b", -1.0], ["c", -2.0]], {"<end>": 3, "<tool>": 4}), {}, None),
        (tokenizer({"a": 0, "c": 1, "b": 2}, {"<end>": 3}), {}, "token 1 is 'c', and 'b' for the student"),
        (tokenizer([["a", 0.0], ["b", -1.0], ["d", -2.0]]), {}, "token 2 is 'd', and 'c' for the student"),
        (tokenizer({"a": 0, "b": 1, "c": 2}, {"<stop>": 3}), {}, "token 3 is '<stop>', and '<end>' for the student"),
        (tokenizer({"a": 0, "b": 1, "c": 2}), {"3": {"content": "<eot>"}}, "token 3 is '<eot>', and '<end>' for the"),
        (tokenizer({"a": 0}, None, ["b c", "a b"]), {}, None),
        (tokenizer({"a": 0}, None, ["a b", "b c", "c a"]), {}, "only that of the teacher merges 'c a' to one token"),
        (tokenizer({"a": 0}, None, [["a", "b"]]), {}, "only that of the student merges 'b c' to one token"),
        # Nothing is known of these.
        (tokenizer({"a": 0, "x": 1}), {"1": {"content": "b"}}, None),
        (tokenizer({"x": 0}), [], None),
        ('{"model": {}}', {}, None),
        ("{", {}, None),
        (None, {}, None),
    ],
)
def test_another_tokenizer_is_seen_before_the_teacher_is_paid(
    tmp_path: Path, teacher: str | None, config: Any, difference: str | None
) -> None:
    for name, content, added in (("student", BPE, {}), ("teacher", teacher, config)):
        (folder := tmp_path / name).mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").touch()
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"chat_template": TEMPLATE, "added_tokens_decoder": added})
        )
        if content is not None:
            (folder / "tokenizer.json").write_text(content)
    made = job([{"model": str(tmp_path / "teacher")}], student={"model": str(tmp_path / "student")})
    problems = [problem for problem in student_problems(made) if problem.code == "other_tokenizer"]
    assert [problem.field for problem in problems] == [("white_box", 0, "model")] * (difference is not None)
    assert all(str(difference) in problem.message for problem in problems)


def test_folders_are_checked_before_the_teacher_is_paid(tmp_path: Path) -> None:
    def model(name: str, layers: int) -> str:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"num_hidden_layers": layers}))
        (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": TEMPLATE}))
        (folder / "model.safetensors").touch()
        return str(folder)

    (tmp_path / "empty").mkdir()
    teachers = [{"model": model("teacher", 4)}, {"model": str(tmp_path / "empty")}]
    train = {"losses": {"hidden_states": 1}, "layer_map": "1:2,2:5"}
    made = job(teachers, student={"model": model("student", 2)}, train=train)
    assert [(problem.code, problem.field) for problem in student_problems(made)] == [
        ("missing_file", ("white_box", 1, "model")),
        ("missing_file", ("white_box", 1, "model")),
        ("unknown_layer", ("train", "layer_map")),
    ]
