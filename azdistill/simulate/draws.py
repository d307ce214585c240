"""Luck that repeats: every draw is a hash of the seed, what is drawn, and the conversation."""

import hashlib


def draw(seed: int, what: str, conversation: str) -> float:
    """A number in [0, 1) that is the same in every process and on every machine. `conversation` is a prompt id,
    which is a hash of the messages."""
    digest = hashlib.sha256(f"{seed}\0{what}\0{conversation}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56
