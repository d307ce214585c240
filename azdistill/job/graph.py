"""The graph of nodes that a job runs: the step of each, and the source of each port."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from azdistill.contracts.layout import EVALUATION_OUTPUT, REGISTRATION_OUTPUT, REPORT_OUTPUT
from azdistill.contracts.regression import SUITE_PORTS
from azdistill.contracts.step import StepConfig
from azdistill.contracts.train import WHITE_BOX_PORTS, TrainConfig
from azdistill.contracts.train_scored import MODEL_PORT

Scalar = str | int | float | bool


@dataclass(frozen=True)
class Wiring:
    """The step of a node, and the source of each port: `node.output`, or the name of a pipeline input."""

    step: str
    ports: Mapping[str, str]
    fixed: Mapping[str, Scalar] = field(default_factory=dict)


# Nodes in the order of the data flow. report does not depend on register: a student that fails the gates has a report
# too.
GRAPH: Mapping[str, Wiring] = {
    "prepare": Wiring(
        "prepare",
        {
            "training_data": "training_data",
            "validation_data": "validation_data",
            "test_data": "test_data",
            "public_test_sets": "public_test_sets",
            "task_file": "task_file",
        },
    ),
    # Only in a job with a section `regressions`. No other node but predict and evaluate reads its rows.
    "regression": Wiring(
        "regression",
        {"prompts": "prepare.prompts", **{port: port for port in SUITE_PORTS}, "task_file": "task_file"},
    ),
    # Only in a job with data.augment. It adds training rows, and only the teacher reads them: for all other nodes the
    # validation and test rows of prepare are enough.
    "augment": Wiring(
        "augment",
        {"prompts": "prepare.prompts", "public_test_sets": "public_test_sets", "simulation": "simulation"},
    ),
    "teacher": Wiring(
        "teacher",
        {"prompts": "prepare.prompts", "answers": "completions", "task_file": "task_file", "simulation": "simulation"},
    ),
    # Only in a job with curate.min_judge_score.
    "judge_answers": Wiring(
        "judge_answers",
        {"completions": "teacher.completions", "rubric": "rubric", "judge_simulation": "judge_simulation"},
    ),
    "curate": Wiring(
        "curate",
        {
            "completions": "teacher.completions",
            "answer_scores": "judge_answers.answer_scores",
            "task_file": "task_file",
        },
    ),
    # Only a job with train.losses.top_k reads the completions.
    "train": Wiring(
        "train",
        {
            "curated": "curate.curated",
            "student": "student",
            "chat_template": "chat_template",
            "completions": "teacher.completions",
            **{port: port for port in WHITE_BOX_PORTS},
            MODEL_PORT: MODEL_PORT,
        },
    ),
    "predict_student": Wiring(
        "predict",
        {
            "model": "train.model",
            "prompts": "prepare.prompts",
            "completions": "teacher.completions",
            "regressions": "regression.regressions",
        },
        {"weights": "pretrained"},
    ),
    # The student before training, or the model of student.baseline. It waits for the curated rows, with train: before
    # the teacher has answered, no GPU is rented.
    "predict_baseline": Wiring(
        "predict",
        {
            "model": "student",
            "chat_template": "chat_template",
            "prompts": "prepare.prompts",
            "completions": "teacher.completions",
            "regressions": "regression.regressions",
            "after": "curate.curated",
        },
    ),
    # Only in a job with a section `judge`.
    "judge": Wiring(
        "judge",
        {
            "prompts": "prepare.prompts",
            "completions": "teacher.completions",
            "student": "predict_student.predictions",
            "baseline": "predict_baseline.predictions",
            "answer_scores": "judge_answers.answer_scores",
            "rubric": "rubric",
            "human_labels": "human_labels",
            "judge_simulation": "judge_simulation",
        },
    ),
    "evaluate": Wiring(
        "evaluate",
        {
            "prompts": "prepare.prompts",
            "completions": "teacher.completions",
            "student": "predict_student.predictions",
            "baseline": "predict_baseline.predictions",
            "regressions": "regression.regressions",
            "suite_gates": "suite_gates",
            "judgements": "judge.judgements",
            "task_file": "task_file",
            "metric_file": "metric_file",
        },
    ),
    "report": Wiring(
        "report",
        {
            "prompts": "prepare.prompts",
            "augmented": "augment.augmented",
            "completions": "teacher.completions",
            "answer_scores": "judge_answers.answer_scores",
            "curated": "curate.curated",
            "training": "train.metrics",
            "student": "predict_student.predictions",
            "baseline": "predict_baseline.predictions",
            "regressions": "regression.regressions",
            "judgements": "judge.judgements",
            "evaluation": "evaluate.evaluation",
        },
    ),
    "register": Wiring(
        "register",
        {
            "model": "train.model",
            "model_address": "train.model",
            "prompts": "prepare.prompts",
            "augmented": "augment.augmented",
            "completions": "teacher.completions",
            "answer_scores": "judge_answers.answer_scores",
            "curated": "curate.curated",
            "training": "train.metrics",
            "evaluation": "evaluate.evaluation",
        },
    ),
}


# Outputs of the pipeline itself, which CI reads without knowing the nodes.
PUBLISHED = {
    EVALUATION_OUTPUT: "evaluate.evaluation",
    REPORT_OUTPUT: "report.report",
    REGISTRATION_OUTPUT: "register.registration",
}


def graph_of(configs: Mapping[str, StepConfig], *, has_baseline: bool = False) -> dict[str, Wiring]:
    """The nodes of a job whose steps have these configs, without the ports whose source the job does not have.

    `has_baseline`: the student is compared with the model of student.baseline, not with itself before training.
    """
    nodes = {name: wiring for name, wiring in GRAPH.items() if wiring.step in configs}
    if not _train(configs).loss_weights.top_k:
        nodes["train"] = _without_port(nodes["train"], "completions")
    if "augment" in nodes:
        teacher = nodes["teacher"]
        nodes["teacher"] = replace(teacher, ports={**teacher.ports, "prompts": "augment.augmented"})
    if has_baseline:
        nodes["predict_baseline"] = _with_baseline(nodes["predict_baseline"])
    absent = GRAPH.keys() - nodes.keys() | ({"suite_gates"} if "regression" not in configs else set())
    return {
        name: replace(
            wiring,
            ports={port: source for port, source in wiring.ports.items() if source.partition(".")[0] not in absent},
        )
        for name, wiring in nodes.items()
    }


def _train(configs: Mapping[str, StepConfig]) -> TrainConfig:
    config = configs["train"]
    assert isinstance(config, TrainConfig)
    return config


def _without_port(wiring: Wiring, absent: str) -> Wiring:
    return replace(wiring, ports={port: source for port, source in wiring.ports.items() if port != absent})


def _with_baseline(wiring: Wiring) -> Wiring:
    """The node that answers with the model of student.baseline, which has weights and a chat template of its own."""
    ports = {**_without_port(wiring, "chat_template").ports, "model": "baseline"}
    return replace(wiring, ports=ports, fixed={"weights": "pretrained"})
