"""One of several processes of a distributed job: its prompts, and its fraction of budget, slots and rate limits."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from azdistill.contracts.errors import InputError
from azdistill.contracts.requests import RequestConfig
from azdistill.teacher.endpoint import Endpoint


@dataclass(frozen=True)
class Rank:
    """`number` of `world` processes, as Azure ML's `distribution: pytorch` numbers them. Rank 0 leads."""

    number: int = 0
    world: int = 1

    def __str__(self) -> str:
        return f"rank {self.number} of {self.world}"

    @property
    def leads(self) -> bool:
        return self.number == 0

    @property
    def share(self) -> float:
        return 1 / self.world

    def takes(self, key: str) -> bool:
        """True if this rank asks the request of a key. Keys are hashes, so each rank gets about as many, and the same
        ones in every run."""
        return int(key[:16], 16) % self.world == self.number

    def portion(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint with this rank's fraction of the requests in flight, at least one."""
        count, remainder = divmod(endpoint.teacher.max_in_flight, self.world)
        slots = max(count + (self.number < remainder), 1)
        return replace(endpoint, teacher=endpoint.teacher.model_copy(update={"max_in_flight": slots}))

    def budget(self, config: RequestConfig) -> float | None:
        """This rank's fraction of the budget."""
        return None if config.budget is None else config.budget * self.share


def rank_of(environ: Mapping[str, str]) -> Rank:
    """The rank of the variables RANK and WORLD_SIZE; 0 of 1 without them. Raises InputError for impossible values."""
    number, world = environ.get("RANK", "0"), environ.get("WORLD_SIZE", "1")
    if number.isdecimal() and world.isdecimal() and int(number) < int(world):
        return Rank(int(number), int(world))
    raise InputError(
        f"environment: RANK={number!r} and WORLD_SIZE={world!r} are no rank of a distributed job",
        fix="unset both, or set RANK to a number from 0 to below WORLD_SIZE",
    )
