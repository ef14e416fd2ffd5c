"""The transport over TLS: whose certificate it trusts, and that nothing is sent to any other server."""

from __future__ import annotations

import gc
import ssl
import subprocess
from pathlib import Path
from unittest.mock import patch

import httpx
import pytest

from pipeline.sailthru import transport as module
from pipeline.sailthru.connection import Departure
from pipeline.sailthru.transport import open_http
from tests.support.keeping_server import NO_TLS, call, serving
from tests.support.odd_replies import OK


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 that signs itself, in one file."""
    where = tmp_path_factory.mktemp("tls")
    key, cert = where / "key.pem", where / "cert.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    parts = ["-keyout", str(key), "-out", str(cert), "-days", "2", "-nodes"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", *subject, *parts]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 our own words
    both = where / "both.pem"
    both.write_text(key.read_text() + cert.read_text())
    return both


@pytest.fixture
def speaking_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_calls_share_a_tls_socket_whose_certificate_is_trusted(
    certificate: Path, speaking_tls: ssl.SSLContext
) -> None:
    """Closing the transport leaves no socket behind: a warning would fail this test."""
    async with serving(speaking_tls) as server:
        async with open_http(ssl.create_default_context(cafile=certificate)) as http:
            for _ in range(3):
                assert await call(http, server.url) == (200, OK)
            assert (len(server.writers), len(http._open)) == (1, 1)
        assert not http._open
    gc.collect()


async def test_nothing_is_sent_to_a_server_whose_certificate_is_not_trusted(
    speaking_tls: ssl.SSLContext,
) -> None:
    """The public authorities are the default, and the name is checked."""
    departure = Departure(lambda: False)
    async with serving(speaking_tls) as server, open_http() as http:
        with pytest.raises(httpx.ConnectError) as caught:
            await call(http, server.url, departure)
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
        assert (server.requests, departure.left, http._busy) == ([], False, 0)
    gc.collect()


async def test_nothing_is_sent_to_a_server_whose_certificate_names_another_host(
    certificate: Path, speaking_tls: ssl.SSLContext
) -> None:
    """A certificate that is trusted is one for its own host only."""
    async with (
        serving(speaking_tls) as server,
        open_http(ssl.create_default_context(cafile=certificate)) as http,
    ):
        with pytest.raises(httpx.ConnectError) as caught:
            await call(http, server.url.replace("127.0.0.1", "localhost"))
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
        assert server.requests == []
    gc.collect()


async def test_connecting_has_a_timeout_of_its_own_from_the_name_to_the_handshake() -> None:
    """A server that accepts and says nothing of TLS: the call is known not to have left."""
    departure = Departure(lambda: False)
    async with serving() as server, open_http(NO_TLS) as http:
        with (
            patch.object(module, "CONNECT_TIMEOUT_S", 0.1),
            pytest.raises(httpx.ConnectTimeout),
        ):
            await call(http, server.url.replace("http:", "https:"), departure)
        assert (departure.left, http._busy) == (False, 0)
    gc.collect()
