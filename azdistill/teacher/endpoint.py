"""Where a teacher lives, and by what it lets us in."""

import ipaddress
import json
import os
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from azdistill.azure_rest.identity import Credential, ambient_credential
from azdistill.azure_rest.workspace import MANAGEMENT, has_workspace
from azdistill.contracts.errors import InputError
from azdistill.contracts.files import read_json
from azdistill.contracts.teacher import SIMULATOR_VARIABLE, Teacher, TeacherConfig
from azdistill.teacher.auth import Access, EntraToken, HeldKey, VariableKey
from azdistill.teacher.connection import read_connection

CHAT = "/chat/completions"
FOUNDRY_VERSION = "api-version=2024-05-01-preview"
NO_SETTINGS: Mapping[str, Any] = MappingProxyType({})
AZURE_ML_VARIABLES = ("AZUREML_RUN_ID", "AZUREML_ARM_WORKSPACE_NAME")
RESOURCE_SCOPE = "https://cognitiveservices.azure.com/.default"
PROJECT_SCOPE = "https://ai.azure.com/.default"


@dataclass(frozen=True)
class Endpoint:
    """A teacher at its address. `identity` goes into store keys: what is asked elsewhere is another answer.
    `top_logprobs` are asked for once it is known that they are given."""

    url: str
    teacher: Teacher
    identity: str
    access: Access = field(default_factory=Access, compare=False)
    top_logprobs: int = 0

    @property
    def model(self) -> str:
        return self.teacher.model

    def __str__(self) -> str:
        return f"teacher {self.model!r} at {self.url}{self.access.about}"

    def proxy(self) -> str | None:
        """The proxy that the environment names for this address (HTTPS_PROXY, NO_PROXY); never one for loopback."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        if is_loopback(host) or urllib.request.proxy_bypass(host):
            return None
        return urllib.request.getproxies().get(parts.scheme)


def resolve_all(
    config: TeacherConfig, environ: Mapping[str, str] = os.environ, simulation: Path | None = None
) -> list[Endpoint]:
    """The endpoint of each teacher of a job. `simulation` is the JSON file with the settings of simulated teachers.
    Raises what `resolve` does."""
    settings = read_json(simulation) if simulation and config.teacher_route == "simulated" else []
    return [
        resolve(
            teacher,
            config.teacher_route,
            environ,
            position=index,
            simulation=settings[index] if index < len(settings) else {"seed": index},
        )
        for index, teacher in enumerate(config.teachers)
    ]


def resolve(
    teacher: Teacher,
    route: str,
    environ: Mapping[str, str] = os.environ,
    *,
    position: int = 0,
    simulation: Mapping[str, Any] = NO_SETTINGS,
    credential: Credential | None = None,
    management: str = MANAGEMENT,
) -> Endpoint:
    """The endpoint that `route` leads to; a connection is read now, by `credential` where one is given. `position`
    is the teacher's among those that are simulated. Raises InputError when there is none, or none that may be
    asked here."""
    secrets = _Secrets(environ, credential, management)
    endpoint = _simulated(teacher, environ, position, simulation) if route == "simulated" else _real(teacher, secrets)
    if _inside_azure_ml(environ) and (route == "simulated" or is_loopback(urlsplit(endpoint.url).hostname or "")):
        raise InputError(
            f"teacher {teacher.model!r}: {endpoint.url!r} can't be asked inside Azure ML; "
            "set teacher_route to endpoint and give the endpoint's public or private address"
        )
    return endpoint


@dataclass(frozen=True)
class _Secrets:
    """Where secrets come from: the environment, an identity, the workspace's management API."""

    environ: Mapping[str, str] = field(repr=False)
    given: Credential | None
    management: str

    def credential(self) -> Credential:
        return self.given or ambient_credential(self.environ)


