"""The endpoint's clock, which may be ahead of this machine's or behind it."""

import time
from collections.abc import Mapping
from email.utils import formatdate


class Clock:
    """Ahead by `skew_s` seconds."""

    def __init__(self, skew_s: float) -> None:
        self._skew_s = skew_s

    def now(self) -> float:
        return time.time() + self._skew_s

    def headers(self) -> Mapping[str, str]:
        """The Date of a clock that is off; a server sends the right one by itself."""
        return {"Date": formatdate(self.now(), usegmt=True)} if self._skew_s else {}
