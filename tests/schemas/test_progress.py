from __future__ import annotations

import io
import re
import time

import pytest
from rich.console import Console

from schemas.progress import Bars, Quiet


def console(terminal: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=120, color_system=None), file


def test_a_terminal_shows_count_rate_and_remaining_time():
    screen, file = console(terminal=True)
    with Bars(screen).phase("building records", 40) as tick:
        for _ in range(10):
            tick(3)
            time.sleep(0.02)
        time.sleep(0.2)  # the bar is drawn ten times a second
    shown = file.getvalue()
    assert "building records" in shown
    assert re.search(r" 30/40 +[1-9][\d,]*/s 0:00:00 left 0:00:0\d", shown)


def test_nothing_is_guessed_before_there_is_a_rate():
    screen, file = console(terminal=True)
    with Bars(screen).phase("building records", 40):
        pass
    assert re.search(r" 0/40 -/s 0:00:00 left -:--:--", file.getvalue())


def test_rows_of_an_earlier_run_do_not_count_for_the_rate():
    screen, file = console(terminal=True)
    with Bars(screen).phase("building records", 1_000_000) as tick:
        tick(900_000)  # as the pipeline counts finished shards
        for _ in range(5):
            time.sleep(0.05)
            tick(1)
    rates = [int(rate.replace(",", "")) for rate in re.findall(r"([\d,]+)/s", file.getvalue())]
    assert rates
    assert max(rates) < 100


def test_a_phase_of_unknown_length_shows_what_is_done():
    screen, file = console(terminal=True)
    with Bars(screen).phase("reading the source", None) as tick:
        tick(7)
    assert " 7/?" in file.getvalue()


def test_without_a_terminal_there_is_one_plain_line_per_phase():
    screen, file = console(terminal=False)
    bars = Bars(screen)
    with bars.phase("building records", 3000) as tick:
        for _ in range(3):
            tick(1000)
            assert file.getvalue() == ""
    with bars.phase("checking the data set", None):
        pass
    lines = [re.sub(r"\d+\.\d", "0.0", line) for line in file.getvalue().splitlines()]
    assert lines == ["building records: 3,000 rows in 0.0 s", "checking the data set: 0.0 s"]


@pytest.mark.parametrize("terminal", [True, False])
def test_errors_pass_through(terminal: bool):
    screen, _ = console(terminal)
    with pytest.raises(KeyError), Bars(screen).phase("building records", 3):
        raise KeyError


def test_quiet_shows_nothing(capfd: pytest.CaptureFixture[str]):
    with Quiet().phase("building records", 3) as tick:
        tick(3)
    assert capfd.readouterr() == ("", "")
