"""The model catalog: names of the tutorials, catalogs of jobs, and unknown names."""

from datetime import date
from urllib.parse import urlparse

import pytest

from azdistill.contracts.errors import SpecError
from azdistill.engine.pipeline.vm_sizes import RECOMMENDED, vm_size
from azdistill.job.catalog import Catalog, built_in
from azdistill.job.model import DistillationJob

NAMED_TEACHERS = [
    ("deepseek-v3", "DeepSeek-V3.2"),
    ("DeepSeek-V3", "DeepSeek-V3.2"),
    ("DeepSeek-V3.2", "DeepSeek-V3.2"),
    ("deepseek-v3-0324", "DeepSeek-V3-0324"),
    ("deepseek-r1", "DeepSeek-R1"),
    ("deepseek-v4-pro", "DeepSeek-V4-Pro"),
    ("llama-3.1-405b", "Meta-Llama-3.1-405B-Instruct"),
    ("Meta-Llama-3.1-405B-Instruct", "Meta-Llama-3.1-405B-Instruct"),
    ("llama-3.3-70b", "Llama-3.3-70B-Instruct"),
    ("llama-4-maverick", "Llama-4-Maverick-17B-128E-Instruct-FP8"),
    ("gpt-oss-120b", "gpt-oss-120b"),
    ("gpt-4", "gpt-4"),
    ("gpt-4o", "gpt-4o"),
    ("gpt-4.1", "gpt-4.1"),
    ("claude-sonnet-4-5", "claude-sonnet-4-5"),
    ("claude-opus-5", "claude-opus-5"),
]

AZURE, META = "azureml://registries/azureml/models/", "azureml://registries/azureml-meta/models/"

NAMED_STUDENTS = [
    ("phi-4-mini", f"{AZURE}Phi-4-mini-instruct/versions/1"),
    ("Phi-4-mini-instruct", f"{AZURE}Phi-4-mini-instruct/versions/1"),
    ("phi-4", f"{AZURE}Phi-4/versions/7"),
    ("phi-3-mini", f"{AZURE}Phi-3-mini-4k-instruct/versions/14"),
    ("phi-3.5-mini", f"{AZURE}Phi-3.5-mini-instruct/versions/4"),
    ("llama-3.1-8b", f"{META}Meta-Llama-3.1-8B-Instruct/versions/1"),
    ("llama-3.2-1b", f"{META}Llama-3.2-1B-Instruct/versions/1"),
    ("llama-3.2-3b", f"{META}Llama-3.2-3B-Instruct/versions/1"),
    ("qwen3-0.6b", "azureml://registries/HuggingFace/models/qwen-qwen3-0.6b/versions/3"),
    ("qwen2.5-1.5b", "qwen2.5-1.5b"),
    ("gemma-3-1b", "gemma-3-1b"),
    ("smollm2-135m", "smollm2-135m"),
    ("./phi-4-mini", "./phi-4-mini"),
    ("azureml:mine:3", "azureml:mine:3"),
]


def job(teacher: str = "deepseek-v3", student: str = "phi-4-mini", **fields: object) -> DistillationJob:
    short = {"task_type": "qa", "training_data": "rows.jsonl", "teacher_model": teacher, "student_model": student}
    return DistillationJob.model_validate(short | fields)


@pytest.mark.parametrize(("written", "deployment"), NAMED_TEACHERS)
def test_a_teacher_of_the_tutorials_is_its_deployment(written: str, deployment: str) -> None:
    teacher = job(teacher=written).teacher.teachers[0]
    assert teacher.model == deployment
    assert built_in().teacher(teacher.model)


@pytest.mark.parametrize(("written", "address"), NAMED_STUDENTS)
def test_a_student_of_the_tutorials_is_its_address(written: str, address: str) -> None:
    assert job(student=written).student.model == address


@pytest.mark.parametrize(
    "model",
    [
        "azureml://registries/azureml/models/Phi-4-mini-instruct/versions/9",
        "/models/phi-4-mini",
        "./Phi-4-mini-instruct/",
        "PHI-4-MINI",
    ],
)
def test_a_student_is_known_by_address_and_by_the_name_of_its_folder(model: str) -> None:
    facts = built_in().student(model)
    assert facts
    assert facts.name == "Phi-4-mini-instruct"


def test_unknown_models_are_used_unchanged() -> None:
    parsed = job(teacher="my-deployment", student="./house")
    assert (parsed.teacher.teachers[0].model, parsed.student.model) == ("my-deployment", "./house")
    assert parsed.known.teacher("my-deployment") is parsed.known.student("./house") is None


