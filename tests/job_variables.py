"""Variables of a process that runs in a job of Azure ML."""

from azdistill.engine.job_variables import RUN_ID, SUBSCRIPTION


def job_variables(run: str = "run-1") -> dict[str, str]:
    """The variables by which a step recognises that it runs in a job of Azure ML."""
    return {RUN_ID: run, SUBSCRIPTION: "11111111-1111-1111-1111-111111111111"}
