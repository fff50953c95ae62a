"""How much a request may carry, and how slowly; Starlette's limit answers outside our pages, so this is ours."""

import asyncio

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import AppError
from app.web.errors import error_response
from app.web.uploads import UPLOAD_PATHS, too_large

MAX_BODY_BYTES = 2 * 1024 * 1024
# Time for a body of nothing, and what each further second must have brought: slower than any line people judge over.
GRACE_S = 30.0
SLOWEST_BYTES_PER_S = 1_024
# What is left of the body is not waited for.
_CLOSE = {"Connection": "close"}
_TOO_LARGE = "What you sent is larger than the 2 MiB a page accepts."


class BodyTooLargeError(AppError):
    """More was sent than any page asks for."""

    status = 413


class BodyLimitMiddleware:
    """Pure ASGI: refuses by the announced length, and counts what comes where none is announced."""

    def __init__(self, app: ASGIApp, *, max_upload_bytes: int) -> None:
        self.app = app
        self.max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 413 in words."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_upload = scope["method"] == "POST" and scope["path"] in UPLOAD_PATHS
        # The form around an uploaded file may be as large as any other.
        limit = MAX_BODY_BYTES + (self.max_upload_bytes if is_upload else 0)
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and int(announced) > limit:
            error = too_large(self.max_upload_bytes) if is_upload else BodyTooLargeError(_TOO_LARGE)
            await error_response(Request(scope), error)(scope, receive, send)
            return
        await self.app(scope, _Body(receive, limit).receive, send)


class _Body:
    """A body as it comes in: counted and, until its end, timed; what waits after that waits for the client to leave."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive, self._limit = receive, limit
        self._received, self._waited, self._whole = 0, 0.0, False

    async def receive(self) -> Message:
        """Wait for the next piece. An HTTPException is what FastAPI lets through while it reads a body."""
        message = await self._receive() if self._whole else await self._in_time()
        self._received += len(message.get("body", b""))
        self._whole = self._whole or not message.get("more_body", False)
        if self._received > self._limit:
            raise HTTPException(413, headers=_CLOSE)
        return message

    async def _in_time(self) -> Message:
        # Only waiting counts: while what came is written to the disk, the client may be waiting for us.
        allowed = GRACE_S + self._received / SLOWEST_BYTES_PER_S - self._waited
        started = asyncio.get_running_loop().time()
        try:
            return await asyncio.wait_for(self._receive(), allowed)
        except TimeoutError as error:
            raise HTTPException(408, headers=_CLOSE) from error
        finally:
            self._waited += asyncio.get_running_loop().time() - started
