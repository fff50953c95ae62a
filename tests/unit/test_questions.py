"""What a study asks survives its column, whatever was chosen."""

import json

from hypothesis import given
from hypothesis import strategies as st

from app.studies.questions import Dimension, EvidenceQuestion, Questions, read_questions, write_questions

TEXTS = st.text(max_size=20)
DIMENSIONS = st.builds(Dimension, name=TEXTS, title=TEXTS, anchors=st.tuples(*[TEXTS] * 5))


@given(
    st.builds(
        Questions,
        dimensions=st.lists(DIMENSIONS, max_size=6).map(tuple),
        strength=st.booleans(),
        acceptability=st.booleans(),
        spans=st.booleans(),
        evidence=st.none() | st.builds(EvidenceQuestion, set_id=TEXTS, k=st.integers(1, 9), decoys=st.integers(0, 9)),
        recognised=st.sampled_from(["", "item", "end"]),
    )
)
def test_what_is_written_is_read(questions):
    assert read_questions(json.loads(json.dumps(write_questions(questions)))) == questions


def test_a_study_from_before_asks_what_all_studies_asked():
    assert read_questions({}) == Questions()
    assert Questions().names == ("helpfulness", "clarity", "factuality", "depth", "engagement")
    assert (Questions().spans, Questions().strength, Questions().evidence) == (True, False, None)
