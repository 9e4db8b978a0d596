"""A provider of OpenID Connect that signs in whomever a test says, as well or as badly as a test says."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID, CLIENT_SECRET = "hermes", "the secret of hermes"


@dataclass
class Provider:
    """What it will answer."""

    key: Any = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    alg: str = "RS256"
    issuer: str = ""
    subject: str = "subject-1"
    email: str = "ada@example.com"
    verified: bool = True
    changed: dict[str, Any] = field(default_factory=dict)
    """Claims that differ from what is right; None leaves one away."""
    token: str | None = None
    """An ID token instead of a right one."""
    document: dict[str, Any] = field(default_factory=dict)
    published: list[Any] | None = None
    """Keys that are published instead of `key`."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def authorize(self, url: str) -> dict[str, str]:
        """What a browser does there: the query with which it comes back."""
        asked = dict(parse_qsl(urlsplit(url).query))
        assert asked["client_id"] == CLIENT_ID
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        return {"code": code, "state": asked["state"], "iss": self.issuer}

    def id_token(self, nonce: str) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer, "sub": self.subject, "aud": CLIENT_ID, "exp": now + 300, "iat": now, "nonce": nonce,
            "email": self.email, "email_verified": self.verified,
        } | self.changed  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": self.alg} | ({"kid": self.key.kid} if self.key.kid else {})
        return jwt.encode(header, claims, self.key, algorithms=[self.alg])

    async def discovery(self, _request: web.Request) -> web.Response:
        right = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }
        return web.json_response(right | self.document)

    async def keys(self, _request: web.Request) -> web.Response:
        keys = self.published if self.published is not None else [self.key]
        return web.json_response({"keys": [key.as_dict(private=False) for key in keys]})

    async def exchange(self, request: web.Request) -> web.Response:
        form = await request.post()
        asked = self.codes.pop(str(form["code"]), None)
        credentials = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(str(form["code_verifier"]).encode()).digest())
        if (
            asked is None
            or credentials != f"{CLIENT_ID}:{CLIENT_SECRET.replace(' ', '+')}"
            or challenge.decode().rstrip("=") != asked["code_challenge"]
            or form["redirect_uri"] != asked["redirect_uri"]
        ):
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response({"id_token": self.token or self.id_token(asked["nonce"]), "access_token": "x"})


@asynccontextmanager
async def running(provider: Provider) -> AsyncIterator[Provider]:
    """Serve it on this machine as long as the block lasts."""
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", provider.discovery)
    app.router.add_get("/keys", provider.keys)
    app.router.add_post("/token", provider.exchange)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    provider.issuer = f"http://127.0.0.1:{port}"
    try:
        yield provider
    finally:
        await runner.cleanup()
