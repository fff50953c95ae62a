"""`tuneshift user` and `tuneshift invite`: let people in."""

from typing import Annotated

import typer

from app.accounts.queries import add_user, create_invite, find_user, invite_url
from app.accounts.removal import remove_person
from app.accounts.standing import note
from app.cli.common import EmailArgument, JsonOption, StudyArgument, console, print_json
from app.cli.opened_database import opened_database
from app.db import writing
from app.errors import InvalidInputError, NotFoundError
from app.settings import Settings
from app.studies.queries import get_study
from models import Role
from models.base import now


def add(
    email: EmailArgument,
    role: Annotated[Role, typer.Option(help="What they may do: owner or researcher.")] = Role.RESEARCHER,
    name: Annotated[str, typer.Option(help="How pages call them; else the e-mail.")] = "",
) -> None:
    """Add a person and print the link with which they sign in and choose a password."""
    settings = Settings()
    if role is Role.ANNOTATOR:
        raise InvalidInputError(
            "An annotator comes by a link into a study.", remedy="Make links with: tuneshift invite STUDY --count N"
        )
    with opened_database(settings) as database, writing(database) as session:
        user = add_user(session, email=email, name=name or email, role=role)
        token = create_invite(session, role=role, user_id=user.id, days=settings.invite_days)
    console.print(invite_url(settings, token), soft_wrap=True)


def remove(
    email: EmailArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove what is known of a person; what they judged stays under their pseudonyms."""
    with opened_database(Settings()) as database:
        if not yes:
            typer.confirm(f"Remove {email}? Name, address and password cannot be brought back.", abort=True)
        with writing(database) as session:
            user = find_user(session, email=email)
            if user is None:
                raise NotFoundError(f"There is no account for {email}.")
            remove_person(session, user, by=None, now=now())
    console.print("Removed. What they judged stays under their pseudonyms.")


def invite(
    study: StudyArgument,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many links; each works once.")] = 1,
    json: JsonOption = False,
) -> None:
    """Print single-use links that bring annotators into a study."""
    settings = Settings()
    with opened_database(settings) as database, writing(database) as session:
        found = get_study(session, study)
        tokens = [
            create_invite(session, role=Role.ANNOTATOR, study_id=found.id, days=settings.invite_days)
            for _ in range(count)
        ]
        people = f"{count} annotator{'' if count == 1 else 's'}"
        note(session, found.id, None, "invited", f"links for {people}, for {settings.invite_days} days")
    links = [invite_url(settings, token) for token in tokens]
    if json:
        print_json({"study": study, "links": links})
        return
    for link in links:
        console.print(link, soft_wrap=True)
