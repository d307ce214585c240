"""Progress messages in notebooks: shown by default, left to the application when it has configured logging."""

import logging
from collections.abc import Iterator

import pytest

from azdistill.api.progress import import_warnings_hidden, show_progress

logger = logging.getLogger("azdistill.progress")


@pytest.fixture
def configured() -> Iterator[list[str]]:
    """An application that shows messages of level INFO itself."""
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield messages
    root.removeHandler(handler)
    root.setLevel(level)


def state() -> tuple[object, ...]:
    package = logging.getLogger("azdistill")
    return list(package.handlers), package.level, package.propagate


def test_messages_are_shown_inside_the_block_only(capsys: pytest.CaptureFixture[str]) -> None:
    before = state()
    with show_progress():
        logger.info("train: 1/2")
    logger.info("after the block")
    assert capsys.readouterr() == ("train: 1/2\n", "")
    assert state() == before


def test_progress_can_be_turned_off(capsys: pytest.CaptureFixture[str]) -> None:
    before = state()
    with show_progress(enabled=False):
        logger.info("train: 1/2")
        assert state() == before
    assert capsys.readouterr() == ("", "")


def test_an_application_that_shows_messages_gets_them_once(
    configured: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with show_progress():
        logger.info("train: 1/2")
    assert configured == ["train: 1/2"]
    assert capsys.readouterr() == ("", "")


def test_concurrent_blocks_share_one_handler(capsys: pytest.CaptureFixture[str]) -> None:
    before = state()
    first, second = show_progress(), show_progress()
    first.__enter__()
    second.__enter__()
    logger.info("both")
    first.__exit__(None, None, None)
    logger.info("second")
    second.__exit__(None, None, None)
    logger.info("none")
    assert capsys.readouterr().out == "both\nsecond\n"
    assert state() == before


def test_an_error_in_the_block_restores_the_logger() -> None:
    before = state()
    with pytest.raises(ZeroDivisionError), show_progress():
        raise ZeroDivisionError
    assert state() == before


def test_warnings_of_an_import_are_hidden_inside_the_block_only(caplog: pytest.LogCaptureFixture) -> None:
    imported = logging.getLogger("bitsandbytes")
    before = imported.level
    with import_warnings_hidden():
        imported.warning("no kernels")
    assert (caplog.messages, imported.level) == ([], before)
