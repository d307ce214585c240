"""Count rejected rows by reason."""

from collections import Counter
from collections.abc import Iterable

from azdistill.contracts.layout import REJECTS_FILE
from azdistill.contracts.rows import Reject

# Reasons that an error shows.
SHOWN_REASONS = 3


class RejectCounts:
    """Number of rejected rows by reason, and the first row of each reason. `file` has all of them."""

    def __init__(self, rejects: Iterable[Reject] = (), file: str = REJECTS_FILE) -> None:
        self._file = file
        self.reasons: Counter[str] = Counter()
        self.examples: dict[str, Reject] = {}
        for reject in rejects:
            self.add(reject)

    def add(self, reject: Reject) -> None:
        self.reasons[reject.reason] += 1
        self.examples.setdefault(reject.reason, reject)

    @property
    def total(self) -> int:
        return self.reasons.total()

    def __str__(self) -> str:
        """The most frequent reasons, each with its number of rows and an example."""
        shown = [
            f"{count} {reason} ({self.examples[reason].source}: {self.examples[reason].detail})"
            for reason, count in self.reasons.most_common(SHOWN_REASONS)
        ]
        others = len(self.reasons) - len(shown)
        return "; ".join(shown) + (f"; and {others} more reasons, all in {self._file}" if others else "")
