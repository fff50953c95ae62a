def test_a_visitor_is_told_what_this_is_and_where_to_sign_in(anonymous, htmx):
    response = anonymous.get("/", headers=htmx)
    assert response.status_code == 200
    assert 'href="/login"' in response.text


def test_each_person_starts_where_they_work(annotator, researcher):
    assert annotator.get("/").headers["location"] == "/judge"
    assert researcher.get("/").headers["location"] == "/explore"
