"""A small OpenID Connect provider: discovery, authorize, token and keys, for one user."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID = "growthpace"
USER = {"sub": "1", "name": "Ada", "email": "ada@example.org"}
_CODE = "one-time-code"


class _Provider(BaseHTTPRequestHandler):
    """Signs everybody in as `USER`, without asking."""

    key = RSAKey.generate_key(2048, {"kid": "test"})
    nonce = ""

    def log_message(self, *arguments: Any) -> None:
        """Stay quiet."""

    @property
    def _root(self) -> str:
        return f"http://localhost:{self.server.server_address[1]}"

    def do_GET(self) -> None:
        """Answer discovery, keys and the browser's visit."""
        address = urlsplit(self.path)
        if address.path == "/.well-known/openid-configuration":
            self._send(
                {
                    "issuer": self._root,
                    "authorization_endpoint": f"{self._root}/authorize",
                    "token_endpoint": f"{self._root}/token",
                    "jwks_uri": f"{self._root}/keys",
                    "response_types_supported": ["code"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                }
            )
        elif address.path == "/keys":
            self._send({"keys": [self.key.as_dict(private=False)]})
        elif address.path == "/authorize":
            asked = {name: values[0] for name, values in parse_qs(address.query).items()}
            type(self).nonce = asked.get("nonce", "")
            answer = urlencode({"code": _CODE, "state": asked["state"]})
            self.send_response(302)
            self.send_header("Location", f"{asked['redirect_uri']}?{answer}")
            self.end_headers()
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        """Exchange the code for a signed token."""
        length = int(self.headers.get("Content-Length", 0))
        asked = parse_qs(self.rfile.read(length).decode())
        if self.path != "/token" or asked.get("code") != [_CODE]:
            self.send_error(400)
            return
        now = int(time.time())
        claims = {"iss": self._root, "aud": CLIENT_ID, "iat": now, "exp": now + 600}
        token = jwt.encode(
            {"alg": "RS256", "kid": "test"}, claims | {"nonce": self.nonce} | USER, self.key
        )
        self._send({"access_token": "x", "token_type": "Bearer", "id_token": token})

    def _send(self, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def provider() -> Iterator[str]:
    """Run the provider; yield its address."""
    server = ThreadingHTTPServer(("localhost", 0), _Provider)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
