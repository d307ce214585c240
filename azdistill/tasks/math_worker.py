"""Process that parses and compares mathematical expressions with math-verify.

It reads a JSON list a line, ["parse", EXPRESSION] or ["verify", REFERENCE, ANSWER], and answers each with true or
false. It is a process of its own because math-verify interrupts a long computation by SIGALRM, and because sympy may
hang or run out of memory on what a model writes. It is run as a file and imports nothing of azdistill.
"""

import json
import logging
import sys
from functools import lru_cache
from typing import Any

# Seconds for one expression, and for one comparison.
TIMEOUT_S = 3

# Address space in bytes: 9^{9^{9}} would fill the memory of the machine.
MOST_MEMORY = 4 << 30


@lru_cache(maxsize=20_000)
def parsed(expression: str) -> tuple[Any, ...]:
    """The expression as sympy's objects; empty if it is none."""
    from math_verify import LatexExtractionConfig, parse

    latex = LatexExtractionConfig(boxed_match_priority=-1)
    results = parse(f"${expression}$", [latex], fallback_mode="no_fallback", parsing_timeout=TIMEOUT_S)
    return tuple(item for item in results if str(item) not in ("zoo", "nan"))


def handle(request: list[str]) -> bool:
    if request[0] == "parse":
        return bool(parsed(request[1]))
    from math_verify import verify

    reference, answer = list(parsed(request[1])), list(parsed(request[2]))
    return bool(reference and answer) and bool(verify(reference, answer, timeout_seconds=TIMEOUT_S))


def limit_memory() -> None:
    """Set the limit where the operating system has one."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


def main() -> None:
    limit_memory()
    logging.disable(logging.CRITICAL)
    sys.set_int_max_str_digits(10_000)
    for line in sys.stdin:
        try:
            result = handle(json.loads(line))
        except Exception:  # whatever sympy raises on text that a model wrote: the expressions are not equal
            result = False
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
