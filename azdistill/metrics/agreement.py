"""Agreement: the fraction of the rows answered by the teacher on which the model gives the teacher's answer."""

from azdistill.metrics.metric import ModelAnswer, RowMetric


def score(answer: ModelAnswer) -> bool | None:
    return answer.matches(() if answer.teacher_answer is None else (answer.teacher_answer,))


METRIC = RowMetric(
    name="agreement",
    label="agrees with the teacher",
    unit="fraction",
    score=score,
    higher_is_better=True,
    client_names=("agreement",),
)
