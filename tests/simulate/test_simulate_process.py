"""The simulated teacher as a process: it comes up, answers, and always ends."""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from azdistill.contracts.simulation import Simulation
from azdistill.simulate.process import running

COMMAND = [sys.executable, "-m", "azdistill.simulate"]


def answers(url: str) -> bool:
    try:
        return b"simulated teacher" in urllib.request.urlopen(url, timeout=5).read()
    except OSError:
        return False


def gone(url: str, within_s: float = 5) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not answers(url):
            return True
        time.sleep(0.05)
    return False


def test_it_runs_while_the_block_lasts():
    with running(Simulation(latency_ms=0)) as url:
        assert url.startswith("http://127.0.0.1:")
        assert answers(url)
    assert gone(url)


def test_it_ends_when_its_parent_is_killed():
    script = (
        "from azdistill.contracts.simulation import Simulation\n"
        "from azdistill.simulate.process import running\n"
        "import time\n"
        "with running(Simulation()) as url:\n    print(url, flush=True); time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    url = parent.stdout.readline().strip()
    assert answers(url)
    parent.kill()
    parent.communicate()
    assert gone(url)


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_by_a_signal_without_output(signal_number):
    process = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    url = process.stdout.readline().strip()
    assert answers(url)
    process.send_signal(signal_number)
    _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, "")


def test_it_ends_after_its_lifetime():
    done = subprocess.run([*COMMAND, "--lifetime-s", "0.2"], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--simulation", json.dumps({"seed": -1})], "seed=-1"),
        (["--simulation", json.dumps({"sed": 1})], "--simulation: sed"),
        (["--simulation", "{"], "--simulation"),
        (["--key-variable", "NOT_SET_ANYWHERE"], "'NOT_SET_ANYWHERE'"),
        (["--port", "70000"], "port 70000"),
    ],
)
def test_invalid_input_is_one_line(options, text):
    done = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2
    assert text in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_port_in_use_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2
    assert f"port {port} cannot be used" in done.stderr
    assert done.stderr.count("\n") == 1
