"""How long the server waits for somebody who sends or reads slowly, or not at all: each waiting costs it a connection.

uvicorn waits for ever for the head of a request, for the rest of a body that nobody reads, and for a reader who has
stopped reading. This is its protocol with an end to each; how slowly a body may come that somebody does read is the
business of `app/web/body.py`.
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

# A head is one packet or two; phones on bad networks need seconds for that, not minutes.
HEAD_S = 15.0
# For a client that goes on sending what was refused already, so that it can read why.
LINGER_S = 5.0
# The buffer has to empty by 48 KiB in that time.
READ_S = 120.0

_TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n\r\n"
    b"The request did not come in time.\n"
)


class PatientProtocol(H11Protocol):
    """HTTP/1.1 with deadlines. Give it to uvicorn as `http=`."""

    _begun = False
    _head: asyncio.TimerHandle | None = None
    _rest: asyncio.TimerHandle | None = None
    _reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._head = self.loop.call_later(HEAD_S, self._no_head)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        for timer in (self._head, self._rest, self._reader):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; a head that has begun must end in time, however often a piece of it comes."""
        self._begun = True
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._forget_head()
        elif self._head is None:
            self._head = self.loop.call_later(HEAD_S, self._no_head)

    def on_response_complete(self) -> None:
        """Wait a little for the end of a body that nobody reads; then the connection goes."""
        unread = self.conn.their_state is h11.SEND_BODY
        super().on_response_complete()
        if unread and not self.transport.is_closing():
            self._rest = self.loop.call_later(LINGER_S, self._give_up_rest)

    def pause_writing(self) -> None:
        """Begin to wait for a reader."""
        super().pause_writing()
        if self._reader is None:
            self._reader = self.loop.call_later(READ_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that the reader reads."""
        super().resume_writing()
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Hand the connection over: from here on it is no longer ours."""
        self._forget_head()
        super().handle_websocket_upgrade(event)

    def _forget_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _no_head(self) -> None:
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            # A browser opens connections ahead, and would show the answer to a question it has not asked.
            if self._begun:
                self.transport.write(_TOO_SLOW)
            self.transport.close()

    def _give_up_rest(self) -> None:
        if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
            self.transport.close()
