"""Addresses of registered assets of Azure ML: data, models, components, environments."""

import re
from dataclasses import dataclass

LATEST = "latest"

_SHORT = re.compile(r"azureml:(\w[\w.-]*)(?::(\w[\w.-]*)|@(\w[\w.-]*))?")
_LONG = re.compile(
    r"azureml:/{1,2}(?!.*datastores/).*/(?:data|models|components|environments)/"
    r"(\w[\w.-]*)(?:/versions/(\w[\w.-]*)|/labels/(\w[\w.-]*))"
)


@dataclass(frozen=True)
class Asset:
    """A registered asset: a version, a label such as `latest`, or neither, which means the latest version."""

    name: str
    version: str | None = None
    label: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names that a user may give it, the most exact first."""
        exact = f"{self.name}:{self.version}" if self.version else f"{self.name}@{self.label}" if self.label else None
        names = (exact, self.name) if exact else (self.name,)
        return tuple(form for name in names for form in (f"azureml:{name}", name))


def parse_asset(address: str) -> Asset | None:
    """Parse `azureml:NAME:VERSION`, `azureml:NAME@LABEL`, `azureml:NAME`, and the long addresses of a workspace or a
    registry. None for any other address."""
    match = _SHORT.fullmatch(address) or _LONG.fullmatch(address)
    return Asset(*match.groups()) if match else None
