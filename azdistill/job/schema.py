"""The JSON Schema of a job file, for editors: completion, help texts and bounds while typing."""

from typing import Any

from azdistill.contracts.problems import FieldPath
from azdistill.job.model import DistillationJob
from azdistill.job.shorthand import FLAT, HYPERPARAMETERS

Schema = dict[str, Any]


def job_schema() -> Schema:
    """JSON Schema (2020-12) of a job file, the short form of the tutorials included."""
    schema = DistillationJob.model_json_schema()
    sections = {name: _section(schema, name) for name in ("data", "teacher", "student", "train")}
    required = [_either_form(short, field) for short, field in FLAT.items() if _is_required(schema, sections, field)]
    for section in sections.values():
        section.pop("required", None)
    schema["properties"] |= _short_form(schema, sections)
    schema["properties"]["catalog"] = {"anyOf": [{"type": "string"}, schema["properties"]["catalog"]]}
    del schema["required"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "allOf": required}


def _section(schema: Schema, name: str) -> Schema:
    section: Schema = schema["$defs"][schema["properties"][name]["$ref"].rpartition("/")[2]]
    return section


def _is_required(schema: Schema, sections: dict[str, Schema], field: FieldPath) -> bool:
    parent = schema if len(field) == 1 else sections[str(field[0])]
    return field[-1] in parent.get("required", ())


def _either_form(short: str, path: FieldPath) -> Schema:
    """Require a field in the complete form or in the short form. `teacher.completions` replaces the teacher's model."""
    section, *field = path
    complete: Schema = {"required": [section]}
    if field:
        complete["properties"] = {section: {"required": field}}
    forms = [complete, {"required": [short]}]
    if short == "teacher_model":
        forms.append({"required": [section], "properties": {section: {"required": ["completions"]}}})
    return {"anyOf": forms}


def _short_form(schema: Schema, sections: dict[str, Schema]) -> Schema:
    """Properties of the short form. Each has the schema of the field that it replaces."""
    flat = {
        short: schema["properties"][str(field[0])]
        if len(field) == 1
        else sections[str(field[0])]["properties"][str(field[1])]
        for short, field in FLAT.items()
    }
    flat["teacher_model"] = {
        "type": "string",
        "description": "Name of the teacher in the catalog, or of its deployment.",
    }
    fields = dict(sections["train"]["properties"])
    fields |= {key: sections[str(section)]["properties"][name] for key, (section, name) in HYPERPARAMETERS.items()}
    return {**flat, "hyperparameters": {"type": "object", "properties": fields, "additionalProperties": False}}
