"""What an account must look like, and how people are called in exports. Pure."""

import hashlib
import hmac
import unicodedata

MIN_PASSWORD_LENGTH = 10
MAX_PASSWORD_LENGTH = 1_000
MAX_EMAIL_LENGTH = 320
MAX_NAME_LENGTH = 200
_PSEUDONYM_DIGITS = 12


def normalise_email(email: str) -> str:
    """Write an address the one way it is stored: trimmed, composed, lower case."""
    return unicodedata.normalize("NFKC", email).strip().lower()


def email_problem(email: str) -> str:
    """Say what is wrong with a normalised address, or nothing. Whether mail arrives there is not checked."""
    local, at, domain = email.rpartition("@")
    if not email:
        return "Enter an e-mail address."
    if not (local and at and domain) or any(character.isspace() for character in email) or not email.isprintable():
        return "This is not an e-mail address; it should look like name@example.org."
    if len(email) > MAX_EMAIL_LENGTH:
        return f"An e-mail address has at most {MAX_EMAIL_LENGTH} characters."
    return ""


def name_problem(name: str) -> str:
    """Say what is wrong with a trimmed name, or nothing."""
    if not name:
        return "Enter the name others should see."
    if len(name) > MAX_NAME_LENGTH:
        return f"A name has at most {MAX_NAME_LENGTH} characters."
    return "" if name.isprintable() else "A name cannot contain control characters."


def password_problem(password: str) -> str:
    """Say what is wrong with a new password, or nothing. Length is all that is asked."""
    if len(password) < MIN_PASSWORD_LENGTH:
        return f"Use at least {MIN_PASSWORD_LENGTH} characters; a few words in a row are fine."
    if len(password) > MAX_PASSWORD_LENGTH:
        return f"A password has at most {MAX_PASSWORD_LENGTH} characters."
    return ""


def pseudonym(secret: str, *, study_id: str, user_id: str) -> str:
    """Name a person in one study's exports: stable there, unlinkable across studies without the key."""
    digest = hmac.new(secret.encode(), f"pid:{study_id}:{user_id}".encode(), hashlib.sha256).hexdigest()
    return f"a{digest[:_PSEUDONYM_DIGITS]}"
