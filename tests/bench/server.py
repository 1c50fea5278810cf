"""A server that costs next to nothing, so that the client is what is measured."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ANSWER = (
    '{"id":"msg_01Bench","type":"message","role":"assistant","model":"m","content":[{"type":'
    '"text","text":"' + "word " * 60 + '"}],"stop_reason":"end_turn","stop_sequence":null,'
    '"usage":{"input_tokens":250,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,'
    '"output_tokens":60,"service_tier":"standard"}}'
)

_NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s;
  client_body_temp_path {folder};
  proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
  scgi_temp_path {folder}; client_body_buffer_size 64k;
  server {{
    listen 127.0.0.1:{port};
    location / {{ default_type application/json; return 200 '{answer}'; }}
  }}
}}
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("the bench server did not come up")


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, str]]:
    """A server on the last core; yields its base URL and what it is."""
    cores = sorted(os.sched_getaffinity(0))
    port = _free_port()
    nginx = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if nginx is not None:
        config = folder / "nginx.conf"
        config.write_text(_NGINX.format(folder=folder, port=port, answer=ANSWER))
        command = [nginx, "-c", str(config)]
        name = "nginx"
    else:
        command = [
            sys.executable, "-m", "batcher.simulator", "--port", str(port),
            "--settings", '{"latency_ms": 0, "headers": false}',
        ]  # fmt: skip
        name = "the simulator (nginx is not installed)"
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, cores[-1:]),  # noqa: PLW1509 - no threads here
    )
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}", name
    finally:
        process.terminate()
        process.wait()
