"""Step judge: a language model compares or scores the answers to the test rows, by a rubric."""

from typing import Literal

from pydantic import Field

from azdistill.contracts.judge_requests import JUDGE_SIMULATION, JudgeSettings
from azdistill.contracts.requests import STORE
from azdistill.contracts.step import Port, Step


class JudgeConfig(JudgeSettings):
    """The model that judges the answers of student, teacher and baseline."""

    mode: Literal["pairwise", "score"] = Field(
        "pairwise",
        description="pairwise: which of two answers is better, asked in both orders, for each pair of models. "
        "score: one answer, from 1 to 5.",
    )
    rows: int = Field(200, ge=0, description="Maximum number of test rows that are judged; 0: all.")


STEP = Step(
    name="judge",
    description="Ask a judge which answers to the test rows are better, and store each verdict.",
    config=JudgeConfig,
    inputs={
        "prompts": Port("uri_folder", "prompts.jsonl with the test rows and their reference answers"),
        "completions": Port("uri_folder", "the teacher's answers"),
        "student": Port("uri_folder", "the student's predictions"),
        "baseline": Port("uri_folder", "the baseline's predictions"),
        "answer_scores": Port(
            "uri_folder", "of step judge_answers, whose cost counts towards the budget", optional=True
        ),
        "rubric": Port("uri_file", "text by which the judge decides"),
        "human_labels": Port("uri_file", "JSONL file of verdicts by people", optional=True),
        "judge_simulation": JUDGE_SIMULATION,
    },
    outputs={
        "judgements": Port("uri_folder", "verdicts.jsonl, labels.jsonl, summary.json and usage.json"),
        "store": STORE,
    },
)
