"""Everything that can go wrong with a server, as a sentence that names the checkpoint and what would help."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from urllib.parse import urlsplit

import httpx2

from app.engines.vllm.wire import WireError
from app.errors import AppError, EngineError, EngineTimeoutError, EngineUnavailableError, InvalidInputError

_TOO_LONG = re.compile(r"maximum context length|max_tokens must be at least 1|max_model_len")
_LIMIT = re.compile(r"(?:maximum context length is |max_model_len=)(\d+)")
_MAX_K = re.compile(r"prompt logprobs of \d+, which is greater than max allowed: (\d+)")
_LOG = "Look at the server's log, restart it if it is gone, then try again."


class RefusedRequestError(EngineError):
    """A server works and does not want this request; another replica would not want it either."""


class UnknownModelError(EngineError):
    """A server works and does not serve this model: an adapter that was not loaded, a name that changed."""


def address(url: str) -> str:
    """Return host and port of a server for people to read: without path, password or key."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def allowed_k(status: int, said: str) -> int | None:
    """Return the server's largest `prompt_logprobs` when that is why it refused."""
    found = _MAX_K.search(said)
    return int(found[1]) if status == HTTPStatus.BAD_REQUEST and found else None


def refusal(status: int, said: str, *, checkpoint: str, served_name: str, url: str) -> AppError:
    """Turn an error answer into ours, by its status; the server's words help only to tell one 400 from another."""
    who = f"The server of checkpoint {checkpoint!r} ({address(url)})"
    if status == HTTPStatus.BAD_REQUEST:
        return _bad_request(said, checkpoint=checkpoint, who=who)
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return EngineError(f"{who} refused our key.", remedy="Set TUNESHIFT_VLLM_API_KEY to the server's --api-key.")
    if status == HTTPStatus.NOT_FOUND:
        return UnknownModelError(
            f"{who} serves no model called {served_name!r}.",
            remedy="Correct engine and served_name in the registry, or start the server with --served-model-name or "
            f"--lora-modules {served_name}=FOLDER.",
        )
    if status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
        return EngineUnavailableError(f"{who} takes no requests now.", remedy="Wait a little, then try again.")
    return EngineError(f"{who} answered with status {status}{_quoted(said)}.", remedy=_LOG)


def _bad_request(said: str, *, checkpoint: str, who: str) -> AppError:
    if _TOO_LONG.search(said):
        limit = _LIMIT.search(said)
        holds = f", which holds {limit[1]} tokens" if limit else ""
        return InvalidInputError(
            f"Prompt and response do not fit into the context of checkpoint {checkpoint!r}{holds}.",
            remedy="Shorten the prompt, ask for fewer tokens, or serve it with a larger --max-model-len.",
        )
    if "out of vocabulary" in said:
        return InvalidInputError(
            f"Checkpoint {checkpoint!r} cannot read this text: {said[0].lower()}{said[1:]}.",
            remedy="Its vocabulary is smaller than the other model's; compare them with the local engine.",
        )
    remedy = "Check that it runs vLLM 0.12 or newer."
    return RefusedRequestError(f"{who} refused the request{_quoted(said)}.", remedy=remedy)


def _quoted(said: str) -> str:
    return f': "{said}"' if said else ""


@contextmanager
def explained(checkpoint: str, url: str) -> Iterator[None]:
    """Raise what goes wrong inside between us and the server as an EngineError."""
    who = f"The server of checkpoint {checkpoint!r} ({address(url)})"
    try:
        yield
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise EngineUnavailableError(
            f"{who} cannot be reached.", remedy="Start it, or correct engine in the registry."
        ) from error
    except (httpx2.TimeoutException, TimeoutError) as error:
        raise EngineTimeoutError(
            f"{who} did not answer in time.", remedy="It may be overloaded or stuck; look at its log, then try again."
        ) from error
    except httpx2.HTTPError as error:
        raise EngineError(f"{who} broke the connection.", remedy=_LOG) from error
    except WireError as error:
        if error.status == HTTPStatus.BAD_REQUEST:
            raise _bad_request(error.said, checkpoint=checkpoint, who=who) from error
        raise EngineError(f"{who} cannot be used: {error}{_quoted(error.said)}.", remedy=_LOG) from error
