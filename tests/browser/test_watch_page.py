"""The page of a run in progress, in a real browser: it follows the run, is accessible, and loads nothing."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import AXE
from tests.cli.conftest import AZDISTILL, Writer, folder, pipeline

__all__ = ["folder", "pipeline"]

pytestmark = pytest.mark.browser

DESKTOP, PHONE = {"width": 1100, "height": 800}, {"width": 390, "height": 844}

# A training that ends when the file `stop` exists, and a line that no page may run.
TRAIN = """\
import itertools, pathlib, time
print('<img src=x onerror=alert(1)>', flush=True)
for n in itertools.count(1):
    print(f'train: {n}/999 (9.9/s, 1 s left) loss {2 + 1 / n:.3f}', flush=True)
    time.sleep(.2)
    if pathlib.Path('STOP').exists():
        break
"""


@pytest.fixture
def watched(folder: Path, pipeline: Writer) -> Iterator[Path]:
    """The page of a run whose second node trains until there is a file `stop`. Run and watching end with the test."""
    (folder / "train.py").write_text(TRAIN.replace("STOP", str(folder / "stop")))
    train = f"{sys.executable} {folder / 'train.py'}"
    nodes = {"prepare": "echo rows", "train": train, "report": "echo done"}
    options = {"stdout": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
    run = subprocess.Popen([*AZDISTILL, "run", str(pipeline(nodes)), "-o", "runs/first", "--jobs", "1"], **options)
    log = folder / "runs/first/train/log.txt"
    wait_until(lambda: log.is_file() and "train: 5/999" in log.read_text())
    watching = subprocess.Popen([*AZDISTILL, "report", "first", "--watch"], **options)
    page = folder / "runs/first/watch.html"
    wait_until(page.is_file)
    try:
        yield page
        assert run.wait(60) == 0
        assert watching.wait(60) == 0
    finally:
        for process in (run, watching):
            process.kill()
            process.wait()


def wait_until(condition: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_the_page_follows_a_run_to_its_end(chromium: Any, watched: Path, tmp_path: Path) -> None:
    page = chromium.new_page(viewport=DESKTOP)
    requests, dialogs = set(), []
    page.on("request", lambda request: requests.add(request.url))
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.goto(watched.as_uri())
    assert page.locator(".headline").text_content().startswith("Running: 1 of 3 nodes are done.")
    for settings in ({"viewport": DESKTOP}, {"viewport": PHONE, "color_scheme": "dark"}):
        other = chromium.new_page(**settings)
        other.goto(watched.as_uri())
        other.get_by_label("reload every 2 seconds").uncheck()
        other.evaluate(AXE.read_text(encoding="utf-8"))
        violations = other.evaluate("axe.run().then(result => result.violations)")
        assert [(found["impact"], found["id"], found["nodes"][0]["html"]) for found in violations] == []
        assert other.evaluate("document.documentElement.scrollWidth") <= settings["viewport"]["width"]
        paused = other.locator(".soft").first.text_content()
        other.screenshot(path=str(tmp_path / f"watch-{settings['viewport']['width']}.png"), full_page=True)
    before = page.locator("#loss + p").text_content()
    page.wait_for_function("before => document.querySelector('#loss + p').textContent !== before", arg=before)
    (tmp_path / "stop").touch()
    page.get_by_text("Completed: 3 of 3 nodes are done.").wait_for(timeout=60_000)
    assert page.locator("script").count() == 0
    assert other.locator(".soft").first.text_content() == paused
    assert (requests, dialogs) == ({watched.as_uri()}, [])
