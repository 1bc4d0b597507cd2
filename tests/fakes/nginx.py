"""nginx as what ends TLS in front of a server, as an ingress does; tests skip where there is none.

Example::

    async with nginx_before(port, tmp_path, ca.issue("localhost"), client_ca=ca.root) as front: ...
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.fakes.certificates import Issued
from tests.fakes.redis_server import free_port

_SETTINGS = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port} ssl http2; server_name localhost;
    ssl_certificate {certificate}; ssl_certificate_key {key}; {client}
    location /inference. {{ grpc_pass grpc://127.0.0.1:{upstream}; }}
    location /serving/ {{ proxy_pass http://127.0.0.1:{upstream}/; }}
    location / {{ proxy_pass http://127.0.0.1:{upstream}; }}
  }}
}}
"""


@asynccontextmanager
async def nginx_before(
    upstream: int, folder: Path, issued: Issued, client_ca: Path | None = None
) -> AsyncIterator[int]:
    """The port of nginx in TLS before the port ``upstream``; ``client_ca``: who signs clients' certificates."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if binary is None:
        pytest.skip("nginx is needed")
    port = free_port()
    client = f"ssl_client_certificate {client_ca}; ssl_verify_client on;" if client_ca else ""
    settings = folder / "nginx.conf"
    settings.write_text(
        _SETTINGS.format(
            folder=folder,
            port=port,
            upstream=upstream,
            certificate=issued.certificate,
            key=issued.key,
            client=client,
        )
    )
    command = [binary, "-p", str(folder), "-c", str(settings)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await _until_open(port, process)
        yield port
    finally:
        process.kill()
        process.wait()


async def _until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(30):
        while True:
            assert process.poll() is None, "nginx does not start"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
