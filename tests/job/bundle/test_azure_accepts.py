"""The real SDK reads the bundles that are written, and the components of the repository."""

from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import load_component, load_job
from azure.ai.ml._utils._asset_utils import get_object_hash

from azdistill.contracts.augment import AugmentSettings
from azdistill.contracts.gpus import REQUIRED_GPUS
from azdistill.contracts.train import OnPolicy
from azdistill.engine.pipeline.checks import pipeline_problems, validate_file
from azdistill.engine.pipeline.loading import load_pipeline
from azdistill.job.bundle import compile_job
from azdistill.job.components import STEPS
from azdistill.job.judge_section import JudgeSection
from azdistill.job.loading import load_job as load_spec
from azdistill.job.regressions import RegressionSuite
from azdistill.job.scorer_section import ScorerSection
from azdistill.job.sections import ComputeSection, Identity
from tests.small_job import quickstart_job

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quickstart")
    return compile_job(load_spec(quickstart_job(folder / "job")), folder / "bundle").parent


def test_the_sdk_loads_and_validates_a_bundle(bundle: Path) -> None:
    job = load_job(bundle / "pipeline.yml")
    result = job._validate()
    assert result.passed, result
    assert not result.error_messages
    assert list(job.jobs) == [
        "prepare",
        "teacher",
        "curate",
        "train",
        "predict_student",
        "predict_baseline",
        "evaluate",
        "report",
        "register",
    ]


@pytest.mark.parametrize(
    ("scorer", "environment"),
    [({"teacher": {"model": "big", "connection": "big"}}, "gpu"), ({"model": "azureml:big:1"}, "vllm")],
)
def test_the_sdk_and_the_local_engine_accept_a_scorer(
    bundle: Path, tmp_path: Path, scorer: dict[str, Any], environment: str
) -> None:
    spec = load_spec(bundle.parent / "job/job.yaml")
    train = spec.train.model_copy(update={"on_policy": OnPolicy()})
    spec = spec.model_copy(update={"scorer": ScorerSection.model_validate(scorer), "train": train})
    path = compile_job(spec, tmp_path / "scored")
    job = load_job(path)
    assert job._validate().passed
    sent = job._to_rest_object().properties.jobs["train"]
    assert sent["outputs"]["store"]["mode"] == "ReadWriteMount"
    assert ("scorer_model" in sent["inputs"]) == (environment == "vllm")
    component = load_component(path.parent / "components/train/component.yml")
    assert component.command.startswith("python -m azdistill.steps.train_scored ")
    assert component.environment.conda_file["name"] == f"azdistill-{environment}"
    assert pipeline_problems(load_pipeline(path)) == validate_file(path) == []


@pytest.fixture(scope="module")
def judged(bundle: Path) -> Path:
    """The same bundle with a judge of answers and test rows, regression suites and new prompts."""
    labels = bundle.parent / "labels.jsonl"
    labels.write_text('{"id": "a", "answers": ["b", "c"], "preference": "tie"}\n')
    model = {"model": "gpt-5.1", "connection": "boss"}
    section = {"judge_model": model, "rubric": "Be (right); $HOME", "human_labels": str(labels)}
    spec = load_spec(bundle.parent / "job/job.yaml")
    suites = [{"name": "general", "data": str(labels)}, {"name": "unsafe", "data": "azureml:unsafe:1"}]
    regressions = tuple(map(RegressionSuite.model_validate, suites))
    data = spec.data.model_copy(update={"augment": AugmentSettings(new_prompts=200, budget=None)})
    judge = JudgeSection.model_validate(section)
    curate = spec.curate.model_copy(update={"min_judge_score": 3.5})
    spec = spec.model_copy(update={"judge": judge, "regressions": regressions, "data": data, "curate": curate})
    return compile_job(spec, bundle.parent / "judged").parent


def test_the_sdk_and_the_local_engine_accept_a_judge_suites_and_new_prompts(judged: Path) -> None:
    job = load_job(judged / "pipeline.yml")
    assert job._validate().passed
    sent = job._to_rest_object().properties.jobs
    assert sent["evaluate"]["inputs"]["judgements"]["value"] == "${{parent.jobs.judge.outputs.judgements}}"
    assert set(sent["judge"]["inputs"]) >= {"rubric", "human_labels", "judge_model"}
    for node in ("curate", "judge", "report", "register"):
        assert sent[node]["inputs"]["answer_scores"]["value"] == "${{parent.jobs.judge_answers.outputs.answer_scores}}"
    assert sent["curate"]["inputs"]["min_judge_score"]["value"] == "${{parent.inputs.min_judge_score}}"
    assert set(sent["regression"]["inputs"]) >= {"suite_1", "suite_2", "suites"}
    assert sent["teacher"]["inputs"]["prompts"]["value"] == "${{parent.jobs.augment.outputs.augmented}}"
    assert set(sent["augment"]["inputs"]) >= {"teachers", "new_prompts", "max_tokens"}
    for node in ("predict_student", "predict_baseline", "evaluate", "report"):
        assert sent[node]["inputs"]["regressions"]["value"] == "${{parent.jobs.regression.outputs.regressions}}"
    path = judged / "pipeline.yml"
    assert pipeline_problems(load_pipeline(path)) == validate_file(path) == []