@pytest.mark.parametrize("name", ["o1", "_", "x" * 60, "a/b c"])
def test_any_name_of_a_teacher_makes_a_connection(name: str) -> None:
    assert 3 <= len(job(teacher=name).teacher.teachers[0].connection or "") <= 33


def test_a_catalog_of_a_job_adds_a_model() -> None:
    facts = {"address": "azureml:house:3", "parameters": 2, "licence": "mit", "context": 4096}
    parsed = job(student="house", catalog={"students": {"house": facts}})
    assert parsed.student.model == "azureml:house:3"
    known = parsed.known.student(parsed.student.model)
    assert known
    assert (known.parameters, parsed.known.student_name("models/House/")) == (2, "house")


def test_a_catalog_of_a_job_overrides_single_fields() -> None:
    changed = {"teachers": {"DeepSeek-V3": {"lifecycle": "legacy", "retires": "2027-01-31"}}}
    facts = job(catalog=changed).known.teacher("deepseek-v3.2")
    assert facts
    assert (facts.name, facts.context, facts.retires) == ("DeepSeek-V3.2", 128_000, date(2027, 1, 31))
    untouched = built_in().teacher("deepseek-v3")
    assert untouched
    assert untouched.retires is None


def test_the_complete_form_names_the_deployment_itself() -> None:
    full = {"teachers": [{"model": "deepseek-v3", "connection": "mine"}]}
    parsed = DistillationJob.model_validate(
        {"task": "qa", "data": {"training_data": "r"}, "student": {"model": "s"}, "teacher": full}
    )
    assert parsed.teacher.teachers[0].model == "deepseek-v3"


def test_a_catalog_is_in_the_job_or_in_a_file(folder, check) -> None:
    text = "task_type: qa\nteacher_model: boss\nstudent_model: house\ntraining_data: rows.jsonl\ncatalog: facts.yaml\n"
    (folder / "facts.yaml").write_text("teachers: {boss: {parameters: 70}}\nstudents: {house: {address: ./student}}\n")
    parsed, _ = check(text)
    assert parsed
    assert parsed.student.model == str(folder / "student")
    assert parsed.known.teacher("boss").parameters == 70


def test_what_is_wrong_in_a_catalog_file_names_its_line(folder, check) -> None:
    text = (
        "task_type: qa\nteacher_model: boss\nstudent_model: ./student\ntraining_data: rows.jsonl\ncatalog: facts.yaml\n"
    )
    (folder / "facts.yaml").write_text("teachers:\n  boss:\n    parametres: 70\n    retires: soon\n")
    assert check(text) == (
        None,
        [
            "facts.yaml:3 unknown_field: teachers.boss.parametres: unknown field; did you mean parameters?",
            "facts.yaml:4 wrong_type: teachers.boss.retires='soon': must be a date such as 2026-09-02",
        ],
    )


def test_the_catalog_changes_no_section_so_no_hash() -> None:
    plain = job()
    changed = job(licences_acknowledged=["llama4"], catalog={"teachers": {"deepseek-v3": {"context": 1000}}})
    sections = ("data", "prepare", "teacher", "curate", "train", "predict", "evaluate")
    assert all(getattr(plain, name) == getattr(changed, name) for name in sections)


def test_recommended_vm_sizes_are_in_the_order_of_the_memory_of_a_gpu() -> None:
    sizes = [vm_size(name) for name in RECOMMENDED]
    memory = [size.gpu_memory_gb for size in sizes if size]
    assert len(memory) == len(RECOMMENDED)
    assert memory == sorted(memory)


@pytest.mark.parametrize("kind", ["teachers", "students"])
def test_the_facts_are_consistent(kind: str) -> None:
    for name, facts in getattr(built_in(), kind).items():
        assert name == name.casefold()
        assert facts.licence or facts.route == "foundry", name
        assert not facts.registry or urlparse(facts.registry).scheme == "azureml"
        assert (facts.lifecycle == "retired") == bool(facts.retires and facts.retires <= built_in().as_of), name
        assert not facts.replacement or facts.is_outdated(built_in().as_of), name


def test_a_model_has_a_duty_exactly_when_its_licence_is_not_permissive() -> None:
    models = [*built_in().teachers.values(), *built_in().students.values()]
    free = {"mit", "apache-2.0", None}
    assert all((facts.duty is None) == (facts.licence in free) for facts in models)


def test_an_invalid_catalog_is_rejected_in_python_too() -> None:
    with pytest.raises(SpecError, match=r"^catalog\.students\.house\.context=0: must be at least 1$"):
        job(catalog={"students": {"house": {"context": 0}}})
    assert job(catalog=Catalog()).catalog == Catalog()
