"""Convert the teacher of a native job: model, endpoint, sampling, requests and prompting.

Azure's defaults and limits are those of its published components (azureml-assets, training/distillation, pipeline
0.0.10 and `common/constants.py`), as the SDK has none.
"""

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from azdistill.contracts.problems import FieldPath, authenticates, dotted
from azdistill.contracts.requests import LONGEST_SUMMARY, Teacher
from azdistill.contracts.teacher import TeacherConfig
from azdistill.job.catalog import built_in
from azdistill.job.messages import PATTERNS
from azdistill.job.native.draft import Draft
from azdistill.job.native.job import InferenceParameters, NativeJob, TeacherConnection

TEMPERATURE, TOP_P, MAX_TOKENS, MAX_TOKENS_OF_SUMMARY = 0.2, 0.1, 128, 1024
SUCCESS_RATIO, BATCH = 0.7, 10

CONNECTION: FieldPath = ("teacher_model_endpoint_connection",)
INFERENCE: FieldPath = ("teacher_model_settings", "inference_parameters")
REQUESTS: FieldPath = ("teacher_model_settings", "endpoint_request_settings")
PROMPTS: FieldPath = ("prompt_settings",)
TEACHER: FieldPath = ("teacher", "teachers", 0)

_CONNECTION_NAME = r"^[a-zA-Z0-9][a-zA-Z0-9_-]{2,32}$"
SEVERAL = "if the endpoint serves several models, write the name of the deployment"
AZURE_DEFAULT = "the default of Azure's component"


def teacher(native: NativeJob, draft: Draft) -> None:
    """Set the fields of section `teacher`, except `turns`, which depends on the task."""
    _endpoint(native.teacher_model_endpoint_connection, draft)
    _sampling(native, draft)
    _prompting(native, draft)


def _endpoint(connection: TeacherConnection, draft: Draft) -> None:
    address = connection.endpoint or connection.target
    origin = (*CONNECTION, "endpoint" if connection.endpoint else "target")
    endpoint = _without_secrets(address or "")
    _model(connection.name, endpoint, draft)
    _connection(connection.name, draft)
    if endpoint:
        draft.put((*TEACHER, "endpoint"), endpoint, origin)
        draft.put((*TEACHER, "key_variable"), key_variable(connection.name), origin)
    elif address:
        draft.note(origin, "dropped; it must be a URL that starts with https://")
    if endpoint and endpoint != address:
        draft.note(origin, "user, password and key in the URL are dropped")
    _key(connection, draft)


def _connection(name: str, draft: Draft) -> None:
    field, origin = (*TEACHER, "connection"), (*CONNECTION, "name")
    if re.fullmatch(_CONNECTION_NAME, name):
        draft.put(field, name, origin)
    else:
        form = PATTERNS[_CONNECTION_NAME]
        draft.note(origin, f"not a valid name of a workspace connection, which has {form}; see {dotted(field)}", name)


def _model(name: str, endpoint: str | None, draft: Draft) -> None:
    """Derive the model from the name of the connection or endpoint: a native job names none."""
    field, origin = (*TEACHER, "model"), (*CONNECTION, "name")
    if model := _named_in(name):
        why = f"the file names no model, so it is derived from this name; {SEVERAL}"
        draft.change(field, model, origin, name, why)
    elif model := _named_in(urlsplit(endpoint or "").hostname or ""):
        draft.change(
            field, model, origin, name, f"the file names no model, so it is derived from the endpoint; {SEVERAL}"
        )
    else:
        why = f"the file names no model, so this name is used, as a serverless endpoint serves one model; {SEVERAL}"
        draft.change(field, name, origin, name, why)


def _named_in(text: str) -> str | None:
    """The teacher of the catalog whose name occurs in a text. The longest name wins."""
    names = {listed: facts.name or listed for listed, facts in built_in().teachers.items()}
    spellings = {_plain(spelling): model for listed, model in names.items() for spelling in (listed, model)}
    named = [spelling for spelling in spellings if f"-{spelling}-" in f"-{_plain(text)}-"]
    return spellings[max(named, key=len)] if named else None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")


def key_variable(name: str) -> str:
    """Name of the environment variable for the key of a connection: LLAMA_3_1_KEY for `Llama-3-1`."""
    plain = _plain(name).replace("-", "_").upper()
    return f"{'' if plain[:1].isalpha() else 'TEACHER_'}{plain}_KEY"


def _without_secrets(address: str) -> str | None:
    """A URL without user, password and keys in its query. None when it is not an http(s) URL."""
    try:
        parts = urlsplit(address)
    except ValueError:  # a bracket where only an IPv6 address has one
        return None
    if parts.scheme not in ("http", "https"):
        return None
    query = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, value) for name, value in query if not authenticates(name, value)]
    netloc = parts.netloc.rpartition("@")[2]
    if netloc == parts.netloc and kept == query and not parts.fragment:
        return address
    return urlunsplit(parts._replace(netloc=netloc, query=urlencode(kept), fragment=""))


def _key(connection: TeacherConnection, draft: Draft) -> None:
    """Note how to provide the key, whether or not the file has one. The value of the key is not used."""
    key_field = next((field for field in ("api_key", "credentials") if getattr(connection, field) is not None), None)
    teacher = draft.values["teacher"]["teachers"][0]
    ways = []
    if variable := teacher.get("key_variable"):
        ways.append(f"export {variable}=... where you run the job (key_variable)")
    if name := teacher.get("connection"):
        ways.append(f"for Azure ML, create connection {name!r} in the workspace (az ml connection create)")
    dropped = "dropped, as a job holds no keys" if key_field else "a job holds no keys"
    draft.note((*CONNECTION, key_field) if key_field else CONNECTION, "; ".join((dropped, *ways)))


