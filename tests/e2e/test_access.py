"""The recipes of docs/security.md, run: sign-in with OpenID Connect, nginx with websockets."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from playwright.sync_api import Browser, Page, expect

from tests.dashboard.made_study import make_workspace, small_shape
from tests.e2e.conftest import free_port, served, wait_for
from tests.e2e.oidc_provider import CLIENT_ID, USER, provider

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
SECURITY = Path(__file__).parents[2] / "docs" / "security.md"
HOST = "results.example.org"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
BANNER = "asks nobody to sign in"
expect.set_options(timeout=90_000)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that costs little to fit."""
    shape = small_shape(volumes=(4, 16), n_items=30)
    return make_workspace(tmp_path_factory.mktemp("access") / "workspace", shape).root


def test_app_that_listens_to_others_says_so_and_changes_nothing(
    page: Page, workspace: Path, tmp_path: Path
) -> None:
    with served(workspace, tmp_path, "--server.address", "0.0.0.0") as address:
        page.goto(f"{address}/runs")
        expect(page.get_by_text(BANNER)).to_be_visible()
        page.get_by_text("Exclude this cell").click()
        expect(page.get_by_text("so it changes nothing")).to_be_visible()
    assert "WARNING: Anyone who can reach this machine" in (tmp_path / "server.log").read_text()


def test_nobody_sees_anything_before_signing_in(
    page: Page, workspace: Path, tmp_path: Path
) -> None:
    port = free_port()
    with provider() as issuer:
        secrets = tmp_path / "secrets.toml"
        secrets.write_text(
            _recipe("toml")
            .replace("https://provider.example.org", issuer)
            .replace(f"https://{HOST}", f"http://localhost:{port}")
            .replace('client_id = "from the provider"', f'client_id = "{CLIENT_ID}"'),
            "utf-8",
        )
        with served(workspace, tmp_path, "--secrets.files", str(secrets), port=port) as address:
            page.goto(f"{address}/growth")
            expect(page.get_by_role("heading", name="Sign in to see the results")).to_be_visible()
            expect(page.locator(".js-plotly-plot")).to_have_count(0)
            page.get_by_role("button", name="Sign in").click()
            expect(page.locator(".js-plotly-plot").first).to_be_visible()
            expect(page.get_by_text(f"Signed in as {USER['email']}")).to_be_visible()
            expect(page.get_by_text(BANNER)).to_have_count(0)
            page.get_by_role("button", name="Sign out").click()
            expect(page.get_by_role("heading", name="Sign in to see the results")).to_be_visible()


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_nginx_recipe_serves_the_app_under_its_name(
    browser: Browser, workspace: Path, tmp_path: Path
) -> None:
    with (
        served(workspace, tmp_path, "--browser.serverAddress", HOST) as address,
        _nginx(tmp_path, app_port=address.rpartition(":")[2]) as public,
    ):
        context = browser.new_context(
            ignore_https_errors=True, http_credentials={"username": "ada", "password": "secret"}
        )
        page = context.new_page()
        page.goto(f"{public}/growth")
        expect(page.locator(".js-plotly-plot").first).to_be_visible()
        expect(page.get_by_text(BANNER)).to_have_count(0)
        page.get_by_label("Data source", exact=True).click()
        page.get_by_role("option", name="synthetic").click()
        expect(page.get_by_text("with synthetic data").first).to_be_visible()
        page.get_by_role("button", name="Copy link").first.click()
        expect(
            page.get_by_text(re.compile(f"{public}/growth\\?.*source=synthetic"))
        ).to_be_visible()
        context.close()
        strangers = ssl.create_default_context(cafile=str(tmp_path / "results.crt"))
        strangers.check_hostname = False
        port = public.rpartition(":")[2]
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"https://127.0.0.1:{port}", context=strangers)


def _recipe(language: str) -> str:
    """Return the configuration that docs/security.md shows."""
    found = re.search(rf"```{language}\n(.*?)```", SECURITY.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


@contextmanager
def _nginx(folder: Path, *, app_port: str) -> Iterator[str]:
    """Run nginx with the page's configuration, on free ports and with files of its own."""
    assert NGINX is not None
    port = free_port()
    _write_certificate(folder)
    (folder / "results.htpasswd").write_text("ada:{PLAIN}secret\n", "utf-8")
    server = (
        _recipe("nginx")
        .replace("listen 443", f"listen 127.0.0.1:{port}")
        .replace("127.0.0.1:8501", f"127.0.0.1:{app_port}")
        .replace("/etc/nginx", str(folder))
    )
    stores = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Started by root, its workers would be somebody who may not read a test's files.
    user = "user root;\n" if os.geteuid() == 0 else ""
    settings = folder / "nginx.conf"
    settings.write_text(
        f"{user}daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{stores}{server}}}\n",
        "utf-8",
    )
    command = [NGINX, "-p", str(folder), "-c", str(settings), "-e", str(folder / "error.log")]
    with (folder / "nginx.log").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        wait_for(port, process, folder / "nginx.log")
        yield f"https://{HOST}:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _write_certificate(folder: Path) -> None:
    """Write a certificate for the host's name, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "results.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "results.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
