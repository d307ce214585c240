"""Diagnostics of on-policy distillation, for the log of the training, and warnings."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Prefix of the diagnostics in Trainer's log, and the shares of the training time that are spent in generation and in
# waiting for a scoring teacher.
ROLLOUT = "rollout_"
GENERATION_SHARE, SCORING_SHARE = "generation_share", "scoring_share"

# A rollout that has the same LOOP_LENGTH tokens LOOP_REPEATS times is a loop.
LOOP_LENGTH, LOOP_REPEATS = 10, 3

# A warning is logged if fewer of the rollouts end, or of the teacher's likely tokens are the student's, or if rollouts
# become longer than this multiple of the first ones.
LEAST_ENDED, LEAST_OVERLAP, MOST_GROWTH = 0.5, 0.5, 2.0


@dataclass(frozen=True)
class RolloutCounts:
    """Sums over rollouts. `tokens` include the end tokens, `seconds` are those of their generation, `scoring_seconds`
    those in which a scoring teacher scored them."""

    rollouts: int = 0
    ended: int = 0
    tokens: int = 0
    loops: int = 0
    seconds: float = 0.0
    scoring_seconds: float = 0.0

    def __add__(self, other: "RolloutCounts") -> "RolloutCounts":
        return RolloutCounts(
            self.rollouts + other.rollouts,
            self.ended + other.ended,
            self.tokens + other.tokens,
            self.loops + other.loops,
            self.seconds + other.seconds,
            self.scoring_seconds + other.scoring_seconds,
        )

    @property
    def mean_length(self) -> float:
        return self.tokens / self.rollouts

    @property
    def eos_share(self) -> float:
        return self.ended / self.rollouts

    def diagnostics(self, seconds: float) -> dict[str, float]:
        """Diagnostics of steps that took `seconds`; none without rollouts."""
        if not self.rollouts:
            return {}
        return {
            f"{ROLLOUT}eos_share": round(self.eos_share, 4),
            f"{ROLLOUT}mean_length": round(self.mean_length, 2),
            f"{ROLLOUT}repeat_rate": round(self.loops / self.rollouts, 4),
            GENERATION_SHARE: round(self.seconds / seconds, 4),
            **({SCORING_SHARE: round(self.scoring_seconds / seconds, 4)} if self.scoring_seconds else {}),
        }


def warnings_of(
    counts: RolloutCounts, first: RolloutCounts, overlap: float | None, start_fraction: float
) -> Iterator[str]:
    """Warnings about rollouts, of which `first` are the first ones. `overlap` is that of `agreement_sums`."""
    if counts.mean_length > MOST_GROWTH * first.mean_length:
        yield "the sampled answers became twice as long: lower train.learning_rate or train.on_policy.share"
    if counts.eos_share < LEAST_ENDED:
        yield "most sampled answers do not end: raise train.on_policy.max_new_tokens or start_fraction"
    if overlap is not None and overlap < LEAST_OVERLAP and not start_fraction:
        yield "student and teacher have few likely tokens in common: set train.on_policy.start_fraction, such as 0.3"


def has_loop(token_ids: Sequence[int]) -> bool:
    """True if the same LOOP_LENGTH tokens occur LOOP_REPEATS times."""
    windows: Iterator[tuple[int, ...]] = zip(*(token_ids[start:] for start in range(LOOP_LENGTH)), strict=False)
    return max(Counter(windows).values(), default=0) >= LOOP_REPEATS
