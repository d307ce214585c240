"""Resolve the endpoint URL and the authentication of a teacher."""

import json
import os
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from azdistill.azure_rest.connections import ConnectionProperties
from azdistill.azure_rest.identity import Credential, ambient_credential
from azdistill.azure_rest.workspace import has_workspace
from azdistill.contracts.azure_ml import azure_ml_job
from azdistill.contracts.chat_url import chat_url, default_scope, is_loopback
from azdistill.contracts.errors import InputError
from azdistill.contracts.files import read_json
from azdistill.contracts.requests import RequestConfig, Teacher, simulator_variable
from azdistill.teacher.auth import Auth, ConnectionKey, EntraToken, EnvironmentKey
from azdistill.teacher.connection import Connection, read_connection, usable_connection

NO_SETTINGS: Mapping[str, Any] = MappingProxyType({})

# Fields of a simulation that decide an answer, unlike transient faults, rate limits and latency.
DECIDING_FIELDS = ("expert", "seed", "wrong_rate", "truncated_rate", "reasoning", "ignored_parameters", "examples")


@dataclass(frozen=True)
class Endpoint:
    """URL and authentication of a teacher.

    `identity` is part of the store keys, because another endpoint gives other answers. `top_logprobs` is set once it
    is known that the endpoint returns log probabilities.
    """

    url: str
    teacher: Teacher
    identity: str
    auth: Auth = field(default_factory=Auth, compare=False)
    top_logprobs: int = 0
    role: str = field(default="teacher", compare=False)

    @property
    def model(self) -> str:
        return self.teacher.model

    def __str__(self) -> str:
        return f"{self.role} {self.model!r} at {self.url}{self.auth.description}"

    def proxy(self) -> str | None:
        """URL of the proxy that HTTPS_PROXY and NO_PROXY name for this endpoint. A loopback host has none."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        if is_loopback(host) or urllib.request.proxy_bypass(host):
            return None
        return urllib.request.getproxies().get(parts.scheme)


def resolve_all(
    config: RequestConfig, environ: Mapping[str, str] = os.environ, simulation: Path | None = None
) -> list[Endpoint]:
    """Resolve every teacher of a job. `simulation` is the JSON file with the settings of simulated teachers.

    Raises what `resolve` does.
    """
    settings = read_json(simulation) if simulation and config.teacher_route == "simulated" else []
    return [
        resolve(
            teacher,
            config.teacher_route,
            environ,
            position=index,
            simulation=settings[index] if index < len(settings) else {"seed": index},
            role=config.role,
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
    management: str | None = None,
    role: str = "teacher",
) -> Endpoint:
    """Resolve one teacher by its route. A workspace connection is read now.

    `position` is the index of a simulated teacher and `simulation` its settings; `credential` and `management` replace
    those of the process. Raises InputError when there is no endpoint, or none that can be reached from this machine.
    """
    if route == "simulated":
        endpoint = _simulated_endpoint(teacher, environ, position, simulation, role)
    else:
        endpoint = _Resolver(teacher, environ, credential, management, role).endpoint()
    is_local = route == "simulated" or is_loopback(urlsplit(endpoint.url).hostname or "")
    if is_local and azure_ml_job(environ):
        raise InputError(
            f"{endpoint.url!r} cannot be reached inside Azure ML",
            code="loopback_endpoint",
            subject=f"{role} {teacher.model!r}",
            fix=f"set {role}_route to endpoint and endpoint to a public or private address",
        )
    return endpoint


def endpoint_of_connection(teacher: Teacher, properties: ConnectionProperties, credential: Credential) -> Endpoint:
    """The endpoint of a teacher whose connection was read already. `credential` gives tokens where it has no key.

    Raises InputError for a connection that a teacher cannot use.
    """
    name, connection = teacher.connection or teacher.model, usable_connection(properties)
    auth = _Resolver(teacher, {}, credential, None, "teacher").connection_auth(name, connection)
    return Endpoint(connection.url, teacher, connection.url.partition("?")[0], auth)


@dataclass(frozen=True)
class _Resolver:
    """Find URL and authentication of a teacher that is not simulated."""

    teacher: Teacher
    environ: Mapping[str, str] = field(repr=False)
    credential: Credential | None
    management: str | None
    role: str

    def endpoint(self) -> Endpoint:
        """In a workspace the connection takes precedence, so that one job file can name connection and endpoint."""
        teacher = self.teacher
        if teacher.connection and has_workspace(self.environ):
            connection = read_connection(teacher.connection, self.environ, self._credential(), self.management)
            url, auth = connection.url, self.connection_auth(teacher.connection, connection)
        elif teacher.endpoint is not None:
            url = chat_url(teacher.endpoint)
            auth = self._auth(url)
        else:
            raise InputError(
                f"connection {teacher.connection!r} can be read only in a job of its Azure ML workspace",
                code="no_endpoint",
                subject=f"{self.role} {teacher.model!r}",
                fix=f"on this machine set endpoint and key_variable, or set {self.role}_route to simulated",
            )
        return Endpoint(url, teacher, url.partition("?")[0], auth, role=self.role)

    def connection_auth(self, name: str, connection: Connection) -> Auth:
        if connection.key:
            return ConnectionKey(connection.key, name)
        needs_token = connection.needs_token or self.teacher.entra_scope
        return self._entra_token(connection.url) if needs_token else Auth()

    def _auth(self, url: str) -> Auth:
        if self.teacher.key_variable:
            return EnvironmentKey(f"{self.role} {self.teacher.model!r}", self.teacher.key_variable, self.environ)
        return self._entra_token(url) if self.teacher.entra_scope else Auth()

    def _entra_token(self, url: str) -> EntraToken:
        scope = self.teacher.entra_scope or default_scope(url)
        return EntraToken(f"{self.role} {self.teacher.model!r}", scope, self._credential)

    def _credential(self) -> Credential:
        return self.credential or ambient_credential(self.environ)


def _simulated_endpoint(
    teacher: Teacher, environ: Mapping[str, str], position: int, simulation: Mapping[str, Any], role: str
) -> Endpoint:
    variable = simulator_variable(role)
    addresses = environ.get(variable, "").split()
    if position >= len(addresses):
        state = f"has only {len(addresses)} addresses" if addresses else "is not set"
        raise InputError(
            f"{role}_route is simulated, but variable {variable} {state}",
            code="no_simulator",
            subject=f"{role} {teacher.called!r}",
            fix=f"`azdistill run` starts the simulated {role} and sets it",
        )
    return Endpoint(chat_url(addresses[position]), teacher, simulated_identity(simulation), role=role)


def simulated_identity(simulation: Mapping[str, Any]) -> str:
    """Identity of a simulated endpoint for store keys. It replaces the address, which differs in each run."""
    fields = {name: simulation[name] for name in DECIDING_FIELDS if name in simulation}
    return f"simulated:{json.dumps(fields, sort_keys=True)}"
