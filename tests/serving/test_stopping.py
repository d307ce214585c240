"""The first signal asks a server to stop, and a second one ends it."""

import signal
import subprocess
import sys

import pytest

SERVER = """\
import asyncio
from azdistill.serving.stopping import first_of, stop_on_signals
async def serve():
    stop = stop_on_signals()
    print("ready", flush=True)
    await first_of(stop, asyncio.Event())
    print("stopping", flush=True)
    await asyncio.sleep(60)
asyncio.run(serve())
"""


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_it(first: signal.Signals, second: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout
    for line, number in (("ready\n", first), ("stopping\n", second)):
        assert process.stdout.readline() == line
        process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == -second
