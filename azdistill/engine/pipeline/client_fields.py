"""Fields of a pipeline file that Azure's client accepts, and their types.

Source: the schemas in `azure/ai/ml/_schema` of azure-ai-ml 1.35. The client refuses an unknown field of a pipeline, of
a job with its own command, of an input or output and of most sections. It ignores one of a component file and of a job
that names a component.
"""

import contextlib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from azdistill.engine.pipeline.authorities import CLIENT
from azdistill.engine.pipeline.expressions import is_expression, names
from azdistill.engine.pipeline.labels import check_asset_address, check_job_name, check_labels
from azdistill.engine.pipeline.model import LITERAL_TYPES
from azdistill.engine.pipeline.yaml_node import YamlNode

# `texts` is a mapping of names to texts, of which those of `nullable texts` may be null. `name` is a text that is not
# empty, and `definition` is one or a mapping. `list` is a list of texts, `arguments` is a text or a list of texts,
# `values` is a mapping without null. `scalar` is text or a number. `setting` and `any` may be anything but null, and
# `nullable` that, too.
Text = Literal["text", "nullable text", "name", "definition", "texts", "nullable texts", "list", "arguments"]
Kind = Text | Literal["integer", "bound", "boolean", "mapping", "values", "scalar", "setting", "any", "nullable"]
Fields = Mapping[str, Kind]

# Fields that the client reads from the service: a file may have them, and they have no effect.
_READ_ONLY: Fields = dict.fromkeys(("$schema", "id", "creation_context", "status", "log_files"), "nullable")

_JOB: Fields = {
    **_READ_ONLY,
    **dict.fromkeys(("name", "display_name", "description", "experiment_name"), "text"),
    **dict.fromkeys(("tags", "properties"), "nullable texts"),
    "compute": "text",
    "type": "name",
    "identity": "setting",
    **dict.fromkeys(("$schema", "services", "inputs", "outputs"), "any"),
}
PIPELINE: Fields = {
    **_JOB,
    "settings": "any",
    **dict.fromkeys(("jobs", "component"), "nullable"),
}
SETTINGS: Fields = {
    **dict.fromkeys(("default_compute", "default_datastore"), "name"),
    "continue_on_step_failure": "boolean",
    "force_rerun": "boolean",
}
_RUN_SETTINGS = ("resources", "distribution", "queue_settings", "limits", "environment_variables")
INLINE_COMMAND: Fields = {
    **_JOB,
    **dict.fromkeys(("parent_job_name", "command"), "text"),
    "environment": "definition",
    **dict.fromkeys((*_RUN_SETTINGS, "code", "parameters"), "any"),
}
INLINE_PARALLEL: Fields = {
    **_JOB,
    **dict.fromkeys(("task", "input_data", "mini_batch_size", "partition_keys", "retry_settings"), "any"),
    **dict.fromkeys(("error_threshold", "mini_batch_error_threshold", "max_concurrency_per_instance"), "any"),
    **dict.fromkeys(("logging_level", "resources", "environment_variables"), "any"),
    "tags": "mapping",
}
# A sweep job outside a pipeline, and its trial.
SWEEP_JOB: Fields = {
    **_JOB,
    **dict.fromkeys(("trial", "sampling_algorithm", "search_space", "objective", "early_termination", "limits"), "any"),
    **dict.fromkeys(("queue_settings", "resources"), "any"),
}
TRIAL: Fields = {
    "command": "text",
    "environment": "definition",
    **dict.fromkeys(("code", "environment_variables", "resources", "distribution"), "any"),
    "queue_settings": "any",
}
# Fields of a job with a component whose type the client checks.
COMPONENT_NODE: Fields = {
    "type": "name",
    "tags": "mapping",
    "properties": "nullable texts",
    **dict.fromkeys(("name", "command", "comment", "compute"), "text"),
    "code": "nullable text",
    "environment": "definition",
    **dict.fromkeys((*_RUN_SETTINGS, "identity", "services", "inputs", "outputs"), "any"),
}

