"""A real server on a made workspace, and a real browser."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from dashboard.data import WORKSPACE_VARIABLE
from runners.grid_spec import SHIPPED_GRIDS
from tests.dashboard.made_study import make_workspace, small_shape

APP = Path(__file__).parents[2] / "dashboard" / "app.py"
START_SECONDS = 120
DESK: ViewportSize = {"width": 1280, "height": 720}
PHONE: ViewportSize = {"width": 390, "height": 844}
# The names that scripts/install_chromium.sh takes for an installed browser.
BROWSER_NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
)
# Nothing of the browser's own may reach for the network.
BROWSER_ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # The name that docs/security.md gives the app behind a proxy.
    "--host-resolver-rules=MAP results.example.org 127.0.0.1",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give browser tests a second try, which the summary counts: a click can go astray."""
    for item in items:
        if item.get_closest_marker("e2e") and "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the app on a made workspace of the demonstration's shape."""
    folder = tmp_path_factory.mktemp("e2e")
    workspace = make_workspace(
        folder / "workspace",
        small_shape(fails=lambda cell: cell.label == "ladder-s human 256/ability seed 1"),
    )
    with served(workspace.root, folder) as address:
        yield address


@pytest.fixture(scope="session")
def demonstration_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the app on a workspace that a small part of the quickstart really filled."""
    folder = tmp_path_factory.mktemp("demonstration")
    document = yaml.safe_load((SHIPPED_GRIDS / "quickstart.yaml").read_text("utf-8"))
    document["base_models"] = document["base_models"][:1]
    document["data_sources"] = document["data_sources"][:1]
    document["volumes"] = {"values": [0, 4, 16, 64], "per": "ability"}
    grid = folder / "part.yaml"
    grid.write_text(yaml.safe_dump(document), "utf-8")
    workspace = folder / "workspace"
    command = [sys.executable, str(APP.parents[1] / "cli.py"), "run-grid", str(grid)]
    subprocess.run([*command, "--workspace", str(workspace)], check=True, timeout=400)
    with served(workspace, folder) as address:
        yield address


@contextmanager
def served(workspace: Path, folder: Path, *options: str, port: int | None = None) -> Iterator[str]:
    """Run the app from a folder that is not the repository's; yield its address."""
    port = port or free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(APP), "--server.port", str(port)]
    command += options
    environment = {**os.environ, WORKSPACE_VARIABLE: str(workspace)}
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output
        )
    try:
        wait_for(port, process, log, path="/_stcore/health")
        yield f"http://localhost:{port}"
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium: the system's, else Playwright's own."""
    installed = next(filter(None, map(shutil.which, BROWSER_NAMES)), None)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=installed, args=BROWSER_ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh tab at the size of a small laptop."""
    opened = browser.new_page(viewport=DESK)
    opened.set_default_timeout(90_000)
    yield opened
    opened.close()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(
    port: int, process: subprocess.Popen[bytes], log: Path, *, path: str | None = None
) -> None:
    """Wait until a server listens, and answers at `path` where one is given."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with socket.create_connection(("localhost", port), timeout=2):
                pass
            if path is not None:
                with urllib.request.urlopen(f"http://localhost:{port}{path}", timeout=2):
                    pass
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise RuntimeError(f"It did not start: {log.read_text('utf-8', 'replace')[-2000:]}")
