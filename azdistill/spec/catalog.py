"""What the short names of teachers and students stand for. Dated data, never an allow-list.

As of 2026-07 (Azure model catalog). An unknown teacher is taken as the endpoint's own
model name; an unknown student as a path or an `azureml:` address.
"""

from dataclasses import dataclass

_REGISTRY = "azureml://registries/azureml/models/{}/versions/{}"


@dataclass(frozen=True)
class StudentModel:
    """A student of the catalog: its registry name and version, and the smallest GPU VM that trains it."""

    registry_name: str
    version: int
    instance_type: str

    @property
    def address(self) -> str:
        return _REGISTRY.format(self.registry_name, self.version)


TEACHERS = {
    "deepseek-v3": "DeepSeek-V3.2",
    "deepseek-r1": "DeepSeek-R1-0528",
    "llama-3.3-70b": "Llama-3.3-70B-Instruct",
    "llama-4-maverick": "Llama-4-Maverick-17B-128E-Instruct-FP8",
    "gpt-oss-120b": "gpt-oss-120b",
}
"""Alias -> deployment name. `deepseek-v3` is served by V3.2 since V3-0324 retired on 2026-07-13."""

STUDENTS = {
    "phi-4-mini": StudentModel("Phi-4-mini-instruct", 1, "Standard_NC24ads_A100_v4"),
    "phi-4": StudentModel("Phi-4", 7, "Standard_NC40ads_H100_v5"),
    "phi-3.5-mini": StudentModel("Phi-3.5-mini-instruct", 6, "Standard_NC24ads_A100_v4"),
}
"""Alias -> student."""
