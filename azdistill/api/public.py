"""The public names of the package, resolved when they are first asked for."""

from importlib import import_module
from typing import Any

NAMES = {
    "DistillationClient": "azdistill.api.client",
    "DistillationJob": "azdistill.job.model",
    "compile_job": "azdistill.job.bundle",
    "fine_tune_student": "azdistill.api.fine_tune",
    "generate_teacher_responses": "azdistill.api.generate",
    "generate_teacher_responses_async": "azdistill.api.generate",
    "load_job": "azdistill.job.loading",
    "run_pipeline": "azdistill.engine.local.engine",
}
"""Name -> the module that defines it. A test pins this list."""


def resolve(name: str) -> Any:
    """Import the one module that defines a public name. Raises AttributeError for any other."""
    if name not in NAMES:
        raise AttributeError(f"module 'azdistill' has no attribute {name!r}; public: {', '.join(sorted(NAMES))}")
    return getattr(import_module(NAMES[name]), name)
