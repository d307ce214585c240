"""AsyncOpenAI as its own documentation has it: one client, a semaphore's worth of places, no retries.

Runs in a separate virtual environment: `openai_client.py URL PROMPTS IN_FLIGHT`.
"""

import asyncio
import json
import sys
from pathlib import Path

from openai import AsyncOpenAI, DefaultAsyncHttpxClient


async def main(url: str, prompts: Path, in_flight: int) -> None:
    rows = iter([json.loads(line) for line in prompts.read_text().splitlines()])
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, http_client=DefaultAsyncHttpxClient())
    answers: list[str | None] = []

    async def place() -> None:
        for row in rows:
            reply = await client.chat.completions.create(model="m", messages=row["messages"], max_tokens=256)
            answers.append(reply.choices[0].message.content)

    async with client:
        await asyncio.gather(*(place() for _ in range(in_flight)))
    print(len(answers), "answers")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
