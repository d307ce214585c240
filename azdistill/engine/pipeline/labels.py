"""Names of jobs, outputs and assets, descriptions and tags that Azure ML accepts.

Sources: the path parameters of Jobs_CreateOrUpdate and ModelVersions_CreateOrUpdate in the REST specification (mfe.json
of 2024-04-01 in Azure/azure-rest-api-specs); the service limits in
https://learn.microsoft.com/azure/machine-learning/resource-limits-capacity; the client 1.35 for the name of an output.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from azdistill.engine.pipeline.authorities import SERVICE
from azdistill.engine.pipeline.yaml_node import YamlNode

# Names of jobs, and of models and other assets of a workspace. Names of a registry may have dots, too.
ASSET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}")
OUTPUT_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
NAME_FORM = "at most 255 letters, digits, '_' and '-'"

# Short address of an asset of the workspace: azureml:NAME:VERSION or azureml:NAME@LABEL. Others have slashes.
_SHORT_ADDRESS = re.compile(r"azureml:(?!/|[a-z]+://|.*\$\{\{)(?P<asset>.*)")
_VERSIONED = re.compile(r"[^:@]+(:|@)[^:@]+")

_SCHEME = re.compile(r"^[A-Za-z]+://")

MAX_LENGTHS = {"display_name": 256, "experiment_name": 256, "description": 5000}
# Limits of the tags of a job, and of its properties.
MAX_TAGS, MAX_TAG_NAME, MAX_TAG_VALUE = 50, 100, 1000


def unversioned_asset(path: str) -> str | None:
    """The name in the address of an asset of the workspace that has no version, which Azure's client refuses. NAME for
    an address without one."""
    match = _SHORT_ADDRESS.fullmatch(path)
    if match is None or _VERSIONED.fullmatch(match["asset"]):
        return None
    return re.split("[/:@]", match["asset"])[0] or "NAME"


def unsafe_path(address: str) -> str:
    """The reason why the path of an azureml:// address, or a local path of an output, is refused; empty if it is not.

    Joined to a folder, such a path would be one outside of it.
    """
    *parts, last = _SCHEME.sub("", address).split("/")
    unsafe = ".." in (*parts, last) or "" in parts
    return "the path must not contain '..', be absolute or have empty parts" if unsafe else ""


def tag_problems(tags: Mapping[Any, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Path below the tags or properties of a job, and message, of each entry that is too long."""
    if len(tags) > MAX_TAGS:
        yield (), f"must have at most {MAX_TAGS} entries"
    for name, value in tags.items():
        if len(str(name)) > MAX_TAG_NAME:
            yield (str(name),), f"its name must have at most {MAX_TAG_NAME} characters"
        if len(str(value)) > MAX_TAG_VALUE:
            yield (str(name),), f"must have at most {MAX_TAG_VALUE:,} characters"


def check_labels(job: YamlNode) -> None:
    """Check the lengths of the texts and tags of a pipeline job or one of its nodes, which are jobs, too."""
    for field, limit in MAX_LENGTHS.items():
        node = job.at(field)
        if isinstance(node.value, str) and len(node.value) > limit:
            node.error("wrong_length", f"must have at most {limit:,} characters", scope="azure")
    for field in ("tags", "properties"):
        values = job.at(field)
        for path, message in tag_problems(values.value) if isinstance(values.value, Mapping) else ():
            values.at(*path).error("wrong_length", message, scope="azure", value=None)


def check_job_name(node: YamlNode) -> None:
    """Check the name of a pipeline job."""
    if isinstance(node.value, str) and not ASSET_NAME.fullmatch(node.value):
        message = f"must be {NAME_FORM}, starting with a letter or digit"
        node.error("invalid_name", message, scope="azure", refused_by=SERVICE)


def check_asset_address(node: YamlNode) -> None:
    """Check the address of an environment or a component: slashes are those of an `azureml://` address or of an id in
    Azure Resource Manager."""
    text = node.value
    if isinstance(text, str) and re.match(r"azureml:[^/$]+/", text):
        message = "Azure ML reads slashes only in the address of a registry (azureml://registries/...)"
        node.error("wrong_format", message, "write azureml:NAME:VERSION", scope="azure")


def check_output_name(node: YamlNode) -> None:
    """Check the name of the asset that an output becomes."""
    if isinstance(node.value, str) and not OUTPUT_NAME.fullmatch(node.value):
        node.error("invalid_name", f"must be {NAME_FORM}", scope="azure")
