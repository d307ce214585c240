"""Where a teacher lives and how to be let in. A key is read from the environment when a session opens, never held."""

import ipaddress
import json
import os
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit, urlunsplit

from azdistill.contracts.errors import InputError
from azdistill.contracts.teacher import SIMULATOR_VARIABLE, Simulation, Teacher

CHAT = "/chat/completions"
FOUNDRY_VERSION = "api-version=2024-05-01-preview"
AZURE_ML_VARIABLES = ("AZUREML_RUN_ID", "AZUREML_ARM_WORKSPACE_NAME")


@dataclass(frozen=True)
class Endpoint:
    """One teacher's address. `identity` goes into store keys: what is asked elsewhere is another answer."""

    url: str
    model: str
    identity: str
    key_variable: str | None = None

    def __str__(self) -> str:
        key = f" with the key in {self.key_variable}" if self.key_variable else ""
        return f"teacher {self.model!r} at {self.url}{key}"

    def headers(self, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Both headers that Azure's endpoints know. Raises InputError when the key's variable is not set."""
        if self.key_variable is None:
            return {}
        key = environ.get(self.key_variable, "").strip()
        if not key:
            raise InputError(
                f"teacher {self.model!r}: key_variable {self.key_variable!r} is not set in the environment; "
                f"set it to the key of {self.url}"
            )
        if not (key.isascii() and key.isprintable()):
            raise InputError(
                f"teacher {self.model!r}: the value of key_variable {self.key_variable!r} holds characters that "
                "no key has; set it again"
            )
        return {"Authorization": f"Bearer {key}", "api-key": key}

    def proxy(self) -> str | None:
        """The proxy that the environment names for this address (HTTPS_PROXY, NO_PROXY); never one for loopback."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        if is_loopback(host) or urllib.request.proxy_bypass(host):
            return None
        return urllib.request.getproxies().get(parts.scheme)

    def redact(self, text: str, environ: Mapping[str, str] = os.environ) -> str:
        """`text` from the endpoint without the key, which some endpoints repeat in their refusals."""
        key = environ.get(self.key_variable or "", "").strip()
        return text.replace(key, "[key]") if key else text


def resolve(teacher: Teacher, route: str, environ: Mapping[str, str] = os.environ) -> Endpoint:
    """The endpoint that `route` leads to. Raises InputError when there is none, or none that may be asked here."""
    endpoint = _simulated(teacher, environ) if route == "simulated" else _real(teacher)
    if _inside_azure_ml(environ) and (route == "simulated" or is_loopback(urlsplit(endpoint.url).hostname or "")):
        raise InputError(
            f"teacher {teacher.model!r}: {endpoint.url!r} can't be asked inside Azure ML; "
            "set teacher_route to endpoint and give the endpoint's public or private address"
        )
    return endpoint


def _real(teacher: Teacher) -> Endpoint:
    if teacher.endpoint is None:
        raise InputError(
            f"teacher {teacher.model!r}: connection {teacher.connection!r} is read from an Azure workspace; "
            "on this machine give endpoint and key_variable, or set teacher_route to simulated"
        )
    url = chat_url(teacher.endpoint)
    return Endpoint(url, teacher.model, url.partition("?")[0], teacher.key_variable)


def _simulated(teacher: Teacher, environ: Mapping[str, str]) -> Endpoint:
    address = environ.get(SIMULATOR_VARIABLE)
    if not address:
        raise InputError(
            f"teacher {teacher.model!r}: teacher_route is simulated, but {SIMULATOR_VARIABLE} is not set; "
            "`azdistill run` starts the simulated teacher and sets it"
        )
    return Endpoint(chat_url(address), teacher.model, simulated_identity(teacher.simulation))


def simulated_identity(simulation: Simulation) -> str:
    """What decides a simulated answer. Not the address, which changes, nor the faults that pass."""
    examples = f"&examples={json.dumps(simulation.examples)}" if simulation.examples else ""
    return (
        f"simulated:{simulation.expert}?seed={simulation.seed}"
        f"&wrong_rate={simulation.wrong_rate}&truncated_rate={simulation.truncated_rate}{examples}"
    )


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
