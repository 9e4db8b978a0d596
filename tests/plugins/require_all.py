"""A pytest plugin that fails the run when any test was skipped: `PYTHONPATH=tests/plugins pytest -p require_all`."""

from __future__ import annotations

import pytest

_SKIPPED = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    skipped: list[str] = []
    config.stash[_SKIPPED] = skipped
    config.pluginmanager.register(_Recorder(skipped))


class _Recorder:
    def __init__(self, skipped: list[str]) -> None:
        self._skipped = skipped

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self._skipped.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._skipped.append(report.nodeid)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if session.config.stash[_SKIPPED] and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if skipped := config.stash[_SKIPPED]:
        terminalreporter.section("skipped, and nothing may be skipped here", red=True)
        for nodeid in skipped:
            terminalreporter.line(nodeid)
