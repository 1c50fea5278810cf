"""The process that holds the local model: llama.cpp's own HTTP server, and nothing of batcher.

Run by path, with its orders as one JSON argument (see `orders` in server.py). It writes one
line to standard output, the address it listens on, and then stays until its standard input
ends. Whoever holds the other end of that pipe holds its life: when the parent is killed, the
kernel closes the pipe and this process leaves.

Why signals are ignored: a terminal's Ctrl-C and a service manager's SIGTERM go to the whole
group, and the parent first lets the requests in flight finish, which needs the model.
"""

import os
import signal
import sys


def main() -> None:
    """Serve the model named in the orders until standard input ends."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    # llama.cpp prints; the parent reads this pipe for the address alone.
    parent = os.dup(1)
    os.dup2(2, 1)

    import orjson
    import xllamacpp

    orders = orjson.loads(sys.argv[1])
    settings = xllamacpp.CommonParams()
    settings.model.path = orders["model_path"]
    settings.model_alias = {orders["name"]}  # else answers name the model by its path
    settings.hostnames = ["127.0.0.1"]
    settings.port = 0
    settings.n_parallel = orders["slots"]
    settings.n_ctx = orders["context_tokens"] * orders["slots"]  # llama.cpp divides it by slots
    settings.cpuparams.n_threads = orders["threads"]
    settings.cpuparams_batch.n_threads = orders["threads"]
    settings.cache_ram_mib = 0  # its default keeps up to 8 GB of finished prompts
    settings.verbosity = 2  # warnings; 3 writes ten lines a request
    settings.ui = False
    settings.endpoint_slots = False  # would show other requests' prompts
    server = xllamacpp.Server(settings)  # returns when the model is loaded

    os.write(parent, f"{server.listening_address}\n".encode())
    os.close(parent)
    if orders["quiet"]:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
    while os.read(0, 4096):
        pass
    os._exit(0)  # a tidy end would first finish the requests nobody waits for any more


if __name__ == "__main__":
    main()
