"""The site's process: its log, its port, and its end with who started it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from lib.config import MarketSettings
from lib.errors import UserError
from lib.marketplace.site.process import _kept, serving
from tests.conftest import ROOT
from tests.marketplace.served import MONTH, PLATFORM, TREE, with_site


def test_the_log_holds_every_request_with_its_time_of_arrival(market_settings: MarketSettings, tmp_path: Path) -> None:
    log = tmp_path / "log"
    slow = with_site(market_settings, latency_seconds=0.5)
    with serving(slow, MONTH, log=log) as port, httpx.Client() as client:
        asked = time.time()
        for path in ("/robots.txt", "/nowhere?a=b"):
            client.get(f"{PLATFORM}:{port}{path}")
        client.get(f"http://127.0.0.4:{port}/ep/nobody.tsv", headers={"Host": "mall.example\t\"'"})
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(one["address"], one["host"], one["path"], one["status"]) for one in records] == [
        ("127.0.0.2", f"127.0.0.2:{port}", "/robots.txt", 200),
        ("127.0.0.2", f"127.0.0.2:{port}", "/nowhere?a=b", 404),
        ("127.0.0.4", "mall.example\t\"'", "/ep/nobody.tsv", 404),
    ]
    assert 0 <= records[0]["time"] - asked < 0.5 < records[1]["time"] - records[0]["time"]


def test_the_port_is_remembered_and_a_taken_one_is_replaced(market_settings: MarketSettings, tmp_path: Path) -> None:
    kept = tmp_path / "state" / "site.port"
    with serving(market_settings, MONTH, remembered=kept) as first:
        pass
    with serving(market_settings, MONTH, remembered=kept) as second:
        assert second == first
        with serving(market_settings, MONTH, remembered=kept) as third:
            assert third != first
            assert kept.read_text() == str(third)


@pytest.mark.parametrize("garbage", [b"99999", b"", b"-1", "²".encode(), b"\xff\xfe", b"1" * 5000])
def test_a_spoilt_memory_is_no_memory(tmp_path: Path, garbage: bytes) -> None:
    kept = tmp_path / "site.port"
    kept.write_bytes(garbage)
    assert _kept(kept) == 0


def test_a_configured_port_that_is_taken_is_said(market_settings: MarketSettings) -> None:
    with socket.socket() as taken:
        # Free on the platform's address and taken on a mall's.
        taken.bind(("127.0.0.5", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(UserError, match=rf"market\.site\.port = {port} cannot be listened on"),
            serving(with_site(market_settings, port=port), MONTH),
        ):
            pass


def test_a_month_before_the_market_is_said(market_settings: MarketSettings) -> None:
    with (
        pytest.raises(UserError, match="month 2025-12 lies before the market's first"),
        serving(market_settings, "2025-12"),
    ):
        pass


SCRIPT = """
import sys, time
from lib import config
from lib.marketplace.site.process import _kept, serving
market = config.load("conf/local.yaml", ["market.offers_per_month=100"]).market
with serving(market, "2026-01") as port:
    print(port, flush=True)
    {before}
    time.sleep(60)
"""


@contextmanager
def started(*command: str) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def gone(address: str, seconds: float = 5) -> bool:
    """Whether nothing answers there within some seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            httpx.get(address, timeout=1)
        except httpx.HTTPError:
            return True
        time.sleep(0.1)
    return False


# A forked child holds the other end of the site's standard input for longer than the test waits.
FORK = "import os; os.fork() or (time.sleep(8), os._exit(0))"


@pytest.mark.parametrize("before", ["", FORK], ids=["alone", "with a child that lives on"])
def test_the_site_does_not_outlive_who_started_it(before: str) -> None:
    with started("-c", SCRIPT.format(before=before)) as parent:
        assert parent.stdout is not None
        address = f"{PLATFORM}:{int(parent.stdout.readline())}/robots.txt"
        assert httpx.get(address).status_code == 200
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert gone(address)


def test_the_job_prints_where_the_site_is_and_ends_when_interrupted() -> None:
    with started("jobs/site.py", "--month", MONTH, "--port", "0") as job:
        assert job.stdout is not None
        address = job.stdout.readline().strip()
        assert address.endswith(TREE)
        assert httpx.get(address).status_code == 200
        job.send_signal(signal.SIGINT)
        assert job.wait(30) == 0
        assert job.stdout.read().strip() == "ended"
        assert gone(address, 1)
