"""URL and Entra scope of the chat completions of an endpoint, from the URL that a user pastes."""

import ipaddress
import re
from urllib.parse import SplitResult, parse_qsl, urlsplit, urlunsplit

from azdistill.contracts.errors import InputError
from azdistill.contracts.problems import authenticates

CHAT = "/chat/completions"
V1 = f"/openai/v1{CHAT}"

# Hosts of a Foundry or Azure OpenAI resource. Sources: "Endpoints for Microsoft Foundry Models", "Microsoft Foundry in
# Azure Government", and the audiences of Azure's SDKs for China (`cognitiveservices.azure.cn`).
RESOURCE_HOSTS = tuple(
    f".{service}.azure.{domain}"
    for domain in ("com", "us", "cn")
    for service in ("services.ai", "openai", "cognitiveservices")
)
# Hosts of managed online endpoints of Azure ML. Source: "Use a workspace with a custom DNS server".
ONLINE_ENDPOINT_HOSTS = (".inference.ml.azure.com", ".inference.ml.azure.us", ".inference.ml.azure.cn")

# Paths of a resource: v1 of the resource and of its projects, a deployment of Azure OpenAI, and the older route of
# Foundry. The last two require an API version.
V1_PATH = re.compile(r"(?P<project>/api/projects/[^/]+)?(/openai(/v1)?(/chat/completions)?)?")
DEPLOYMENT_PATH = re.compile(r"(?P<base>/openai/deployments/[^/]+)(/chat/completions)?")
MODELS_PATH = re.compile(r"(?P<base>/models)(/chat/completions)?")
DEPLOYMENT_VERSION = "2024-10-21"
MODELS_VERSION = "2024-05-01-preview"

# Last parts of paths that are complete and are not chat completions.
OTHER_APIS = frozenset({"score", "responses", "completions", "embeddings", "messages", "generate", "invocations"})


def chat_url(address: str) -> str:
    """Complete a base URL to that of chat completions. A complete URL is returned unchanged.

    Raises InputError for anything but an http(s) URL, for a URL with a password, and for the URL of another API.
    """
    parts = _parse_url(address.strip())
    if parts.username or parts.password:
        raise InputError(
            "it has a user name or password",
            code="secret_in_url",
            fix="set key_variable to the name of the variable with the key",
        )
    if parts.fragment or any(authenticates(name, value) for name, value in parse_qsl(parts.query)):
        raise InputError(
            "it has a fragment, which is never sent" if parts.fragment else "it has a key in its query",
            code="secret_in_url",
            fix="write it without, and set key_variable to the name of the variable with the key",
        )
    host, path = parts.hostname or "", parts.path.rstrip("/")
    if host.endswith(RESOURCE_HOSTS):
        path, version = _resource_path(host, path)
    else:
        path, version = _server_path(parts, path), None
    query = parts.query
    if version and "api-version=" not in query:
        query = "&".join(filter(None, (query, f"api-version={version}")))
    return urlunsplit(SplitResult(parts.scheme, parts.netloc, path, query, ""))


def default_scope(url: str) -> str:
    """Scope of the Entra tokens that an Azure endpoint usually requires, in the cloud of its host.

    Sources: "Endpoints for Microsoft Foundry Models" (resource, project), "Authenticate clients for online endpoints",
    "Microsoft Foundry in Azure Government", `azure.ai.ml._azure_environments`.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    domain = next((name for name in ("azure.us", "azure.cn") if host.endswith(f".{name}")), "azure.com")
    if host.endswith(ONLINE_ENDPOINT_HOSTS):
        return f"https://ml.{domain}/.default"
    service = "ai" if "/api/projects/" in parts.path else "cognitiveservices"
    return f"https://{service}.{domain}/.default"


def inference_role(url: str) -> str:
    """Role that an identity needs to send requests to an Azure endpoint, on its workspace, project or resource.

    Sources: "Authenticate clients for online endpoints", "Configure keyless authentication with Microsoft Entra ID".
    """
    parts = urlsplit(url)
    if (parts.hostname or "").endswith(ONLINE_ENDPOINT_HOSTS):
        return "AzureML Data Scientist"
    return "Azure AI User" if "/api/projects/" in parts.path else "Cognitive Services User"


def _parse_url(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:  # for example an unclosed bracket, or a port that is out of range
        pass
    raise InputError(
        "not an http(s) URL",
        code="invalid_url",
        fix="copy the address of the endpoint from the Azure portal",
    )


def _resource_path(host: str, path: str) -> tuple[str, str | None]:
    """Path of chat completions of a Foundry or Azure OpenAI resource, and the API version that it requires."""
    if match := V1_PATH.fullmatch(path):
        return (match["project"] or "") + V1, None
    if match := DEPLOYMENT_PATH.fullmatch(path):
        return match["base"] + CHAT, DEPLOYMENT_VERSION
    if match := MODELS_PATH.fullmatch(path):
        return match["base"] + CHAT, MODELS_VERSION
    raise InputError(
        f"{path!r} is no path of chat completions of a Foundry or Azure OpenAI resource",
        code="other_api",
        fix=f"use https://{host}/openai/v1",
    )


def _server_path(parts: SplitResult, path: str) -> str:
    """Path of chat completions of any other server: a serverless or managed online endpoint, or one of your own."""
    if path.endswith(CHAT):
        return path
    parent, _, last = path.rpartition("/")
    if last.lower() in OTHER_APIS:
        raise _other_api(parts, parent, last)
    return (path or "/v1") + CHAT


def _other_api(parts: SplitResult, parent: str, last: str) -> InputError:
    """Source: azureml-examples, "Chat completion inference using Online Endpoints": `/score` accepts `input_data`, and
    a deployment that serves the model with vLLM has `/v1/chat/completions`, too."""
    base = urlunsplit((parts.scheme, parts.netloc, parent or "/v1", "", ""))
    if last.lower() == "score":
        message = "'/score' is the scoring route of Azure ML, which does not accept chat completions"
        fix = f"use {base}, where a deployment with vLLM serves them; one with MLflow serves none"
    else:
        message, fix = f"'/{last}' is another API than chat completions", f"use {base}"
    return InputError(message, code="other_api", fix=fix)


def is_loopback(host: str) -> bool:
    """True for the name or address of a host that only the machine itself reaches."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