# The types of counts and of shm_size are checked with their bounds.
RESOURCES: Fields = {
    "instance_type": "text",
    "max_instance_count": "integer",
    "docker_args": "arguments",
    "locations": "list",
    "properties": "mapping",
    "instance_count": "setting",
    "shm_size": "any",
}
LIMITS: Fields = {"timeout": "integer"}
SWEEP_LIMITS: Fields = dict.fromkeys(("max_total_trials", "max_concurrent_trials", "timeout", "trial_timeout"), "any")
OBJECTIVE: Fields = {"goal": "any", "primary_metric": "text"}
SWEEP: Fields = dict.fromkeys(("sampling_algorithm", "early_termination", "inputs", "outputs"), "any")
_ANY_SAMPLING: Fields = {"type": "any"}
_SAMPLING: Mapping[str, Fields] = {
    "random": {**_ANY_SAMPLING, **dict.fromkeys(("seed", "rule", "logbase"), "any")},
    "grid": _ANY_SAMPLING,
    "bayesian": _ANY_SAMPLING,
}
_ANY_POLICY: Fields = dict.fromkeys(("type", "evaluation_interval", "delay_evaluation"), "nullable")
_POLICIES: Mapping[str, Fields] = {
    "bandit": {**_ANY_POLICY, **dict.fromkeys(("slack_factor", "slack_amount"), "nullable")},
    "median_stopping": _ANY_POLICY,
    "truncation_selection": {**_ANY_POLICY, "truncation_percentage": "nullable"},
}
QUEUE_SETTINGS: Fields = dict.fromkeys(("job_tier", "priority"), "any")
JOB_TIERS = ("spot", "basic", "standard", "premium", "null")
PRIORITIES = ("low", "medium", "high")
DISTRIBUTIONS: Mapping[str, Fields] = {
    "pytorch": {"type": "any", "process_count_per_instance": "setting"},
    "mpi": {"type": "any", "process_count_per_instance": "setting"},
    "tensorflow": {"type": "any", "parameter_server_count": "integer", "worker_count": "integer"},
    "ray": {
        **dict.fromkeys(("port", "dashboard_port"), "integer"),
        **dict.fromkeys(("address", "head_node_additional_args", "worker_node_additional_args"), "text"),
        "type": "any",
        "include_dashboard": "boolean",
    },
}
_MANAGED: Fields = {"type": "any", "client_id": "text", "object_id": "text"}
IDENTITIES: Mapping[str, Fields] = {
    "managed": _MANAGED,
    "managed_identity": _MANAGED,
    "aml_token": {"type": "any"},
    "user_identity": {"type": "any"},
}
INPUT: Fields = {
    "type": "name",
    **dict.fromkeys(("mode", "path_on_compute"), "any"),
    **dict.fromkeys(("path", "datastore"), "text"),
}
OUTPUT: Fields = {
    "$schema": "any",
    **dict.fromkeys(("name", "path"), "text"),
    "version": "scalar",
    **dict.fromkeys(("type", "mode"), "any"),
}
COMPONENT: Fields = {
    **dict.fromkeys(("$schema", "display_name", "description", "command"), "text"),
    "version": "any",
    "is_deterministic": "boolean",
    "tags": "mapping",
    "properties": "values",
    "auto_delete_setting": "mapping",
    "environment": "definition",
    **dict.fromkeys(("resources", "distribution", "queue_settings", "code", "inputs", "outputs"), "any"),
    "additional_includes": "list",
}
AUTO_DELETE_SETTING: Fields = dict.fromkeys(("condition", "value"), "text")
# Fields of a parallel job or component that may not be empty.
PARALLEL: Fields = {
    **dict.fromkeys(("logging_level", "partition_keys", "retry_settings"), "any"),
    **dict.fromkeys(("max_concurrency_per_instance", "error_threshold", "mini_batch_error_threshold"), "integer"),
    **dict.fromkeys(("mini_batch_size", "input_data"), "text"),
}
PARALLEL_JOB: Fields = {**PARALLEL, "environment_variables": "texts"}
TASK: Fields = dict.fromkeys(("program_arguments", "append_row_to"), "text")
RETRY_SETTINGS: Fields = dict.fromkeys(("max_retries", "timeout"), "integer")
LITERAL_PORT: Fields = {
    "optional": "boolean",
    "description": "text",
    "type": "name",
    "default": "scalar",
    **dict.fromkeys(("min", "max"), "bound"),
    "enum": "list",
}
DATA_PORT: Fields = {
    "optional": "boolean",
    **dict.fromkeys(("description", "default"), "text"),
    "type": "name",
    "mode": "any",
}
OUTPUT_PORT: Fields = {"description": "text", "type": "name", "mode": "any"}
# Modes of an input or output that a component declares. Their case matters.
PORT_MODES = tuple("direct download eval_download eval_mount link mount ro_mount rw_mount upload".split())
# A service of a job has the fields of its type, and that of another type has no fields of its own.
SERVICE_FIELDS: Fields = {"type": "name", "port": "integer", "nodes": "text", "properties": "mapping"}
SERVICE_OF_TYPE: Mapping[str, Fields] = {"ssh": {"ssh_public_keys": "text"}, "tensor_board": {"log_dir": "text"}}
ENVIRONMENT: Fields = {
    **_READ_ONLY,
    **dict.fromkeys(("name", "version"), "nullable"),
    **dict.fromkeys(("description", "image", "datastore"), "text"),
    "tags": "mapping",
    **dict.fromkeys(("build", "conda_file", "inference_config", "os_type"), "any"),
    **dict.fromkeys(("latest_version", "auto_delete_setting", "intellectual_property"), "any"),
}
BUILD: Fields = {"path": "text", "dockerfile_path": "text"}
OPERATING_SYSTEMS = ("linux", "windows")
ROUTES = ("liveness_route", "readiness_route", "scoring_route")
ROUTE: Fields = {"port": "integer", "path": "text"}

