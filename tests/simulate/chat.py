"""Send chat requests to a simulated teacher. Status 0 means a lost connection."""

import aiohttp


def body(text="hello", **parameters):
    return {"model": "m", "messages": [{"role": "user", "content": text}], **parameters}


async def chat(session, text="hello", path="/v1/chat/completions", headers=None, **parameters):
    try:
        async with session.post(path, json=body(text, **parameters), headers=headers) as response:
            content_type = response.content_type
            return (
                response.status,
                response.headers,
                await (response.json() if "json" in content_type else response.text()),
            )
    except (aiohttp.ClientError, OSError):
        return 0, {}, "reset"


async def chats(session, count, **parameters):
    return [await chat(session, f"hello {number}", **parameters) for number in range(count)]
