"""What the page of results and the report share: drawing figures, and what dimensions are called."""

from markupsafe import Markup

from app.studies.questions import read_questions
from models import Study


def draw(svg: str) -> Markup:
    """Put a figure into a page."""
    return Markup(svg)  # noqa: S704  app.results.charts escapes every text it writes


def titles_of(study: Study) -> dict[str, str]:
    """Return the titles of a study's dimensions by name."""
    return {one.name: one.title for one in read_questions(study.questions).dimensions}
