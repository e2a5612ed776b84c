import logging

import pytest

from testbed import logs

LOGGER = logging.getLogger("testbed.test_logs")


def test_a_step_that_ends_is_logged_with_its_time(caplog):
    with caplog.at_level(logging.INFO, "testbed"), logs.timed(LOGGER, "make tea"):
        pass
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.getMessage().startswith("make tea took 0.0")


def test_a_step_that_fails_is_a_warning_with_the_error(caplog):
    with pytest.raises(ValueError, match="cold"), logs.timed(LOGGER, "make tea"):
        raise ValueError("cold")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "make tea failed after" in record.getMessage()
    assert "ValueError('cold')" in record.getMessage()


def test_nothing_is_debugged_unless_configured():
    assert not logs.debugging()
