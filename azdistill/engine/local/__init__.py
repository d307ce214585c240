"""The local engine: runs any pipeline YAML; knows nothing of distillation.

`from azdistill.engine.local import run_pipeline` is what other projects need of it.
"""

from typing import Any

PUBLIC = ("Faults", "RunResult", "explain", "run_pipeline")


def __getattr__(name: str) -> Any:
    """Resolved when first asked for, as its parts import this package."""
    if name not in PUBLIC:
        raise AttributeError(f"module 'azdistill.engine.local' has no attribute {name!r}; public: {', '.join(PUBLIC)}")
    from azdistill.engine.local import engine

    return getattr(engine, name)
