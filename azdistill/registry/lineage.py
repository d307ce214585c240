"""Where a student comes from: the content it was made of, and the proof that it is worth a name."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from azdistill.contracts.manifest import NAME, read_manifest, sha256_file
from azdistill.contracts.results import METRICS_FILE, USAGE_FILE, GateDecision, Metrics, Usage, read_result

DIGEST_TAG = "azdistill.model_digest"


@dataclass(frozen=True)
class Lineage:
    """What travels with a registered student. Digests are sha256, hex.

    `model_digest` is of the model's file names and bytes, so the same model has
    the same digest in any folder. `completions_manifest` and `curated_manifest`
    are digests of those folders' manifests, which in turn hold each file's.
    `teacher` names all of them, `licences_acknowledged` are those that the job says it keeps to.
    """

    model_digest: str
    completions_manifest: str
    curated_manifest: str
    teacher: str
    teacher_route: str
    licences_acknowledged: tuple[str, ...]
    gate: GateDecision
    metrics: Metrics

    def as_json(self) -> dict[str, Any]:
        """The content of lineage.json."""
        shallow = {field.name: getattr(self, field.name) for field in fields(self)}
        results = {"gate": self.gate.model_dump(by_alias=True), "metrics": self.metrics.model_dump()}
        return shallow | results

    def tags(self) -> dict[str, str]:
        """As tags of a run or a model version: text, under names of our own."""
        return {
            DIGEST_TAG: self.model_digest,
            "azdistill.completions_manifest": self.completions_manifest,
            "azdistill.curated_manifest": self.curated_manifest,
            "azdistill.teacher": self.teacher,
            "azdistill.teacher_route": self.teacher_route,
            "azdistill.licences_acknowledged": ", ".join(self.licences_acknowledged),
            "azdistill.gate": self.gate.decision,
        }

    def figures(self) -> dict[str, float]:
        """The few numbers by which students are compared in the registry."""
        models = self.metrics.models
        figures = {f"{role}_accuracy": metrics.value("accuracy") for role, metrics in models.items()}
        figures |= {"retention": self.metrics.retention.value, "gain": self.metrics.gain.value}
        figures["student_bleu"] = models["student"].value("bleu")
        return {name: value for name, value in figures.items() if value is not None}


def read_lineage(
    model: Path,
    completions: Path,
    curated: Path,
    evaluation: Path,
    gate: GateDecision,
    licences_acknowledged: Sequence[str] = (),
) -> Lineage:
    """The lineage of a student from the folders it was made of. Raises DataError for a folder that isn't complete."""
    for folder in (completions, curated):
        read_manifest(folder)
    usage = read_result(completions / USAGE_FILE, Usage)
    return Lineage(
        model_digest=model_digest(model),
        completions_manifest=sha256_file(completions / NAME),
        curated_manifest=sha256_file(curated / NAME),
        teacher=usage.teacher,
        teacher_route=usage.route,
        licences_acknowledged=tuple(licences_acknowledged),
        gate=gate,
        metrics=read_result(evaluation / METRICS_FILE, Metrics),
    )


def model_digest(model: Path) -> str:
    """Hex sha256 of what a complete model folder holds: its files' names and digests."""
    files = read_manifest(model).files
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
