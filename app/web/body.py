"""How much a request may carry. Starlette's own limit answers outside our headers and pages, so this one is ours."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import AppError
from app.web.errors import error_response
from app.web.uploads import UPLOAD_PATHS, too_large

MAX_BODY_BYTES = 2 * 1024 * 1024
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
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                # An HTTPException is what FastAPI lets through while it reads a body.
                raise HTTPException(413)
            return message

        await self.app(scope, receive_counted, send)
