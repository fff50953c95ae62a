"""Keys for programs: drawn, shown once, kept as a hash, checked in one place."""

import hmac
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from app.accounts.audit import record
from app.accounts.queries import new_token, token_hash
from app.errors import ConflictError, InvalidInputError, NotFoundError
from models import ApiToken, Role, Scope, User

PREFIX = "tsh_"
MAX_DAYS = 366
DEFAULT_DAYS = 90
MAX_NAME = 80
MAX_TOKENS = 50
_HINT_CHARS = len(PREFIX) + 4
_NOTE_AFTER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a token stands for, and what it may do."""

    user: User
    token_id: str
    scopes: frozenset[Scope]
    expires_at: datetime
    note_use: bool


def add_token(
    session: Session, user: User, *, name: str, scopes: Collection[str], days: int, now: datetime
) -> tuple[ApiToken, str]:
    """Add a token for a person and return it with its secret, which is not kept.

    Raises InvalidInputError naming what is wrong, ConflictError for whoever may not have one.
    """
    name = name.strip()
    unknown = sorted(set(scopes) - set(Scope))
    problems = {
        "A token needs a name, so that you can tell it from others.": not name,
        f"A name has at most {MAX_NAME} characters.": len(name) > MAX_NAME,
        "A name cannot contain control characters.": not name.isprintable(),
        f"There is no scope {', '.join(map(repr, unknown))[:80]}; there are {', '.join(Scope)}.": bool(unknown),
        "Choose at least one scope.": not scopes,
        f"A token lasts from 1 to {MAX_DAYS} days.": not 1 <= days <= MAX_DAYS,
    }
    for problem, found in problems.items():
        if found:
            raise InvalidInputError(problem)
    if user.role == Role.ANNOTATOR or user.disabled_at is not None:
        raise ConflictError("Tokens are for researchers and owners.", remedy="Ask an owner for another role.")
    if sum(is_alive(one, now) for one in tokens_of(session, user.id)) >= MAX_TOKENS:
        raise ConflictError(f"You have {MAX_TOKENS} tokens already.", remedy="Revoke one that is not used.")
    secret = f"{PREFIX}{new_token()}"
    token = ApiToken(
        user_id=user.id,
        name=name,
        hint=secret[:_HINT_CHARS],
        token_sha256=token_hash(secret),
        scopes=sorted(set(scopes)),
        created_at=now,
        expires_at=now + timedelta(days=days),
    )
    session.add(token)
    session.flush()
    said = f"{token.hint}… may {', '.join(token.scopes)} for {days} days"
    record(session, by=user.id, action="token made", about=user.id, detail=said)
    return token, secret


def tokens_of(session: Session, user_id: str) -> Sequence[ApiToken]:
    """List a person's tokens, newest first."""
    query = select(ApiToken).where(ApiToken.user_id == user_id)
    return session.exec(query.order_by(col(ApiToken.created_at).desc(), col(ApiToken.id))).all()


def revoke_token(session: Session, token_id: str, *, user_id: str | None, by: str | None, now: datetime) -> None:
    """End a token at once; one that has ended already stays so. Raises NotFoundError for one that is not `user_id`'s.

    Without `user_id` (the command line) every token is in reach.
    """
    token = session.get(ApiToken, token_id)
    if token is None or (user_id is not None and token.user_id != user_id):
        raise NotFoundError("There is no such token, or it is not yours.")
    if token.revoked_at is None:
        token.revoked_at = now
        session.add(token)
        record(session, by=by, action="token revoked", about=token.user_id, detail=f"{token.hint}…")


def is_alive(token: ApiToken, now: datetime) -> bool:
    """Tell whether a token still opens anything."""
    return token.revoked_at is None and token.expires_at > now


def find_bearer(session: Session, secret: str, now: datetime) -> Bearer | None:
    """Return whom a secret stands for; None for one that is unknown, over, revoked, or of a person switched off."""
    if not secret.startswith(PREFIX):
        return None
    wanted = token_hash(secret)
    # The look-up is by a hash, so how long it takes says nothing about any secret that exists.
    token = session.exec(select(ApiToken).where(ApiToken.token_sha256 == wanted)).one_or_none()
    if token is None or not hmac.compare_digest(token.token_sha256, wanted) or not is_alive(token, now):
        return None
    user = session.get(User, token.user_id)
    if user is None or user.disabled_at is not None:
        return None
    return Bearer(
        user=user,
        token_id=token.id,
        scopes=frozenset(Scope(one) for one in token.scopes),
        expires_at=token.expires_at,
        note_use=token.last_used_at is None or now - token.last_used_at > _NOTE_AFTER,
    )


def note_use(session: Session, token_id: str, now: datetime) -> None:
    """Keep when a token was last used."""
    token = session.get(ApiToken, token_id)
    if token is not None:
        token.last_used_at = now
        session.add(token)