_SERVICE_NODES = re.compile(r"all|\s*\d+\s*(,\s*\d+\s*)*")
_COMPONENT_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TYPES = {
    **dict.fromkeys(("text", "nullable text"), "text"),
    "name": "text",
    "definition": "text or a mapping",
    **dict.fromkeys(("texts", "nullable texts"), "a mapping of names to texts"),
    "list": "a list of texts",
    "arguments": "text or a list of texts",
    "integer": "an integer",
    "bound": "a number",
    "scalar": "text or a number",
    "boolean": "true or false",
    "mapping": "a mapping",
    "values": "a mapping without empty values",
}
_DESCRIPTIONS = ("name", "description", "experiment_name", "comment")
# Kinds of settings of a job that may be a `${{ }}`, which the service replaces.
_REPLACED_KINDS: frozenset[Kind] = frozenset({"integer", "list", "boolean", "mapping", "definition", "setting"})
# Texts and numbers that the client reads as booleans.
_TRUE = frozenset("t true on y yes 1".split())
_BOOLEANS = _TRUE | frozenset("f false off n no 0".split())


def refuse_unknown(node: YamlNode, fields: Fields, expressions: bool = True) -> None:
    """Report the fields of a section that the client refuses: unknown ones, and those of another type.

    `expressions`: a value may be a `${{ }}`, as in a job that names a component.
    """
    node.check_fields(fields, refused=True)
    check_types(node, fields, expressions)


def check_types(node: YamlNode, fields: Fields, expressions: bool = True) -> None:
    """Report fields of a section whose type Azure's client rejects. A field that only Azure rejects runs locally."""
    for name, kind in fields.items():
        if name in node.mapping():
            _check_type(node.at(name), kind, expressions)


def _check_type(node: YamlNode, kind: Kind, expressions: bool) -> None:
    if kind == "nullable" or (kind == "nullable text" and node.value is None):
        return
    if node.value is None:
        node.error("wrong_type", "Azure ML refuses an empty field", "remove it or give it a value", scope="azure")
    elif kind in _REPLACED_KINDS and _is_expression(node.value):
        if not expressions:
            node.error("wrong_type", "Azure ML takes no expression here", "write the value", scope="azure")
    elif not _has_type(node.value, kind):
        is_scalar = isinstance(node.value, (int, float))
        fix = "put it in quotes" if kind in ("text", "name") and is_scalar else ""
        fix = "put the values in quotes" if kind in ("texts", "nullable texts", "list") and node.value else fix
        node.error("wrong_type", f"Azure ML requires {_TYPES[kind]}", fix, scope="azure")


