"""Step judge_answers: a language model scores the teacher's answers before they become training rows."""

from azdistill.contracts.judge_requests import JUDGE_SIMULATION, JudgeSettings
from azdistill.contracts.layout import ANSWER_SCORES_FILE, JUDGE_SUMMARY_FILE, USAGE_FILE
from azdistill.contracts.requests import STORE
from azdistill.contracts.step import Port, Step

STEP = Step(
    name="judge_answers",
    description="Ask a judge for a score of each answer of the teacher that may become a training row.",
    config=JudgeSettings,
    inputs={
        "completions": Port("uri_folder", "completions.jsonl of the teacher"),
        "rubric": Port("uri_file", "text by which the judge decides"),
        "judge_simulation": JUDGE_SIMULATION,
    },
    outputs={
        "answer_scores": Port("uri_folder", f"{ANSWER_SCORES_FILE}, {JUDGE_SUMMARY_FILE} and {USAGE_FILE}"),
        "store": STORE,
    },
)
