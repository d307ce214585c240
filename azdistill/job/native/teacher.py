"""The teacher of a native job: who it is, how it is asked, what it is told.

Azure's defaults and limits are those of its published components (azureml-assets, training/distillation, pipeline
0.0.10 and `common/constants.py`), as the SDK has none.
"""

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from azdistill.contracts.findings import SECRET_NAME, Place, named
from azdistill.contracts.teacher import LONGEST_SUMMARY, Teacher, TeacherConfig
from azdistill.job.messages import PATTERNS
from azdistill.job.models import BUILT_IN
from azdistill.job.native.draft import Draft
from azdistill.job.native.job import InferenceParameters, NativeJob, TeacherConnection

TEMPERATURE, TOP_P, MAX_TOKENS, MAX_TOKENS_OF_SUMMARY = 0.2, 0.1, 128, 1024
SUCCESS_RATIO, BATCH = 0.7, 10

CONNECTION: Place = ("teacher_model_endpoint_connection",)
INFERENCE: Place = ("teacher_model_settings", "inference_parameters")
REQUESTS: Place = ("teacher_model_settings", "endpoint_request_settings")
PROMPTS: Place = ("prompt_settings",)
ASKED: Place = ("teacher", "teachers", 0)

_CONNECTION_NAME = r"^[a-zA-Z0-9][a-zA-Z0-9_-]{2,32}$"
SEVERAL = "where the endpoint serves several, write the deployment's name"
COMPONENT = "the default of Azure's component"


def teacher(native: NativeJob, draft: Draft) -> None:
    """Everything of `teacher` but the turns of a conversation, which its task decides."""
    _who(native.teacher_model_endpoint_connection, draft)
    _asking(native, draft)
    _prompting(native, draft)


def _who(given: TeacherConnection, draft: Draft) -> None:
    address, origin = given.endpoint or given.target, (*CONNECTION, "endpoint" if given.endpoint else "target")
    endpoint = _without_secrets(address or "")
    _model(given.name, endpoint, draft)
    _connection(given.name, draft)
    if endpoint:
        draft.put((*ASKED, "endpoint"), endpoint, origin)
        draft.put((*ASKED, "key_variable"), key_variable(given.name), origin)
    elif address:
        draft.note(origin, "left out; it is no address that starts with https://")
    if endpoint and endpoint != address:
        draft.note(origin, "its user, password or key is not carried over")
    _key(given, draft)


def _connection(name: str, draft: Draft) -> None:
    place, origin = (*ASKED, "connection"), (*CONNECTION, "name")
    if re.fullmatch(_CONNECTION_NAME, name):
        draft.put(place, name, origin)
    else:
        form = PATTERNS[_CONNECTION_NAME]
        draft.note(origin, f"no name for a connection of a workspace, which is {form}; see {named(place)}", name)


def _model(name: str, endpoint: str | None, draft: Draft) -> None:
    """A native job names no model; a connection or an endpoint is called like its model as a rule."""
    place, origin = (*ASKED, "model"), (*CONNECTION, "name")
    if model := _named_in(name):
        draft.change(place, model, origin, name, f"no model is named, so it is read from this name; {SEVERAL}")
    elif model := _named_in(urlsplit(endpoint or "").hostname or ""):
        draft.change(place, model, origin, name, f"no model is named, so it is read from the endpoint; {SEVERAL}")
    else:
        why = f"no model is named, so this name stands for it, as a serverless endpoint has one; {SEVERAL}"
        draft.change(place, name, origin, name, why)


def _named_in(text: str) -> str | None:
    """The teacher of the catalog whose name is part of a text, the longest where there are several."""
    names = {listed: facts.name or listed for listed, facts in BUILT_IN.teachers.items()}
    spellings = {_plain(spelling): model for listed, model in names.items() for spelling in (listed, model)}
    found = [spelling for spelling in spellings if f"-{spelling}-" in f"-{_plain(text)}-"]
    return spellings[max(found, key=len)] if found else None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")


def key_variable(name: str) -> str:
    """The environment variable for the key of a connection: `Llama-3-1` gives LLAMA_3_1_KEY."""
    plain = _plain(name).replace("-", "_").upper()
    return f"{'' if plain[:1].isalpha() else 'TEACHER_'}{plain}_KEY"


def _without_secrets(address: str) -> str | None:
    """An endpoint without user and password, and without a key in its query. None when it is no http(s) address."""
    try:
        parts = urlsplit(address)
    except ValueError:  # a bracket where only an IPv6 address has one
        return None
    if parts.scheme not in ("http", "https"):
        return None
    query = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, value) for name, value in query if not SECRET_NAME.search(name.replace("-", "_"))]
    netloc = parts.netloc.rpartition("@")[2]
    if netloc == parts.netloc and kept == query:
        return address
    return urlunsplit(parts._replace(netloc=netloc, query=urlencode(kept)))


def _key(given: TeacherConnection, draft: Draft) -> None:
    """Said whether a key was given or not; its value goes nowhere."""
    held = next((field for field in ("api_key", "credentials") if getattr(given, field) is not None), None)
    teacher = draft.values["teacher"]["teachers"][0]
    ways = []
    if variable := teacher.get("key_variable"):
        ways.append(f"export {variable}=... where you run it (key_variable)")
    if name := teacher.get("connection"):
        ways.append(f"for Azure ML create connection {name!r} in the workspace (az ml connection create)")
    said = "not carried over, a job holds no key" if held else "a job holds no key"
    draft.note((*CONNECTION, held) if held else CONNECTION, "; ".join((said, *ways)))


