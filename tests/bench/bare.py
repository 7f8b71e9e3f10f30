"""The bare chain: the same three hops with the same payload sizes, and nothing done in them.

``front`` is an aiohttp server that calls ``back`` by unary grpc.aio over mutual TLS; ``back`` calls the registry
with aiohttp. No signature, store, rule or translation: the floor that a node's cost is measured against.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import struct
import sys
from pathlib import Path

os.environ.setdefault("GRPC_SSL_CIPHER_SUITES", "ECDHE-RSA-AES256-GCM-SHA384")

import aiohttp
import grpc
import uvloop
from aiohttp import web

__all__ = ["main"]

_METHOD = "/bench.Bare/Call"
_MOST_BYTES = 16 * 1024 * 1024
_SIZE = struct.Struct(">Q")
"""In front of a request: how many bytes more than usual its answer has."""


def _tls(folder: Path) -> tuple[bytes, bytes, bytes]:
    return (
        (folder / "key.pem").read_bytes(),
        (folder / "chain.pem").read_bytes(),
        (folder / "ca.pem").read_bytes(),
    )


async def _serve_http(app: web.Application, port: int) -> None:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


async def _front(options: argparse.Namespace) -> None:
    key, chain, ca = _tls(options.tls)
    credentials = grpc.ssl_channel_credentials(ca, key, chain)
    channel = grpc.aio.secure_channel(
        f"127.0.0.1:{options.next}",
        credentials,
        (
            ("grpc.ssl_target_name_override", options.tls_name),
            ("grpc.max_receive_message_length", _MOST_BYTES),
        ),
    )
    call = channel.unary_unary(_METHOD)
    padding = bytes(options.request_bytes - _SIZE.size)

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        more = int(request.headers.get("X-More-Bytes", "0"))
        await call(_SIZE.pack(more) + padding)
        return web.Response(body=bytes(options.answer_bytes + more), content_type="application/json")

    app = web.Application()
    app.router.add_post("/{tail:.*}", handle)
    await _serve_http(app, options.port)


async def _back(options: argparse.Namespace) -> None:
    key, chain, ca = _tls(options.tls)
    question = bytes(options.question_bytes)
    connector = aiohttp.TCPConnector(limit=64)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def handle(request: bytes, context: object) -> bytes:
            (more,) = _SIZE.unpack_from(request)
            url = f"http://127.0.0.1:{options.next}/_sized/{options.registry_bytes + more}"
            async with session.post(url, data=question) as response:
                await response.read()
            return bytes(options.wire_bytes + more)

        handler = grpc.unary_unary_rpc_method_handler(handle)
        server = grpc.aio.server()
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("bench.Bare", {"Call": handler}),)
        )
        credentials = grpc.ssl_server_credentials([(key, chain)], ca, require_client_auth=True)
        server.add_secure_port(f"127.0.0.1:{options.port}", credentials)
        await server.start()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await server.wait_for_termination()


async def _registry(options: argparse.Namespace) -> None:
    """A registry that costs next to nothing: the first answer of `origin` to each question, again and again."""
    kept: dict[tuple[str, str, bytes], tuple[int, str, bytes]] = {}
    async with aiohttp.ClientSession() as session:

        async def handle(request: web.Request) -> web.Response:
            key = (request.method, request.path_qs, await request.read())
            if key not in kept:
                url, body = f"{options.origin}{request.path_qs}", key[2] or None
                headers = {"Content-Type": request.headers.get("Content-Type", "text/plain")}
                async with session.request(request.method, url, data=body, headers=headers) as answer:
                    kept[key] = (answer.status, answer.content_type, await answer.read())
            status, content_type, answered = kept[key]
            return web.Response(status=status, content_type=content_type, body=answered)

        async def sized(request: web.Request) -> web.Response:
            await request.read()
            return web.Response(body=bytes(int(request.match_info["size"])), content_type="application/json")

        app = web.Application(client_max_size=64 * 1024)
        app.router.add_post("/_sized/{size}", sized)
        app.router.add_route("*", "/{tail:.*}", handle)
        await _serve_http(app, options.port)


def main() -> None:
    """Run one process of the chain; prints ``ready`` when it serves."""
    parser = argparse.ArgumentParser(prog="tests.bench.bare")
    parser.add_argument("part", choices=("front", "back", "registry"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--next", type=int, default=0)
    parser.add_argument("--tls", type=Path)
    parser.add_argument("--tls-name", default="")
    parser.add_argument("--origin", default="")
    for size in ("request-bytes", "wire-bytes", "answer-bytes", "question-bytes", "registry-bytes"):
        parser.add_argument(f"--{size}", type=int, default=0)
    options = parser.parse_args()
    part = {"front": _front, "back": _back, "registry": _registry}[options.part]
    uvloop.run(part(options))


if __name__ == "__main__":
    main()
