"""The model card of a student: YAML front matter and Markdown, in the form of Hugging Face's model cards.

Source of the form: https://huggingface.co/docs/hub/model-cards and the model-index in
https://github.com/huggingface/hub-docs/blob/main/modelcard.md. `huggingface_hub` reads it; the image of step register
does not have that package.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from azdistill.contracts.markdown import inline
from azdistill.contracts.register import RegisterConfig
from azdistill.contracts.results import MODEL_ROLES, Interval, MetricValue
from azdistill.registry.lineage import Lineage

TEMPLATES = Path(__file__).parent

# Length of a description that a workspace accepts.
# Source: https://github.com/Azure/azureml-assets/pull/558 ("hard limit of 5K chars").
LONGEST_DESCRIPTION = 5000

# Licences that Hugging Face has an identifier for. Source: https://huggingface.co/docs/hub/repositories-licenses
HUB_LICENCES = frozenset({"mit", "apache-2.0", "gemma", "llama3", "llama3.1", "llama3.2", "llama3.3"})

UNKNOWN = "not known"


def model_card(lineage: Lineage, config: RegisterConfig, training: Mapping[str, Any]) -> str:
    """The card of a student. `training` is metrics.json of step train. Text from data is escaped."""
    front_matter = yaml.safe_dump(_front_matter(lineage, config), sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{front_matter}---\n\n{_body(lineage, config, training)}"


def description(card: str) -> str:
    """The card without front matter, up to the last section that fits the description of a registered model."""
    body = card.partition("\n---\n")[2].strip() + "\n"
    if len(body) <= LONGEST_DESCRIPTION:
        return body
    note = "\nThe complete model card is README.md of the output `registration` of the job.\n"
    return body[: body.rindex("\n## ", 0, LONGEST_DESCRIPTION - len(note))] + note


def _front_matter(lineage: Lineage, config: RegisterConfig) -> dict[str, Any]:
    facts, licence = config.job_facts, config.job_facts.student and config.job_facts.student.licence
    known = licence in HUB_LICENCES
    fields = {
        "language": facts.language,
        "license": licence if known else "other" if licence else None,
        "license_name": None if known else licence,
        "base_model": facts.student and facts.student.source,
        "datasets": [facts.data["training_data"]] if "training_data" in facts.data else None,
        "pipeline_tag": "text-generation",
        "library_name": "transformers",
        "tags": ["distillation", "azdistill"],
        "model-index": [_model_index(lineage, config)],
    }
    return {name: value for name, value in fields.items() if value is not None}


def _model_index(lineage: Lineage, config: RegisterConfig) -> dict[str, Any]:
    """Metrics of the student on the test rows; `args` have the interval."""
    metrics = lineage.metrics
    student, test_file = metrics.models["student"], config.job_facts.data.get("test_data")
    name = test_file or config.job_facts.data.get("training_data") or "test rows"
    numbers = [metric for metric in student.root if student.value(metric) is not None]
    dataset = {"name": name, "type": name, "split": "test", "revision": _test_digest(lineage)}
    return {
        "name": config.registered_model,
        "results": [
            {
                "task": {"type": "text-generation", "name": metrics.task},
                "dataset": {field: value for field, value in dataset.items() if value},
                "metrics": [_index_metric(metric, student.get(metric)) for metric in numbers],
            }
        ],
    }


def _index_metric(name: str, value: MetricValue) -> dict[str, Any]:
    interval = value if isinstance(value, Interval) else None
    entry: dict[str, Any] = {"type": name, "value": interval.value if interval else value}
    if interval and interval.low is not None:
        entry["args"] = {"low": interval.low, "high": interval.high}
    return entry


def _test_digest(lineage: Lineage) -> str | None:
    """sha256 of the file that the test rows are from."""
    digests = _data_digests(lineage)
    return digests.get("test_data") or digests.get("training_data")


def _data_digests(lineage: Lineage) -> Mapping[str, str]:
    provenance = lineage.steps["prepare"].provenance
    return provenance.data if provenance else {}


def _body(lineage: Lineage, config: RegisterConfig, training: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"inline": inline, "measured": measured}
    facts, settings = config.job_facts, _settings(lineage)
    confidence = settings.get("evaluate", {}).get("confidence")
    return environment.get_template("card.md.jinja").render(
        name=config.registered_model,
        task=lineage.metrics.task,
        base=facts.student,
        baseline=facts.baseline_name,
        teacher=lineage.teacher,
        simulated=lineage.teacher_route == "simulated",
        metrics=lineage.metrics,
        confidence=f"{100 * confidence:g}%" if confidence else "",
        results=list(_results(lineage)),
        gate=lineage.gate,
        data=[
            (port, facts.data.get(port, port), digest)
            for port, digest in _data_digests(lineage).items()
            if port.endswith("_data")
        ],
        rows=list(_row_counts(lineage)),
        teacher_facts=list(_teacher_facts(lineage)),
        licences=[model.licence_facts for model in facts.models],
        naming=_naming(config),
        training=[(label, _number(training[name])) for name, label in TRAINING.items() if name in training],
        digest=lineage.model_digest,
        steps=[(step, list(_flatten(values))) for step, values in settings.items()],
    )


# Key in metrics.json of step train -> label.
TRAINING = {
    "train_rows": "training rows",
    "validation_rows": "validation rows",
    "epochs": "epochs",
    "steps": "steps",
    "saved_step": "saved after step",
    "supervised_tokens": "target tokens",
    "parameters": "parameters",
    "method": "method",
    "trained_parameters": "trained parameters",
    "device": "device",
    "precision": "precision",
    "seconds": "time in seconds",
    "train_loss": "training loss",
    "validation_loss": "validation loss",
}


def _results(lineage: Lineage) -> Iterator[tuple[str, list[str]]]:
    """Name and values of the three models, for each metric that the student has a number of."""
    models = lineage.metrics.models
    for name in models["student"].root:
        if models["student"].value(name) is not None:
            yield name, [measured(models[role].get(name)) if role in models else "" for role in MODEL_ROLES]


def measured(value: MetricValue) -> str:
    """`0.948 [0.928, 0.968]`, or the value alone where it has no interval."""
    if not isinstance(value, Interval):
        return "" if value is None else inline(_number(value))
    if value.value is None:
        return "n/a"
    bounds = "" if value.low is None or value.high is None else f" [{value.low:.3f}, {value.high:.3f}]"
    return f"{value.value:.3f}{bounds}"


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return UNKNOWN if value is None else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _row_counts(lineage: Lineage) -> Iterator[tuple[str, str]]:
    """Row counts of the steps, from their manifests."""
    labels = {"prepare": "prompts", "teacher": "teacher's answers", "curate": "curated rows"}
    for step, label in labels.items():
        counts = lineage.steps[step].counts
        shown = ", ".join(f"{name} {_number(count)}" for name, count in _flatten(counts) if count not in ("0", ""))
        if shown:
            yield label, shown


def _teacher_facts(lineage: Lineage) -> Iterator[tuple[str, str]]:
    yield "teachers of the job", lineage.teacher
    yield "route", lineage.teacher_route
    if lineage.reported_models:
        counts = (f"{name} ({count:,} answers)" for name, count in lineage.reported_models.items())
        yield "model named in the replies", ", ".join(counts)


def _naming(config: RegisterConfig) -> str:
    """Requirement of a Llama licence that the name of the student does not meet; empty if there is none.

    Source: https://www.llama.com/llama3_3/license, on models that outputs of Llama were used to train.
    """
    has_llama = any((model.licence or "").startswith("llama") for model in config.job_facts.models)
    if not has_llama or config.registered_model.casefold().startswith("llama"):
        return ""
    return f"The name {config.registered_model} does not begin with Llama: rename the model before you distribute it."


def _settings(lineage: Lineage) -> dict[str, dict[str, Any]]:
    """Config of each step, and versions and code of those that record them."""
    settings: dict[str, dict[str, Any]] = {}
    for step, manifest in lineage.steps.items():
        if made := manifest.provenance:
            code = {"azdistill code (sha256)": made.code} if made.code else {}
            settings[step] = {**made.config, **({"versions": made.versions} if made.versions else {}), **code}
    return settings


def _flatten(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Paths and texts of nested values. Values that are not set are left out."""
    items = (
        value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else None
    )
    if items is None:
        if value is not None and value != "":
            yield path, str(value).lower() if isinstance(value, bool) else str(value)
        return
    for name, item in items:
        yield from _flatten(item, f"{path}.{name}" if path else str(name))
