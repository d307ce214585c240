"""The teacher step under a wall clock that jumps: durations do not depend on it."""

import os
import time

import pytest

from azdistill.contracts.files import read_json
from azdistill.contracts.manifest import read_manifest
from tests.teacher.simulated_azure import simulated_azure

SCOPE = "https://cognitiveservices.azure.com/.default"
# Python runs this file at the start of a process. Each reading of the clock is off by another number of seconds.
JUMPING_CLOCK = """
import itertools, time
clock, jumps = time.time_ns, itertools.cycle([0, 7200, -7200, 10**8, -(10**8), -(2 * 10**9)])
time.time_ns = lambda: clock() + next(jumps) * 10**9
time.time = lambda: time.time_ns() / 1e9
"""


@pytest.fixture
def jumping_clock(tmp_path):
    """Environment of a process whose wall clock jumps."""
    folder = tmp_path / "clock"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(JUMPING_CLOCK)
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))}


def test_ranks_whose_clocks_jump_answer_every_row(step, simulate, prompts, configure, jumping_clock):
    """Tokens, retries, rate limits, the budget, and the heartbeats of ranks."""
    step.write_prompts(prompts(40))
    teacher, url = simulate(throttle_rate=0.1, error_rate=0.1, entra_scope=SCOPE)
    prices = {"input_price": 1.0, "output_price": 1.0}
    config = configure(url, teacher={"entra_scope": SCOPE, **prices}, budget=1.0, timeout_s=5.0)
    with simulated_azure() as azure:
        identity = {**azure.managed_identity(), "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential"}
        ranks = [step.start(config, RANK=str(rank), WORLD_SIZE="2", **identity, **jumping_clock) for rank in range(2)]
        started = time.monotonic()
        errors = [rank.communicate(timeout=60)[1] for rank in ranks]
        tokens = len(azure.requests)
    assert [rank.returncode for rank in ranks] == [0, 0], errors
    assert time.monotonic() - started < 20
    assert tokens <= 4, "a token is not fetched again for every request"
    assert read_manifest(step.completions).counts["answered"] == 40
    assert {"http_429", "http_500"} <= read_json(step.completions / "usage.json")["retries"].keys()
    assert teacher.bought.total() <= 40 + 2, "each row once, and a preflight by each rank"
