"""The smoke test of a real student: the answers of step predict are those to the requests of a rollout."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.azure.deployment.files import release_of, write_files
from azdistill.azure.deployment.rollout import roll_out
from azdistill.azure.deployment.smoke import SmokeRow
from azdistill.contracts.predict import PredictConfig
from azdistill.contracts.rows import Message, Prompt
from tests.azure.deployments import Deployments, job_with
from tests.students import tiny

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from tests.workspace.simulated import SimulatedWorkspace


def test_a_student_gives_the_answers_of_its_evaluation(
    client: "MLClient", workspace: "SimulatedWorkspace", tmp_path: Path
) -> None:
    from azdistill.generation.generate import chat_reply
    from azdistill.generation.predict import predict
    from azdistill.students.loading import load_student

    student = load_student(tiny.write(tmp_path / "student", "qwen3"))
    turns = [tiny.turns(f"what is {n}?", "a number", "which one?", system="be short") for n in range(4)]
    prompts = [Prompt(id=f"{n:016x}", split="test", messages=turn, source="t") for n, turn in enumerate(turns)]
    config = PredictConfig(max_new_tokens=12, latency_rows=0)
    predictions, _ = predict(student, prompts, config)

    def answer(_: str, body: dict[str, Any]) -> str:
        messages = [Message.model_validate(message) for message in body["messages"]]
        return chat_reply(student, messages, body["max_tokens"])

    workspace.online.answer = answer
    deployments = Deployments(client, workspace, tmp_path)
    rows = [SmokeRow(p.id, p.messages, a.completion) for p, a in zip(prompts, predictions, strict=True)]
    job = job_with(smoke_agreement=1).model_copy(update={"predict": config})
    released = release_of(job, "azureml:support:1")
    write_files(released, deployments.folder)
    lines = list(roll_out(client, released, rows, deployments.folder))
    assert "deployment blue: 4 of 4 answers are those of the evaluation" in "\n".join(lines)