def _real(teacher: Teacher, secrets: _Secrets) -> Endpoint:
    """Where a workspace is at hand its connection counts, so that one spec can say both."""
    if teacher.connection and has_workspace(secrets.environ):
        found = read_connection(teacher.connection, secrets.environ, secrets.credential(), secrets.management)
        url = chat_url(found.endpoint)
        access = HeldKey(found.key, teacher.connection) if found.key else _entra(teacher, url, secrets)
        return Endpoint(url, teacher, url.partition("?")[0], access)
    if teacher.endpoint is None:
        raise InputError(
            f"teacher {teacher.model!r}: connection {teacher.connection!r} is read from an Azure workspace; "
            "on this machine give endpoint and key_variable, or set teacher_route to simulated"
        )
    url = chat_url(teacher.endpoint)
    return Endpoint(url, teacher, url.partition("?")[0], _access(teacher, url, secrets))


def _access(teacher: Teacher, url: str, secrets: _Secrets) -> Access:
    if teacher.key_variable:
        return VariableKey(f"teacher {teacher.model!r}", teacher.key_variable, secrets.environ)
    return _entra(teacher, url, secrets) if teacher.entra_scope else Access()


def _entra(teacher: Teacher, url: str, secrets: _Secrets) -> EntraToken:
    return EntraToken(f"teacher {teacher.model!r}", teacher.entra_scope or usual_scope(url), secrets.credential)


def usual_scope(url: str) -> str:
    """The scope that an endpoint of Azure usually asks for: a Foundry project another than a resource."""
    return PROJECT_SCOPE if "/api/projects/" in url else RESOURCE_SCOPE


def _simulated(teacher: Teacher, environ: Mapping[str, str], position: int, simulation: Mapping[str, Any]) -> Endpoint:
    addresses = environ.get(SIMULATOR_VARIABLE, "").split()
    if position >= len(addresses):
        what = f"names {len(addresses)} of them" if addresses else "is not set"
        raise InputError(
            f"teacher {teacher.called!r}: teacher_route is simulated, but {SIMULATOR_VARIABLE} {what}; "
            "`azdistill run` starts the simulated teachers and sets it"
        )
    return Endpoint(chat_url(addresses[position]), teacher, simulated_identity(simulation))


DECIDING = ("expert", "seed", "wrong_rate", "truncated_rate", "reasoning", "ignored_parameters", "examples")
"""Fields of a simulation that decide an answer. Not the faults that pass, nor the limits and the latency."""


def simulated_identity(simulation: Mapping[str, Any]) -> str:
    """What goes into store keys in place of the address, which is another one in each run."""
    deciding = {name: simulation[name] for name in DECIDING if name in simulation}
    return f"simulated:{json.dumps(deciding, sort_keys=True)}"


def chat_url(address: str) -> str:
    """The chat completions URL of a base or full URL; given its own result, it returns it unchanged.

    Raises InputError for a URL with a password in it. Source: the URL shapes of Azure's serverless,
    Foundry and OpenAI endpoints.
    """
    parts, host = _split(address.strip())
    if parts.username or parts.password:
        raise InputError("teacher: endpoint holds a user name or password; name the key's variable in key_variable")
    path = _chat_path(host, parts.path.rstrip("/"))
    return urlunsplit(SplitResult(parts.scheme, parts.netloc, path, _query(path, parts.query), ""))


def _split(address: str) -> tuple[SplitResult, str]:
    try:
        parts = urlsplit(address)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts, parts.hostname
    except ValueError:  # a bracket left open, a port out of range
        pass
    raise InputError(f"teacher: endpoint {address!r} is not an http(s) URL; paste the endpoint's address")


def _chat_path(host: str, path: str) -> str:
    if path.endswith(CHAT):
        return path
    if path == "":
        foundry = host.endswith((".services.ai.azure.com", ".openai.azure.com"))
        return ("/openai/v1" if foundry else "/v1") + CHAT
    if "/api/projects/" in path and "/openai" not in path:
        return path + "/openai/v1" + CHAT
    return path + CHAT


def _query(path: str, query: str) -> str:
    """Foundry's `/models` route answers only when asked for a version."""
    if path != "/models" + CHAT or "api-version=" in query:
        return query
    return f"{query}&{FOUNDRY_VERSION}" if query else FOUNDRY_VERSION


def _inside_azure_ml(environ: Mapping[str, str]) -> bool:
    return any(environ.get(name) for name in AZURE_ML_VARIABLES)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
