"""deploy/nginx.conf before a real `serve`: producers reach their ways in, operators the console, and nobody more."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.commands import running, wait_until
from tests.support.redis_server import free_port

CONF = Path(__file__).parents[2] / "deploy" / "nginx.conf"
PASSWORD = "a-long-password"
pytestmark = pytest.mark.skipif(
    shutil.which("nginx") is None or shutil.which("openssl") is None,
    reason="no nginx or openssl here",
)


def configuration(folder: Path, *, http: int, https: int, upstream: int) -> Path:
    """The example with this test's ports and certificate, in what a whole file needs around it."""
    words = "req -x509 -newkey rsa:2048 -nodes -subj /CN=x -days 1 -keyout key.pem -out cert.pem"
    subprocess.run(["openssl", *words.split()], cwd=folder, capture_output=True, check=True)  # noqa: S603, S607
    text = CONF.read_text()
    for here, there in (
        ("/etc/ssl/certs/sailpipe.pem", str(folder / "cert.pem")),
        ("/etc/ssl/private/sailpipe.key", str(folder / "key.pem")),
        ("127.0.0.1:8000", f"127.0.0.1:{upstream}"),
        ("listen 443 ssl", f"listen 127.0.0.1:{https} ssl"),
        ("listen 80;", f"listen 127.0.0.1:{http};"),
    ):
        assert here in text
        text = text.replace(here, there)
    temporary = "".join(
        f"{kind}_temp_path {folder / kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = f"""
user root; daemon off; pid {folder}/pid; error_log {folder}/log;
events {{}}
http {{ access_log off; {temporary} {text} }}
"""
    (folder / "nginx.conf").write_text(whole)
    return folder / "nginx.conf"


@pytest.fixture
def https(tmp_path: Path, redis_url: str) -> Iterator[int]:
    """The port of an nginx with `serve` behind it."""
    folder = tmp_path
    http, https, upstream = free_port(), free_port(), free_port()
    conf = configuration(folder, http=http, https=https, upstream=upstream)
    settings = {
        "SAILPIPE_REDIS_URL": redis_url,
        "SAILPIPE_CONSOLE_PASSWORD": PASSWORD,
        "SAILPIPE_CONSOLE_HOSTS": "pipe.example.com",
    }
    with running("serve", "--port", str(upstream), directory=folder, **settings):
        command = [shutil.which("nginx") or "", "-c", str(conf)]
        nginx = subprocess.Popen(command)  # noqa: S603 - ours
        try:
            wait_until(lambda: ask(https, "events.example.com", "/healthz") == 200, "both answer")
            yield https
        finally:
            nginx.terminate()
            nginx.wait()


def ask(port: int, name: str, path: str, method: str = "GET", **more: object) -> int:
    """The status of a request to one of the two names; 0 when nothing answers."""
    try:
        with httpx.Client(verify=False, trust_env=False) as client:  # noqa: S501 - made a moment ago
            url = f"https://127.0.0.1:{port}{path}"
            return client.request(method, url, headers={"Host": name}, **more).status_code  # type: ignore[arg-type]
    except httpx.TransportError:
        return 0


def test_nginx_leads_producers_to_their_ways_in_and_operators_to_the_console(https: int) -> None:
    """Each name to its own alone. A body above 512 KB gets sailpipe's 400, not nginx' 413. Names and scheme arrive as
    the guard needs them: the cookie of a log-in is one for TLS, and a post from another site is refused."""
    event = {"userId": "u-1", "event": "Signed Up"}
    sent = {"json": event, "auth": ("sandbox", "")}
    assert ask(https, "events.example.com", "/v1/track", "POST", **sent) == 200
    large = {"content": b"x" * 600_000, "auth": ("sandbox", "")}
    assert ask(https, "events.example.com", "/v1/track", "POST", **large) == 400
    for path in ("/", "/console", "/console/login", "/api/status", "/metrics", "/openapi.json"):
        assert ask(https, "events.example.com", path) == 404, path
    name = "pipe.example.com"
    assert ask(https, name, "/v1/track", "POST", json={}) == 404
    assert ask(https, name, "/api/status") == 401
    with httpx.Client(verify=False, trust_env=False) as client:  # noqa: S501 - made a moment ago
        login = f"https://127.0.0.1:{https}/console/login"
        form = {"password": PASSWORD}
        own = {"Host": name, "Origin": f"https://{name}"}
        answer = client.post(login, data=form, headers=own)
        foreign = client.post(login, data=form, headers=own | {"Origin": "https://evil.example"})
    assert (answer.status_code, foreign.status_code) == (303, 403)
    assert re.search("; secure", answer.headers["set-cookie"], re.IGNORECASE)