def _has_type(value: object, kind: Kind) -> bool:
    match kind:
        case "text" | "nullable text":
            return isinstance(value, str)
        case "name":
            return isinstance(value, str) and value != ""
        case "definition":
            return isinstance(value, Mapping) or _has_type(value, "name")
        case "texts" | "nullable texts":
            values = value.values() if isinstance(value, Mapping) else [False]
            return all(isinstance(entry, str) or (entry is None and kind == "nullable texts") for entry in values)
        case "scalar":
            return isinstance(value, (str, int, float))
        case "bound":
            return _is_number(value)
        case "list":
            return isinstance(value, list) and all(isinstance(entry, str) for entry in value)
        case "arguments":
            return _has_type(value, "text") or _has_type(value, "list")
        case "integer":
            is_digits = isinstance(value, str) and value.strip().lstrip("+-").isdigit()
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
            return is_digits or is_number
        case "boolean":
            return isinstance(value, (str, int)) and str(value).lower() in _BOOLEANS
        case "mapping":
            return isinstance(value, Mapping)
        case "values":
            return isinstance(value, Mapping) and None not in value.values()
        case _:
            return True


def is_true(value: object) -> bool:
    """True if the client reads a value as true."""
    return isinstance(value, (str, int)) and str(value).lower() in _TRUE


def _is_number(value: object) -> bool:
    with contextlib.suppress(ValueError):
        return isinstance(value, (int, float)) or (isinstance(value, str) and math.isfinite(float(value)))
    return False


def _is_expression(value: object) -> bool:
    return isinstance(value, str) and is_expression(value)


def check_pipeline_job(root: YamlNode) -> None:
    """Check the fields of a pipeline job with its settings and identity."""
    refuse_unknown(root, PIPELINE, expressions=False)
    settings = root.at("settings")
    settings.check_fields(SETTINGS)
    check_types(settings, SETTINGS, expressions=False)
    for field in (settings.at("default_compute"), settings.at("default_datastore")):
        _check_address(field)
    check_identity(root.at("identity"))
    _check_services(root.at("services"), expressions=False)
    check_unreplaced(root)
    check_job_name(root.at("name"))
    check_labels(root)


def check_unreplaced(node: YamlNode) -> None:
    """Warn about expressions in texts that describe a job or a component: neither the client nor the service replaces
    them."""
    for name in _DESCRIPTIONS:
        field = node.at(name)
        if isinstance(field.value, str) and any(names(field.value)):
            message, fix = "Azure ML does not replace an expression here", "write the text itself"
            field.warning("unreplaced_expression", message, fix)


def check_sweep_job(root: YamlNode) -> None:
    """Check the fields of a sweep job outside a pipeline, and of its trial."""
    refuse_unknown(root, SWEEP_JOB, expressions=False)
    trial = root.at("trial")
    refuse_unknown(trial, TRIAL, expressions=False)
    refuse_unknown(trial.at("resources"), RESOURCES, expressions=False)
    _check_typed(trial.at("distribution"), DISTRIBUTIONS, expressions=False)


def _check_address(node: YamlNode) -> None:
    """A compute or datastore of the settings has the prefix `azureml:`, which that of a job needs not."""
    text = str(node.value or "")
    is_serverless = node.field[-1] == "default_compute" and text.lower() == "serverless"
    if text and not is_serverless and not text.startswith("azureml:"):
        message = "Azure ML requires the prefix azureml:"
        node.error("wrong_format", message, f"write azureml:{text}", scope="azure")


