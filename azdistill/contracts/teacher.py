"""Step teacher: ask the teachers for an answer to every prompt, and buy each answer once."""

from azdistill.contracts.layout import PROMPTS_FILE
from azdistill.contracts.requests import LONGEST_SUMMARY as LONGEST_SUMMARY
from azdistill.contracts.requests import SIMULATOR_VARIABLE as SIMULATOR_VARIABLE
from azdistill.contracts.requests import STORE_PATH as STORE_PATH
from azdistill.contracts.requests import Policy as Policy
from azdistill.contracts.requests import Prompting as Prompting
from azdistill.contracts.requests import RequestConfig
from azdistill.contracts.requests import Teacher as Teacher
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
        "simulation": Port(
            "uri_file", "JSON list: settings of the simulated teachers, for teacher_route simulated", optional=True
        ),
    },
    outputs={
        "completions": Port("uri_folder", "completions.jsonl, rejects.jsonl and usage.json"),
        "store": Port("uri_folder", "the response store, shared by all runs", mode="rw_mount", path=STORE_PATH),
    },
)
