"""Step teacher: ask the teachers for an answer to every prompt, and buy each answer once."""

from azdistill.contracts.layout import PROMPTS_FILE
from azdistill.contracts.requests import SIMULATION, STORE, RequestConfig
from azdistill.contracts.step import Port, Step
from azdistill.contracts.task import TASK_FILE


class TeacherConfig(RequestConfig):
    """Teachers, sampling parameters, rate limits and retries."""


STEP = Step(
    name="teacher",
    description="Ask the teachers for an answer to every prompt, and store each answer.",
    config=TeacherConfig,
    inputs={
        "prompts": Port("uri_folder", PROMPTS_FILE),
        "answers": Port("uri_file", "completions or logs with answers, for teacher_route completions", optional=True),
        "task_file": TASK_FILE,
        "simulation": SIMULATION,
    },
    outputs={
        "completions": Port("uri_folder", "completions.jsonl, rejects.jsonl and usage.json"),
        "store": STORE,
    },
)
