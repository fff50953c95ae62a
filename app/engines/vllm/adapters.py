"""Load and unload adapters on a running server, where it was started to allow that.

The path is read by the server, so it must see the adapter's folder under the same path as we do.
"""

import asyncio
from http import HTTPStatus
from typing import Any

from app.engines.vllm.client import STATE_TIMEOUT_S, Server
from app.engines.vllm.faults import address, explained
from app.engines.vllm.wire import error_message
from app.errors import EngineError

# A server reads the weights of an adapter from its disk; a large one takes seconds.
LOAD_TIMEOUT_S = 60.0
_ALLOW = "VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"


async def allows_changes(server: Server) -> bool:
    """Tell whether the server lets adapters be loaded: it then knows the address, though not for reading."""
    async with asyncio.timeout(STATE_TIMEOUT_S), server.open(STATE_TIMEOUT_S) as client:
        response = await client.head(f"{server.url}/load_lora_adapter")
    return response.status_code == HTTPStatus.METHOD_NOT_ALLOWED


async def load(server: Server, served_name: str, path: str, *, checkpoint: str) -> None:
    """Have an adapter loaded under its served name. Raises EngineError with the server's reason."""
    body = {"lora_name": served_name, "lora_path": path}
    await _change(server, "load_lora_adapter", body, checkpoint=checkpoint, what="load")


async def unload(server: Server, served_name: str, *, checkpoint: str) -> None:
    """Have an adapter dropped. Raises EngineError with the server's reason."""
    body = {"lora_name": served_name}
    await _change(server, "unload_lora_adapter", body, checkpoint=checkpoint, what="unload")


async def _change(server: Server, call: str, body: dict[str, Any], *, checkpoint: str, what: str) -> None:
    with explained(checkpoint, server.url):
        async with asyncio.timeout(LOAD_TIMEOUT_S), server.open(LOAD_TIMEOUT_S) as client:
            response = await client.post(f"{server.url}/{call}", json=body)
            said, status = error_message(response.content), response.status_code
    if status == HTTPStatus.OK:
        return
    who = f"The server at {address(server.url)}"
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED} and said in {"Not Found", "Method Not Allowed"}:
        raise EngineError(f"{who} does not let adapters be loaded.", remedy=f"Start it with {_ALLOW}.")
    reason = f': "{said}"' if said else ""
    raise EngineError(
        f"{who} would not {what} {checkpoint!r} (status {status}){reason}.",
        remedy="It must see the adapter's folder under the same path, and allow its rank (--max-lora-rank).",
    )
