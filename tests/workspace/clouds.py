"""Addresses of a sovereign cloud, for a simulated workspace that is in one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tests.workspace.wire import Reply, Request


@dataclass(frozen=True)
class SimulatedCloud:
    """A cloud by its name in the SDK. `domains` maps the domains of the public cloud to its own."""

    name: str
    domains: Mapping[str, str]

    def requested(self, request: Request) -> Request:
        """`request` with the host of the public cloud, for which the routes are written. A request that went to the
        public cloud gets a host without a route."""
        if any(request.host.endswith(domain) for domain in self.domains):
            return replace(request, host=f"{request.host} (the workspace is in {self.name})")
        return replace(request, host=_with(request.host, {own: public for public, own in self.domains.items()}))

    def replied(self, reply: Reply) -> Reply:
        """`reply` with the addresses of this cloud."""
        body = None if reply.body is None else json.loads(self.own(json.dumps(reply.body)))
        headers = {name: self.own(value) for name, value in reply.headers.items()}
        return Reply(reply.status, body, headers)

    def own(self, text: str) -> str:
        """Text with the domains of the public cloud replaced."""
        return _with(text, self.domains)


def _with(text: str, names: Mapping[str, str]) -> str:
    for name, other in names.items():
        text = text.replace(name, other)
    return text


PUBLIC = SimulatedCloud("AzureCloud", {})
# Source: azure.ai.ml._azure_environments; "Use a workspace with a custom DNS server".
US_GOVERNMENT = SimulatedCloud(
    "AzureUSGovernment",
    {
        "management.azure.com": "management.usgovcloudapi.net",
        "eastus.api.azureml.ms": "usgovarizona.api.ml.azure.us",
        "api.azureml.ms": "api.ml.azure.us",
        "ml.azure.com": "ml.azure.us",
    },
)