@pytest.mark.parametrize(
    ("cpu", "resources"),
    [("serverless", {"instance_type": "Standard_E4s_v3"}), ("a-cluster", {})],
)
def test_a_teacher_step_of_several_machines(bundle: Path, tmp_path: Path, cpu: str, resources: dict[str, str]) -> None:
    spec = load_spec(bundle.parent / "job/job.yaml")
    spread = spec.model_copy(update={"compute": ComputeSection(cpu=cpu, teacher_instances=3)})
    path = compile_job(spread, tmp_path / "bundle")
    job = load_job(path)
    assert job._validate().passed
    node = job.jobs["teacher"]._to_dict()
    assert node["resources"] == {"instance_count": 3, **resources}
    assert node["distribution"] == {"type": "pytorch", "process_count_per_instance": 1}
    assert [name for name, node in job.jobs.items() if "distribution" in node._to_dict()] == ["teacher"]
    assert pipeline_problems(load_pipeline(path)) == validate_file(path) == []


@pytest.mark.parametrize(
    ("compute", "gpus"),
    [
        (ComputeSection(), "1"),
        (ComputeSection(gpu_instance_type="standard_nc96ads_a100_v4"), "4"),
        (ComputeSection(gpu_instance_type="Standard_NC128_new_v9"), "1"),
        (ComputeSection(gpu_instance_type="Standard_E4s_v3"), None),
        (ComputeSection(gpu="a-cluster", gpu_instance_type="Standard_NC96ads_A100_v4"), "1"),
        (ComputeSection(gpu="a-cluster", gpu_instance_type="Standard_E4s_v3"), None),
    ],
)
def test_train_and_predict_require_the_gpus_of_their_vm(
    bundle: Path, tmp_path: Path, compute: ComputeSection, gpus: str | None
) -> None:
    spec = load_spec(bundle.parent / "job/job.yaml")
    path = compile_job(spec.model_copy(update={"compute": compute}), tmp_path / "bundle")
    sent = load_job(path)._to_rest_object().properties.jobs
    required = {name: (node.get("environment_variables") or {}).get(REQUIRED_GPUS) for name, node in sent.items()}
    on_gpus = ("train", "predict_student", "predict_baseline")
    assert required == {name: gpus if name in on_gpus else None for name in required}
    assert {problem.code for problem in pipeline_problems(load_pipeline(path))} <= {"unknown_vm_size"}


CLIENT_ID = "44444444-4444-4444-4444-444444444444"


@pytest.mark.parametrize(
    ("identity", "sent", "node"),
    [
        (Identity(), {"identityType": "Managed"}, None),
        (Identity(client_id=CLIENT_ID), {"identityType": "Managed", "clientId": CLIENT_ID}, "managed_identity"),
        (Identity(type="user_identity"), {"identityType": "UserIdentity"}, "user_identity"),
    ],
)
def test_the_identity_of_a_job_reaches_the_pipeline_and_its_nodes(
    bundle: Path, tmp_path: Path, identity: Identity, sent: dict[str, str], node: str | None
) -> None:
    """The default is the pipeline's only. Otherwise each node has it, too."""
    spec = load_spec(bundle.parent / "job/job.yaml")
    compute = ComputeSection(cpu="a-cluster", gpu="b-cluster", identity=identity)
    path = compile_job(spec.model_copy(update={"compute": compute}), tmp_path / "bundle")
    job = load_job(path)
    assert job._validate().passed
    rest = job._to_rest_object().properties.identity.as_dict()
    assert {name: value for name, value in rest.items() if value is not None} == sent
    assert {job.jobs[name].identity and job.jobs[name].identity.type for name in job.jobs} == {node}
    assert pipeline_problems(load_pipeline(path)) == validate_file(path) == []


@pytest.mark.parametrize("step", STEPS)
def test_the_sdk_loads_each_component_of_the_repository(step: str) -> None:
    component = load_component(ROOT / "components" / step / "component.yml")
    assert component.name == f"azdistill_{step}"
    assert component._validate().passed


@pytest.mark.parametrize("step", STEPS)
def test_component_and_bundle_have_the_same_code_hash(step: str, judged: Path) -> None:
    """`additional_includes` narrowed by `.amlignore` uploads the very files that a bundle stages."""
    component = load_component(ROOT / "components" / step / "component.yml")
    with component._build_code() as code:
        assert get_object_hash(code.path, code._ignore_file) == get_object_hash(judged / "components" / step / "code")


@pytest.mark.parametrize("step", STEPS)
def test_types_and_bounds_survive_the_sdk(step: str) -> None:
    inputs = load_component(ROOT / "components" / step / "component.yml").inputs
    known = {"uri_file", "uri_folder", "custom_model", "integer", "number", "boolean", "string"}
    assert {port.type for port in inputs.values()} <= known
