"""The JSON Schema of a job file, for editors: completion, help texts and bounds while typing."""

from typing import Any

from azdistill.job.model import DistillationJob
from azdistill.job.shorthand import FLAT, HYPERPARAMETERS

Schema = dict[str, Any]


def job_schema() -> Schema:
    """JSON Schema (2020-12) of a job file, the short form of the tutorials included."""
    schema = DistillationJob.model_json_schema()
    sections = {name: _section(schema, name) for name in ("data", "teacher", "student", "train")}
    needed = [_either(sections, short, place) for short, place in FLAT.items() if _is_required(schema, sections, place)]
    for section in sections.values():
        section.pop("required", None)
    schema["properties"] |= _short(schema, sections)
    schema["properties"]["catalog"] = {"anyOf": [{"type": "string"}, schema["properties"]["catalog"]]}
    del schema["required"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "allOf": needed}


def _section(schema: Schema, name: str) -> Schema:
    section: Schema = schema["$defs"][schema["properties"][name]["$ref"].rpartition("/")[2]]
    return section


def _is_required(schema: Schema, sections: dict[str, Schema], place: tuple[str | int, ...]) -> bool:
    holder = schema if len(place) == 1 else sections[str(place[0])]
    return place[-1] in holder.get("required", ())


def _either(sections: dict[str, Schema], short: str, place: tuple[str | int, ...]) -> Schema:
    """What must be said is said in one of both forms."""
    section, *field = place
    full: Schema = {"required": [section]}
    if field:
        full["properties"] = {section: {"required": field}}
    given = [{"required": [section], "properties": {section: {"required": ["completions"]}}}]
    return {"anyOf": [full, {"required": [short]}, *(given if place == FLAT["teacher_model"] else [])]}


def _short(schema: Schema, sections: dict[str, Schema]) -> Schema:
    """The keys of the short form, each as what it stands for."""
    flat = {
        short: schema["properties"][str(place[0])]
        if len(place) == 1
        else sections[str(place[0])]["properties"][str(place[1])]
        for short, place in FLAT.items()
    }
    flat["teacher_model"] = {"type": "string", "description": "the teacher, by its name in the catalog or deployment"}
    fields = dict(sections["train"]["properties"])
    fields |= {key: sections[str(section)]["properties"][name] for key, (section, name) in HYPERPARAMETERS.items()}
    return {**flat, "hyperparameters": {"type": "object", "properties": fields, "additionalProperties": False}}
