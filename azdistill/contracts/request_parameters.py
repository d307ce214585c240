"""Parameters of requests that a job sets for one teacher, such as reasoning_effort."""

import math

from pydantic import JsonValue
from pydantic_core import PydanticCustomError

from azdistill.contracts.problems import may_be_secret

# Fields of a request that the job sets, with the setting; and those that would change the form of the answer.
SET_BY = {
    "model": "teacher.teachers.*.model",
    "messages": "teacher.prompting",
    "n": "teacher.samples",
    "temperature": "teacher.temperature",
    "top_p": "teacher.top_p",
    "max_tokens": "teacher.max_tokens",
    "max_completion_tokens": "teacher.max_tokens, with reasoning: true",
    "logprobs": "teacher.top_logprobs",
    "top_logprobs": "teacher.top_logprobs",
}
NOT_PLAIN_ANSWERS = ("stream", "stream_options", "tools", "tool_choice", "functions", "function_call", "modalities")


def check_parameter(name: str, value: JsonValue) -> None:
    """Raise PydanticCustomError for a parameter that cannot be sent, that the job sets, or that may be a secret."""
    if not _is_json(value):
        raise PydanticCustomError(
            "wrong_type", "{name} has a number that JSON lacks", {"name": repr(name), "fix": "use a finite one"}
        )
    if name in SET_BY or name in NOT_PLAIN_ANSWERS:
        fix = f"set {SET_BY[name]}" if name in SET_BY else "remove it: answers are read as plain text"
        raise PydanticCustomError(
            "reserved_parameter", "{name} cannot be a parameter", {"name": repr(name), "fix": fix}
        )
    if _may_hold_secret(name, value):
        raise PydanticCustomError(
            "secret_parameter",
            "{name} looks like a secret, and parameters are written into bundles and logs",
            {"name": repr(name), "fix": "name the variable with the key in key_variable"},
        )


def _is_json(value: JsonValue) -> bool:
    """True if all numbers are finite, and integers have at most 64 bits."""
    if isinstance(value, dict):
        return all(map(_is_json, value.values()))
    if isinstance(value, list):
        return all(map(_is_json, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or -(2**63) <= value < 2**63


def _may_hold_secret(name: str, value: JsonValue) -> bool:
    if isinstance(value, dict):
        return any(_may_hold_secret(key, item) for key, item in value.items())
    if isinstance(value, list):
        return any(_may_hold_secret(name, item) for item in value)
    return may_be_secret(name, value)