def check_node(job: YamlNode, kind: str) -> None:
    """Check the fields of a command, parallel or sweep job: one with its own command, or one that names a component."""
    inline = {"command": INLINE_COMMAND, "parallel": INLINE_PARALLEL}.get(kind)
    is_inline = inline is not None and not (job.field and job.value.get("component"))
    expressions = takes_expressions(job)
    has_kind = bool(not job.field or job.value.get("type") or job.value.get("command"))
    if inline and is_inline and has_kind:
        refuse_unknown(job, inline, expressions)
    else:
        check_types(job, COMPONENT_NODE)
    check_labels(job)
    check_unreplaced(job)
    check_identity(job.at("identity"))
    _check_services(job.at("services"), expressions)
    refuse_unknown(job.at("resources"), RESOURCES, expressions)
    _check_queue(job.at("queue_settings"))
    if kind == "command":
        refuse_unknown(job.at("limits"), LIMITS, expressions)
        _check_typed(job.at("distribution"), DISTRIBUTIONS, expressions)
    if kind == "sweep":
        check_types(job, SWEEP)
        refuse_unknown(job.at("limits"), SWEEP_LIMITS)
        refuse_unknown(job.at("objective"), OBJECTIVE)
        _check_typed(job.at("sampling_algorithm"), _SAMPLING)
        _check_typed(job.at("early_termination"), _POLICIES)
    if kind == "parallel":
        check_types(job, PARALLEL_JOB)
        check_parallel_fields(job)


def takes_expressions(job: YamlNode) -> bool:
    """True if settings of a job may be a `${{ }}`: they may not in a command job without a component."""
    fields = job.mapping() if job.field else {}
    return bool(fields.get("component") or fields.get("trial") or fields.get("type") == "parallel")


def _check_typed(node: YamlNode, fields: Mapping[str, Fields], expressions: bool = True) -> None:
    """Check the fields of a section whose type selects them. An unknown type is reported elsewhere."""
    type = str(node.value.get("type")).lower() if isinstance(node.value, Mapping) else ""
    if type in fields:
        refuse_unknown(node, fields[type], expressions)


def check_parallel_fields(node: YamlNode, expressions: bool = True) -> None:
    """Check the types of the fields of a parallel job or component."""
    check_types(node, PARALLEL, expressions)
    for section, fields in (("task", TASK), ("retry_settings", RETRY_SETTINGS)):
        if isinstance(node.at(section).value, Mapping):
            check_types(node.at(section), fields)


def check_component(node: YamlNode) -> None:
    """Check the fields of a component file or of an inline component. The client ignores unknown ones."""
    check_types(node, COMPONENT, expressions=False)
    if isinstance(node.value.get("auto_delete_setting"), Mapping):
        refuse_unknown(node.at("auto_delete_setting"), AUTO_DELETE_SETTING, expressions=False)
    check_unreplaced(node)
    resources = node.at("resources")
    resources.check_fields(RESOURCES)
    check_types(resources, RESOURCES, expressions=False)
    _check_queue(node.at("queue_settings"))
    distribution = node.at("distribution")
    known = DISTRIBUTIONS.get(str(distribution.mapping().get("type")).lower())
    distribution.check_fields(known or distribution.mapping())
    check_types(distribution, known or {}, expressions=False)


def check_component_file(root: YamlNode) -> None:
    """Check what the client requires of a component file that is not part of a pipeline."""
    name = root.at("name")
    if name.value is None:
        name.error("missing_field", "Azure ML requires a name", "write name: NAME", scope="azure")
    elif not _COMPONENT_NAME.fullmatch(str(name.value)) or not isinstance(name.value, str):
        message = "names of components have lower case letters, digits and _, and start with a letter"
        name.error("invalid_name", message, scope="azure")
    check_types(root, {"tags": "texts"})


def check_identity(node: YamlNode) -> None:
    """Check the identity of a pipeline or a job. Its type may be in camel case, such as `UserIdentity`."""
    if node.value is None or _is_expression(node.value):
        return
    fields = node.mapping()
    known = IDENTITIES.get(_snake_case(str(fields.get("type"))))
    if isinstance(node.value, Mapping) and known is None:
        node.at("type").error("invalid_choice", f"must be one of {', '.join(IDENTITIES)}", scope="azure")
    elif known:
        refuse_unknown(node, known)


def _snake_case(text: str) -> str:
    """A name as the client reads it: `AMLToken` is `aml_token`."""
    text = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", text)
    return re.sub("([a-z0-9])([A-Z])", r"\1_\2", text).lower()


