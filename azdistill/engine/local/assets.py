"""Addresses of what is registered on Azure ML: data, models, components, environments."""

import re
from dataclasses import dataclass

LATEST = "latest"

_SHORT = re.compile(r"azureml:(\w[\w.-]*)(?::([\w.-]+)|@([\w.-]+))?")
_LONG = re.compile(
    r"azureml:/{1,2}(?!.*datastores/).*/(?:data|models|components|environments)/"
    r"(\w[\w.-]*)(?:/versions/([\w.-]+)|/labels/([\w.-]+))"
)


@dataclass(frozen=True)
class Asset:
    """A registered thing: a version, a label such as `latest`, or neither, which is the latest too."""

    name: str
    version: str | None = None
    label: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What a user may call it, the most exact first."""
        exact = f"{self.name}:{self.version}" if self.version else f"{self.name}@{self.label}" if self.label else None
        plain = (exact, self.name) if exact else (self.name,)
        return tuple(form for name in plain for form in (f"azureml:{name}", name))


def asset(address: str) -> Asset | None:
    """`azureml:NAME:VERSION`, `azureml:NAME@LABEL`, `azureml:NAME` and the long forms of a workspace or a registry;
    None for any other address."""
    found = _SHORT.fullmatch(address) or _LONG.fullmatch(address)
    return Asset(*found.groups()) if found else None
