"""What people type to sign in or to accept an invitation, and what is wrong with it, field by field."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Form

from app.accounts.rules import email_problem, name_problem, normalise_email, password_problem


@dataclass(frozen=True, slots=True)
class AccountForm:
    """A filled-in form as its page shows it again: values kept, errors beside the fields, never the password."""

    email: str = ""
    name: str = ""
    has_account: bool = False
    errors: dict[str, str] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Credentials:
    """An address, normalised, and a password as typed."""

    email: str
    password: str


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What an invited person tells: with `has_account` the name is not asked."""

    email: str
    name: str
    password: str
    has_account: bool

    def problems(self) -> dict[str, str]:
        """List what is wrong, by field; empty when the form can be used."""
        found = {"email": email_problem(self.email)}
        if not self.has_account:
            found |= {"name": name_problem(self.name), "password": password_problem(self.password)}
        elif not self.password:
            found["password"] = "Enter your password."  # noqa: S105 - a sentence, not a secret
        return {name: problem for name, problem in found.items() if problem}

    def shown(self, **errors: str) -> AccountForm:
        """Return the form to show again with `errors`."""
        return AccountForm(email=self.email, name=self.name, has_account=self.has_account, errors=errors)


def credentials(email: Annotated[str, Form()] = "", password: Annotated[str, Form()] = "") -> Credentials:
    """Read the sign-in form."""
    return Credentials(email=normalise_email(email), password=password)


def new_account(
    email: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    account: Annotated[str, Form()] = "",
) -> NewAccount:
    """Read the form of the invitation page."""
    return NewAccount(
        email=normalise_email(email), name=name.strip(), password=password, has_account=account == "existing"
    )
