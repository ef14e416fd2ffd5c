"""Whatever a client sends, the sandbox answers."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.sandbox.params import describe_user
from pipeline.sandbox.sandbox import Sandbox

_SCALAR = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["a@b.co", "42", "extid", "email", "merge", "\ud800", ""])
)
_VALUE = st.recursive(
    _SCALAR,
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "email", "extid", "qty", "price", "title", "url", "images"]),
            children,
            max_size=6,
        )
    ),
    max_leaves=8,
)
_NAMES = [
    "id",
    "key",
    "keys",
    "keysconflict",
    "vars",
    "lists",
    "optout_email",
    "fields",
    "email",
    "items",
    "incomplete",
    "purchase_keys",
    "extid",
    "purchase_id",
    "purchase_key",
    "event",
    "url",
    "userIdKey",
    "userIdValue",
    "reminder_template",
]
_CALL = st.tuples(
    st.sampled_from(["GET", "POST", "DELETE"]),
    st.sampled_from(["/user", "/event", "/purchase", "/return", "/v1/track/event/pageview", "/x"]),
    st.dictionaries(st.sampled_from(_NAMES), _VALUE, max_size=6),
)


@settings(max_examples=50)
@given(calls=st.lists(_CALL, max_size=8))
@example(calls=[("GET", "/purchase", {"purchase_id": 0, "purchase_key": [None]})])
@example(calls=[("POST", "/user", {"id": "u1", "key": "extid", "optout_email": [None]})])
def test_any_json_gets_an_answer(calls: list[tuple[str, str, dict[str, Any]]]) -> None:
    """A crash would look like Sailthru's own outage, and be retried for hours."""
    sandbox = Sandbox()
    for now, (method, endpoint, params) in enumerate(calls):
        status, body = sandbox.handle(method, endpoint, params, float(now))
        assert 200 <= status < 500
        assert (status == 200) == ("error" not in body and "errormsg" not in body)
        assert isinstance(describe_user(params), str)
    assert sandbox.state.as_json()["profiles"] is not None


@given(
    posts=st.lists(
        st.tuples(
            st.sampled_from(["1", "2", "3"]),
            st.sampled_from([None, "1", "2", "3"]),
            st.sampled_from([None, "a@b.co", "c@d.co"]),
            st.sampled_from(["merge", "error", None]),
        ),
        max_size=12,
    )
)
def test_a_key_never_belongs_to_two_profiles(
    posts: list[tuple[str, str | None, str | None, str | None]],
) -> None:
    """Profiles are made, merged and renamed at random; every key that is shown finds its profile."""
    sandbox = Sandbox()
    for now, (user, extid, email, conflict) in enumerate(posts):
        keys = {"extid": extid, "email": email}
        params = {"id": user, "key": "extid", "keys": keys, "keysconflict": conflict}
        sandbox.handle("POST", "/user", params, float(now))
    profiles = list(sandbox.state.profiles)
    shown = [item for profile in profiles for item in profile.keys.items()]
    assert len(shown) == len(set(shown))
    for profile in profiles:
        for key, value in profile.keys.items():
            assert sandbox.state.profiles.find(key, value) == profile