def _asking(native: NativeJob, draft: Draft) -> None:
    given = native.teacher_model_settings.inference_parameters
    for name, usual in (("temperature", TEMPERATURE), ("top_p", TOP_P)):
        _put_or_assume(("teacher", name), getattr(given, name), usual, (*INFERENCE, name), draft)
    _longest_answer(native, given.max_tokens, draft)
    _penalties(given, draft)
    _requests(native, draft)


def _put_or_assume(place: Place, value: float | None, usual: float, origin: Place, draft: Draft) -> None:
    if value is None:
        draft.assume(place, usual, origin, COMPONENT)
    else:
        draft.put(place, value, origin)


def _longest_answer(native: NativeJob, given: int | None, draft: Draft) -> None:
    """Azure's reasoning has at most 80 words in it, ours as many as it takes."""
    place, origin = ("teacher", "max_tokens"), (*INFERENCE, "max_tokens")
    reasons = _reasons(native)
    if given is None and reasons:
        usual = TeacherConfig.model_fields["max_tokens"].default
        why = f"which leaves room to reason; Azure's component has {MAX_TOKENS}, and 80 words for the reasoning"
        draft.assume(place, usual, origin, why)
    elif given is None:
        summary = native.data_generation_task_type == "summarization"
        draft.assume(place, MAX_TOKENS_OF_SUMMARY if summary else MAX_TOKENS, origin, COMPONENT)
    elif reasons:
        why = "it holds the reasoning too, which has no limit of 80 words here; raise it where answers are cut"
        draft.change(place, given, origin, given, why)
    else:
        draft.put(place, given, origin)


def _penalties(given: InferenceParameters, draft: Draft) -> None:
    for name in ("frequency_penalty", "presence_penalty"):
        value = getattr(given, name)
        draft.leave(
            (*INFERENCE, name), value, f"azdistill sends none, {'so answers may differ' if value else 'as 0 is'}"
        )
    draft.leave((*INFERENCE, "stop"), given.stop, "azdistill sends none; answers may go on where it would end them")


def _requests(native: NativeJob, draft: Draft) -> None:
    given = native.teacher_model_settings.endpoint_request_settings
    _at_once(given.request_batch_size, (*REQUESTS, "request_batch_size"), draft)
    _failures(given.min_endpoint_success_ratio, (*REQUESTS, "min_endpoint_success_ratio"), draft)


def _at_once(given: int | None, origin: Place, draft: Draft) -> None:
    place = (*ASKED, "max_in_flight")
    if given is None:
        usual = Teacher.model_fields["max_in_flight"].default
        draft.assume(place, usual, origin, f"fewer where the endpoint refuses; Azure's component has {BATCH}")
    else:
        why = "so many at any time, where Azure waits for the end of a batch before the next"
        draft.change(place, given, origin, given, why)


def _failures(given: float | None, origin: Place, draft: Draft) -> None:
    place = ("teacher", "max_reject_ratio")
    if given is None:
        draft.assume(place, _rest(SUCCESS_RATIO), origin, f"{COMPONENT}, where {SUCCESS_RATIO} must succeed")
    else:
        draft.change(place, _rest(given), origin, given, "the part that may fail, not the part that must succeed")


def _rest(ratio: float) -> float:
    """One less a ratio: 0.3 for 0.7, without the dust of binary fractions."""
    return round(1 - ratio, 9)


def _reasons(native: NativeJob) -> bool:
    return native.prompt_settings.enable_chain_of_thought and native.data_generation_task_type != "conversation"


def _prompting(native: NativeJob, draft: Draft) -> None:
    given, task = native.prompt_settings, native.data_generation_task_type
    for name, text in _without_effect(native):
        draft.leave((*PROMPTS, name), getattr(given, name), text)
    if _reasons(native):
        why = "the teacher reasons in <think>, and adds to a row's system text; Azure's replaces it and asks for JSON"
        draft.change(
            ("teacher", "prompting", "chain_of_thought"), True, (*PROMPTS, "enable_chain_of_thought"), True, why
        )
    elif given.enable_chain_of_density and task == "summarization":
        why = "five drafts, and it adds to a row's system text; Azure's are four, in its place"
        draft.change(
            ("teacher", "prompting", "chain_of_density"), True, (*PROMPTS, "enable_chain_of_density"), True, why
        )
        longest = LONGEST_SUMMARY if given.max_len_summary is None else given.max_len_summary
        draft.put(("teacher", "prompting", "max_len_summary"), longest, (*PROMPTS, "max_len_summary"))


def _without_effect(native: NativeJob) -> Iterator[tuple[str, str]]:
    """Settings that Azure's component takes no notice of, and why."""
    given, task = native.prompt_settings, native.data_generation_task_type
    dense = given.enable_chain_of_density and task == "summarization" and not given.enable_chain_of_thought
    if given.enable_chain_of_thought and task == "conversation":
        yield "enable_chain_of_thought", "without effect on conversations, on Azure as well"
    if given.enable_chain_of_density and not dense:
        beside = "beside chain of thought" if task == "summarization" else "outside summarization"
        yield "enable_chain_of_density", f"without effect {beside}, on Azure as well"
    if not dense:
        yield "max_len_summary", "without effect unless chain of density is on, on Azure as well"