def _sampling(native: NativeJob, draft: Draft) -> None:
    parameters = native.teacher_model_settings.inference_parameters
    for name, default in (("temperature", TEMPERATURE), ("top_p", TOP_P)):
        _put_or_default(("teacher", name), getattr(parameters, name), default, (*INFERENCE, name), draft)
    _max_tokens(native, parameters.max_tokens, draft)
    _other_parameters(parameters, draft)
    _requests(native, draft)


def _put_or_default(field: FieldPath, value: float | None, default: float, origin: FieldPath, draft: Draft) -> None:
    if value is None:
        draft.assume(field, default, origin, AZURE_DEFAULT)
    else:
        draft.put(field, value, origin)


def _max_tokens(native: NativeJob, max_tokens: int | None, draft: Draft) -> None:
    """The maximum answer length. It includes the reasoning, which Azure limits to 80 words."""
    field, origin = ("teacher", "max_tokens"), (*INFERENCE, "max_tokens")
    reasons = _reasons(native)
    if max_tokens is None and reasons:
        default = TeacherConfig.model_fields["max_tokens"].default
        why = f"the reasoning needs tokens; Azure's component has {MAX_TOKENS}, and at most 80 words of reasoning"
        draft.assume(field, default, origin, why)
    elif max_tokens is None:
        summary = native.data_generation_task_type == "summarization"
        draft.assume(field, MAX_TOKENS_OF_SUMMARY if summary else MAX_TOKENS, origin, AZURE_DEFAULT)
    elif reasons:
        why = "it includes the reasoning, which is not limited to 80 words here; raise it if answers are truncated"
        draft.change(field, max_tokens, origin, max_tokens, why)
    else:
        draft.put(field, max_tokens, origin)


def _other_parameters(parameters: InferenceParameters, draft: Draft) -> None:
    """Parameters without a setting of their own. A penalty of 0 has no effect, and some endpoints refuse it."""
    for name in ("frequency_penalty", "presence_penalty", "stop"):
        origin, value = (*INFERENCE, name), getattr(parameters, name)
        if value:
            draft.change((*TEACHER, "parameters", name), value, origin, value, "it is sent as it is")
        else:
            draft.drop(origin, value, "it has no effect")


def _requests(native: NativeJob, draft: Draft) -> None:
    settings = native.teacher_model_settings.endpoint_request_settings
    _concurrency(settings.request_batch_size, (*REQUESTS, "request_batch_size"), draft)
    _failures(settings.min_endpoint_success_ratio, (*REQUESTS, "min_endpoint_success_ratio"), draft)


def _concurrency(batch_size: int | None, origin: FieldPath, draft: Draft) -> None:
    field = (*TEACHER, "max_in_flight")
    if batch_size is None:
        default = Teacher.model_fields["max_in_flight"].default
        draft.assume(
            field,
            default,
            origin,
            f"azdistill lowers it when the endpoint refuses requests; Azure's component has {BATCH}",
        )
    else:
        why = "requests in flight at any time; Azure's component waits for a batch before it sends the next"
        draft.change(field, batch_size, origin, batch_size, why)


def _failures(success_ratio: float | None, origin: FieldPath, draft: Draft) -> None:
    field = ("teacher", "max_reject_ratio")
    if success_ratio is None:
        draft.assume(
            field, _complement(SUCCESS_RATIO), origin, f"{AZURE_DEFAULT}, where at least {SUCCESS_RATIO} must succeed"
        )
    else:
        why = "the fraction that may fail, not the fraction that must succeed"
        draft.change(field, _complement(success_ratio), origin, success_ratio, why)


def _complement(ratio: float) -> float:
    """One minus a ratio, without binary rounding errors: 0.3 for 0.7."""
    return round(1 - ratio, 9)


def _reasons(native: NativeJob) -> bool:
    return native.prompt_settings.enable_chain_of_thought and native.data_generation_task_type != "conversation"


def _prompting(native: NativeJob, draft: Draft) -> None:
    settings, task = native.prompt_settings, native.data_generation_task_type
    for name, text in _without_effect(native):
        draft.drop((*PROMPTS, name), getattr(settings, name), text)
    if _reasons(native):
        why = "the teacher reasons in <think>, after the row's system prompt; Azure replaces that and asks for JSON"
        draft.change(
            ("teacher", "prompting", "chain_of_thought"), True, (*PROMPTS, "enable_chain_of_thought"), True, why
        )
    elif settings.enable_chain_of_density and task == "summarization":
        why = "five summaries, after the row's system prompt; Azure asks for four and replaces that prompt"
        draft.change(
            ("teacher", "prompting", "chain_of_density"), True, (*PROMPTS, "enable_chain_of_density"), True, why
        )
        longest = LONGEST_SUMMARY if settings.max_len_summary is None else settings.max_len_summary
        draft.put(("teacher", "prompting", "max_len_summary"), longest, (*PROMPTS, "max_len_summary"))


def _without_effect(native: NativeJob) -> Iterator[tuple[str, str]]:
    """Settings that Azure's component ignores, and why."""
    settings, task = native.prompt_settings, native.data_generation_task_type
    dense = settings.enable_chain_of_density and task == "summarization" and not settings.enable_chain_of_thought
    if settings.enable_chain_of_thought and task == "conversation":
        yield "enable_chain_of_thought", "no effect on conversations, as on Azure"
    if settings.enable_chain_of_density and not dense:
        where = "next to chain of thought" if task == "summarization" else "outside summarization"
        yield "enable_chain_of_density", f"no effect {where}, as on Azure"
    if not dense:
        yield "max_len_summary", "no effect without chain of density, as on Azure"
