"""`tuneshift token`: keys for programs, made, listed and revoked without a browser."""

from typing import Annotated

import typer
from sqlmodel import col, select

from app.accounts.queries import find_user
from app.accounts.tokens import DEFAULT_DAYS, MAX_DAYS, add_token, is_alive, revoke_token
from app.cells import utc_text
from app.cli.common import JsonOption, console, notes, print_json
from app.cli.opened_database import opened_database
from app.db import reading, writing
from app.errors import NotFoundError
from app.settings import Settings
from models import ApiToken, Scope, User
from models.base import now


def add(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="Whose token it is; what they may do, it may do.")],
    name: Annotated[str, typer.Option(help="What it is for.")] = "command line",
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What it may do; give it again for more. It may only read if none is named."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=MAX_DAYS, help="How many days it lasts.")] = DEFAULT_DAYS,
) -> None:
    """Make a token and print it, this once; with no scope named it may only read."""
    wanted = [one.value for one in scope or [Scope.READ]]
    with opened_database(Settings()) as database, writing(database) as session:
        user = find_user(session, email=email)
        if user is None:
            raise NotFoundError(f"There is no account for {email}.", remedy="Add one with: tuneshift user add")
        token, secret = add_token(session, user, name=name, scopes=wanted, days=days, now=now())
        until = token.expires_at
    notes.print(f"It may {', '.join(wanted)} until {until:%Y-%m-%d}. It is shown now and never again.")
    console.print(secret, soft_wrap=True, markup=False)


def list_tokens(json: JsonOption = False) -> None:
    """List the tokens there are, newest first; never their secrets."""
    with opened_database(Settings()) as database, reading(database) as session:
        query = select(ApiToken, User.email).join(User, col(User.id) == col(ApiToken.user_id))
        rows = session.exec(query.order_by(col(ApiToken.created_at).desc(), col(ApiToken.id))).all()
        found = [
            {
                "id": token.id,
                "email": email,
                "name": token.name,
                "begins": token.hint,
                "scopes": token.scopes,
                "expires_at": utc_text(token.expires_at),
                "last_used_at": utc_text(token.last_used_at) if token.last_used_at else None,
                "valid": is_alive(token, now()),
            }
            for token, email in rows
        ]
    if json:
        print_json(found)
        return
    for one in found:
        state = "valid" if one["valid"] else "over"
        said = f"{one['id']}  {one['begins']}…  {state}  {one['email']}  {','.join(one['scopes'])}  {one['name']}"  # type: ignore[arg-type]
        console.print(said, soft_wrap=True, markup=False)


def revoke(token_id: Annotated[str, typer.Argument(metavar="ID", help="The id that `token list` prints.")]) -> None:
    """End a token at once."""
    with opened_database(Settings()) as database, writing(database) as session:
        revoke_token(session, token_id, user_id=None, by=None, now=now())
    console.print("Revoked.")
