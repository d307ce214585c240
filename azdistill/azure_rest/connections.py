"""Properties of a workspace connection, as Azure returns them, and whether a teacher can use the connection.

Source: `WorkspaceConnectionPropertiesV2` of the API of Azure ML, 2024-10-01.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from azdistill.azure_rest.identity import HoldsSecret
from azdistill.contracts.chat_url import ONLINE_ENDPOINT_HOSTS, RESOURCE_HOSTS, chat_url
from azdistill.contracts.errors import InputError

# Categories of connections to model endpoints, with the type in the YAML of `az ml connection create`.
CATEGORIES = {
    "AIServices": "azure_ai_services",
    "AzureOpenAI": "azure_open_ai",
    "Serverless": "serverless",
    "OpenAI": "open_ai",
    "ApiKey": "api_key",
    "CustomKeys": "custom",
}
# Authentication types with a key, and those for which a job uses an Entra token of its managed identity.
KEY_TYPES = ("ApiKey", "CustomKeys", "AccountKey")
TOKEN_TYPES = ("AAD", "ManagedIdentity", "ProjectManagedIdentity")
NO_AUTHENTICATION = "None"
AUTH_TYPES = (*KEY_TYPES, *TOKEN_TYPES, NO_AUTHENTICATION)
AZURE_HOSTS = (*RESOURCE_HOSTS, *ONLINE_ENDPOINT_HOSTS, ".models.ai.azure.com")
# A connection to OpenAI has no target.
OPENAI = "https://api.openai.com/v1"

RECREATE = "create it as type azure_ai_services, with the endpoint of the resource"


@dataclass(frozen=True)
class ConnectionProperties(HoldsSecret):
    """Category, authentication type, target and keys of a connection. `keys` is empty if they were not requested."""

    category: str
    auth_type: str
    target: str
    keys: tuple[str, ...] = field(default=(), repr=False)

    @property
    def host(self) -> str:
        """Host of the target, for messages: the rest of a URL may hold a key."""
        try:
            return urlsplit(self.target).hostname or ""
        except ValueError:
            return ""

    @property
    def url(self) -> str:
        """URL of chat completions. Raises InputError for a connection that is no model endpoint."""
        if self.category not in CATEGORIES:
            raise InputError(
                f"its category is {self.category}, which is no model endpoint", code="other_category", fix=RECREATE
            )
        if not self.target:
            raise InputError("it has no target", code="no_target", fix=RECREATE)
        return chat_url(self.target)

    @property
    def authentication(self) -> Literal["key", "token", "none"]:
        """The authentication of a job. Raises InputError for a type that a teacher cannot use.

        Azure's own endpoints have no anonymous access: type None means a token for them.
        """
        if self.auth_type in KEY_TYPES:
            return "key"
        if self.auth_type in TOKEN_TYPES:
            return "token"
        if self.auth_type == NO_AUTHENTICATION:
            return "token" if self.host.endswith(AZURE_HOSTS) else "none"
        raise InputError(
            f"its authentication type is {self.auth_type}, which a teacher cannot use",
            code="other_authentication",
            fix="create it with an api_key, or without one for Entra ID",
        )


def read_properties(content: Any) -> ConnectionProperties:
    """Properties of a connection from the JSON of Azure's response. Users choose the names of custom keys."""
    properties = _mapping(_mapping(content).get("properties"))
    credentials = _mapping(properties.get("credentials"))
    keys = tuple(str(key) for key in (credentials.get("key"), *_mapping(credentials.get("keys")).values()) if key)
    category = _canonical(properties.get("category"), CATEGORIES) or "ApiKey"
    auth_type = _canonical(properties.get("authType"), AUTH_TYPES) or ("ApiKey" if keys else "AAD")
    target = str(properties.get("target") or "").strip() or (OPENAI if category == "OpenAI" else "")
    return ConnectionProperties(category, auth_type, target, keys)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _canonical(text: Any, known: Iterable[str]) -> str:
    """The spelling of `known` for a name, whose case differs between API versions."""
    name = str(text or "")
    return next((spelling for spelling in known if spelling.casefold() == name.casefold()), name)