def _check_services(node: YamlNode, expressions: bool) -> None:
    for _, service in node.entries():
        if not isinstance(service.value, Mapping):
            service.error("wrong_type", "Azure ML requires a mapping", "write {type: ssh}", refused_by=CLIENT)
            continue
        type = service.value.get("type")
        known = dict(SERVICE_FIELDS)
        for name, fields in SERVICE_OF_TYPE.items():
            known |= fields if type is None or str(type).lower() == name else {}
        refuse_unknown(service, known, expressions)
        nodes = service.at("nodes")
        if isinstance(nodes.value, str) and not _SERVICE_NODES.fullmatch(nodes.value):
            nodes.error("wrong_format", "Azure ML requires all, or indexes such as 0,1", scope="azure")


def _check_queue(node: YamlNode) -> None:
    refuse_unknown(node, QUEUE_SETTINGS)
    _check_choice(node.at("job_tier"), JOB_TIERS)
    _check_choice(node.at("priority"), PRIORITIES)


def _check_choice(node: YamlNode, choices: Sequence[str], expressions: bool = True) -> None:
    """Check a value of which case does not matter. `expressions`: it may be a `${{ }}`."""
    is_replaced = expressions and _is_expression(node.value)
    if node.value is not None and str(node.value).lower() not in choices and not is_replaced:
        node.error("invalid_choice", f"must be one of {', '.join(choices)}", scope="azure")


def check_port(node: YamlNode) -> None:
    """Check the declaration of an input of a component."""
    if not isinstance(node.value, Mapping):
        node.error("wrong_type", "Azure ML requires a mapping with type", "write {type: uri_folder}", scope="azure")
    elif node.value.get("type") is None:
        node.error("missing_field", "Azure ML requires a type", "write type: string", scope="azure", value=None)
    else:
        refuse_unknown(node, LITERAL_PORT if str(node.value["type"]) in LITERAL_TYPES else DATA_PORT, expressions=False)
        _check_port_mode(node.at("mode"))


def check_output_port(node: YamlNode) -> None:
    """Check the declaration of an output of a component. The client ignores unknown fields of a literal output."""
    if not isinstance(node.value, Mapping) or node.value.get("type") is None:
        node.error("missing_field", "Azure ML requires a type", "write {type: uri_folder}", scope="azure", value=None)
    elif str(node.value["type"]) not in LITERAL_TYPES:
        refuse_unknown(node, OUTPUT_PORT)
        _check_port_mode(node.at("mode"))


def _check_port_mode(node: YamlNode) -> None:
    if node.value is not None and node.value not in PORT_MODES:
        node.error("invalid_choice", f"must be one of {', '.join(PORT_MODES)}", scope="azure")


def check_environment_name(node: YamlNode) -> None:
    """The name of a registered environment has the prefix `azureml:` or is an address."""
    text = str(node.value)
    check_asset_address(node)
    if not text.startswith(("azureml:", "file:")) and not is_expression(text):
        fix = f"write azureml:{text}" if ":" in text or text.startswith("/") else f"write azureml:{text}:VERSION"
        message = "Azure ML requires the prefix azureml: before the name of an environment"
        node.error("wrong_format", message, fix, scope="azure")


def check_environment(node: YamlNode) -> None:
    """Check an inline environment, or the root of an environment file."""
    refuse_unknown(node, ENVIRONMENT, expressions=False)
    refuse_unknown(node.at("build"), BUILD)
    _check_choice(node.at("os_type"), OPERATING_SYSTEMS, expressions=False)
    conda = node.at("conda_file")
    if conda.value and not isinstance(conda.value, (str, Mapping)):
        conda.error("wrong_type", "Azure ML requires the path of a file or its content", scope="azure")
    routes = node.at("inference_config")
    routes.check_fields(ROUTES, refused=True)
    for name in ROUTES if isinstance(routes.value, Mapping) else ():
        _check_route(routes.at(name))


def _check_route(node: YamlNode) -> None:
    """Check a route of a container for inference, which has a port and a path."""
    refuse_unknown(node, ROUTE, expressions=False)
    required = [node.at(name) for name in ROUTE] if isinstance(node.value, Mapping) else [node]
    for field in required:
        if field.value is None:
            field.error("missing_field", "Azure ML requires it", scope="azure")
