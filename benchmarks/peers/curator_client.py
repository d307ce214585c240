"""Bespoke Curator's LLM over a list of conversations, its rate limits out of the way.

Runs in a separate virtual environment: `curator_client.py URL PROMPTS IN_FLIGHT`.
"""

import importlib.util
import json
import os
import sys
import tempfile
from pathlib import Path

# It counts tokens with tables from the network; one of its dependencies has them on board.
TABLES = Path(importlib.util.find_spec("litellm").origin).parent / "litellm_core_utils" / "tokenizers"
os.environ |= {"OPENAI_API_KEY": "none", "TELEMETRY_ENABLED": "false", "TIKTOKEN_CACHE_DIR": str(TABLES)}

from bespokelabs import curator  # noqa: E402  # after the variables that it reads on import

ANY_NUMBER = 100_000_000


class Answers(curator.LLM):
    def prompt(self, row):
        return row["messages"]

    def parse(self, row, response):
        return {"answer": response}


def main(url: str, prompts: Path, in_flight: int) -> None:
    rows = [{"messages": json.loads(line)["messages"]} for line in prompts.read_text().splitlines()]
    limits = {"max_requests_per_minute": ANY_NUMBER, "max_tokens_per_minute": ANY_NUMBER}
    backend = {"base_url": f"{url}/v1", "max_concurrent_requests": in_flight, "max_retries": 0, **limits}
    llm = Answers("gpt-4o-mini", backend="openai", backend_params=backend, generation_params={"max_tokens": 256})
    with tempfile.TemporaryDirectory() as cache:
        print(len(llm(rows, working_dir=cache).dataset), "answers")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
