"""Cost of a distillation, and of answers by the teacher and by the student, from the prices of the job."""

from azdistill.contracts.report import ReportConfig
from azdistill.contracts.results import Profile, ScorerUsage, Usage
from azdistill.reporting.report import Costs

HOUR = 3600


def costs(
    usage: Usage,
    training_seconds: float,
    profile: Profile,
    prices: ReportConfig,
    judge: Usage | None = None,
    augment: Usage | None = None,
    judge_answers: Usage | None = None,
    scorer: ScorerUsage | None = None,
) -> Costs:
    """Costs of this distillation. `training_seconds` and the student's `profile` are as the steps measured them,
    `judge` is the usage of a judge of test rows, `judge_answers` that of a judge of the teacher's answers, `augment`
    that of new prompts, `scorer` that of a teacher that scores sampled answers."""
    useful = usage.ledger.get("useful")
    teacher = usage.cost or None
    return Costs(
        teacher=teacher,
        by_outcome={outcome: used.cost for outcome, used in usage.ledger.items() if used.cost},
        augment=_paid(augment),
        judge_answers=_paid(judge_answers),
        judge=_paid(judge),
        scorer=(scorer.spent or None) if scorer else None,
        training=None if prices.training_hour_price is None else prices.training_hour_price * training_seconds / HOUR,
        teacher_per_1000=1000 * useful.cost / useful.calls if useful and useful.cost else None,
        student_per_1000=profile.with_cost(prices.serving_hour_price).cost_per_1000,
    )


def _paid(usage: Usage | None) -> float | None:
    """The cost of all calls; None without one."""
    return (usage.cost or None) if usage else None
