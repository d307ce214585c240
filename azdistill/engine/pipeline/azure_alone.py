"""What a pipeline says to Azure ML alone: who it runs as, how it is queued, what may be reached while it runs."""

from azdistill.engine.pipeline.documents import Pipeline
from azdistill.engine.pipeline.reading import Part
from azdistill.engine.problems import Problem

_AZURE_ALONE = ("identity", "queue_settings", "services")


def azure_alone(pipeline: Pipeline) -> list[Problem]:
    """One warning for a whole file, at the first of what has no effect on this machine; none where there is none."""
    root = Part(pipeline.document, [])
    parts = [root, *(root.at("jobs", name) for name in pipeline.nodes)]
    given = [part.at(name) for part in parts for name in _AZURE_ALONE if part.mapping().get(name) is not None]
    if not given:
        return []
    names = list(dict.fromkeys(str(part.place[-1]) for part in given))
    more = f", as are {', '.join(names[1:])}" if names[1:] else ""
    given[0].warning(f"without effect on this machine{more}", value=None, scope="local")
    return root.found
