"""The lineage of a student: what it was made from, with which settings, and how it scored."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from azdistill.contracts.layout import JUDGE_FILE, MANIFEST_FILE, METRICS_FILE, USAGE_FILE
from azdistill.contracts.manifest import Manifest, read_manifest, sha256_file
from azdistill.contracts.results import GateDecision, Metrics, Usage, read_result
from azdistill.contracts.verdicts import JudgeResults

DIGEST_TAG = "azdistill.model_digest"


class Lineage(BaseModel):
    """The lineage of a registered student. Digests are sha256, hex.

    `model_digest` is over the names and bytes of the model's files, so the same model has the same digest in any
    folder. `completions_manifest` and `curated_manifest` are digests of those folders' manifests. `teacher` names
    all teachers, `reported_models` counts their answers by the model that the reply names.
    `judge` are the results of a judge. `steps` are the manifests of the steps by name: files, configs, code and
    versions.
    """

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    model_digest: str
    completions_manifest: str
    curated_manifest: str
    teacher: str
    teacher_route: str
    reported_models: dict[str, int]
    licences_acknowledged: tuple[str, ...]
    gate: GateDecision
    metrics: Metrics
    judge: JudgeResults | None = None
    steps: dict[str, Manifest]

    def as_json(self) -> dict[str, Any]:
        """The lineage as lineage.json holds it."""
        return self.model_dump(mode="json", by_alias=True)

    def tags(self) -> dict[str, str]:
        """Tags of the MLflow run and the model version."""
        return {
            DIGEST_TAG: self.model_digest,
            "azdistill.completions_manifest": self.completions_manifest,
            "azdistill.curated_manifest": self.curated_manifest,
            "azdistill.teacher": self.teacher,
            "azdistill.teacher_route": self.teacher_route,
            "azdistill.licences_acknowledged": ", ".join(self.licences_acknowledged),
            "azdistill.gate": self.gate.decision,
            "azdistill.primary_metric": self.metrics.primary_metric,
        }

    def run_metrics(self) -> dict[str, float]:
        """Metrics of the MLflow run, by which students are compared in the registry."""
        models = self.metrics.models
        compared = {"accuracy", self.metrics.primary_metric}
        values = {f"{role}_{name}": metrics.value(name) for role, metrics in models.items() for name in compared}
        values |= {f"student_{name}": models["student"].value(name) for name in models["student"].root}
        values |= {"retention": self.metrics.retention.value, "gain": self.metrics.gain.value}
        return {name: float(value) for name, value in values.items() if value is not None}


def read_lineage(
    model: Path,
    prompts: Path,
    completions: Path,
    curated: Path,
    training: Path,
    evaluation: Path,
    gate: GateDecision,
    licences_acknowledged: Sequence[str] = (),
    augmented: Path | None = None,
    answer_scores: Path | None = None,
) -> Lineage:
    """The lineage of a student from the folders of its steps. Raises DataError for a folder that is not complete."""
    folders = {
        "prepare": prompts,
        **({"augment": augmented} if augmented else {}),
        "teacher": completions,
        **({"judge_answers": answer_scores} if answer_scores else {}),
        "curate": curated,
        "train": training,
        "evaluate": evaluation,
    }
    usage = read_result(completions / USAGE_FILE, Usage)
    return Lineage(
        model_digest=model_digest(model),
        completions_manifest=sha256_file(completions / MANIFEST_FILE),
        curated_manifest=sha256_file(curated / MANIFEST_FILE),
        teacher=usage.teacher,
        teacher_route=usage.route,
        reported_models=usage.reported_models,
        licences_acknowledged=tuple(licences_acknowledged),
        gate=gate,
        metrics=read_result(evaluation / METRICS_FILE, Metrics),
        judge=read_result(judge, JudgeResults) if (judge := evaluation / JUDGE_FILE).is_file() else None,
        steps={step: read_manifest(folder) for step, folder in folders.items()},
    )


def model_digest(model: Path) -> str:
    """sha256 over the names and digests of the files in a complete model folder, all of whose bytes are compared."""
    files = read_manifest(model, whole=True).files
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
