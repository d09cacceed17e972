"""Serves a GGUF file as llama.cpp does: `python -m tests.runners.llama_server FILE PORT`.

It holds replies to the schema that a request gives.
"""

from __future__ import annotations

import sys
import threading

import xllamacpp


def main(path: str, port: int) -> None:
    """Serve until killed."""
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx = 2048
    params.n_parallel = 1
    # One thread each: several spin, and take many times as long beside other busy processes.
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.port = port
    server = xllamacpp.Server(params)
    threading.Event().wait()
    del server


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
