"""Profiles in the sandbox (reference: sailthru-api 2.1)."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.replies import Reply
from pipeline.sandbox.sandbox import Sandbox

NOW = 1_600_000_000.0


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox()


def post(sandbox: Sandbox, user: str, now: float = NOW, **params: Any) -> Reply:
    return sandbox.handle("POST", "/user", {"id": user, "key": "extid", **params}, now)


def get(sandbox: Sandbox, value: str, key: str = "extid", now: float = NOW, **fields: int) -> Reply:
    return sandbox.handle("GET", "/user", {"id": value, "key": key, "fields": fields}, now)


def test_a_posted_profile_is_found_by_each_of_its_keys(sandbox: Sandbox) -> None:
    """extid, email (in any letter case) and sid lead to one profile."""
    assert post(sandbox, "42", keys={"email": "Zoe@Example.com"}, vars={"a": 1}) == (
        200,
        {"ok": True},
    )
    by_extid = get(sandbox, "42").body
    assert by_extid["keys"]["email"] == "zoe@example.com"
    assert by_extid["vars"] == {"a": 1}
    assert get(sandbox, "ZOE@example.com", "email").body == by_extid
    assert get(sandbox, by_extid["keys"]["sid"], "sid").body == by_extid


def test_an_unknown_user_is_not_found(sandbox: Sandbox) -> None:
    """The text is what Sailthru says, with HTTP 400 (reference: 2.1, FIDES)."""
    status, body = get(sandbox, "42")
    assert status == 400
    assert body == {"error": 99, "errormsg": "User not found with extid: 42"}


def test_vars_are_set_by_name_and_lists_joined_and_left(sandbox: Sandbox) -> None:
    """A var that is an object is replaced whole."""
    post(sandbox, "42", vars={"a": {"x": 1}, "b": 1}, lists={"News": 1, "Sale": 1})
    post(sandbox, "42", vars={"a": {"y": 2}}, lists={"News": 0})
    body = get(sandbox, "42").body
    assert body["vars"] == {"a": {"y": 2}, "b": 1}
    assert list(body["lists"]) == ["Sale"]


def test_empty_maps_are_shown_as_lists(sandbox: Sandbox) -> None:
    """As PHP does, so that clients learn to take it."""
    post(sandbox, "42")
    assert get(sandbox, "42").body["vars"] == []


def test_a_merge_leaves_one_profile_with_the_strictest_opt_out(sandbox: Sandbox) -> None:
    """The survivor had the new key; its values win, the anonymous id is gone."""
    post(sandbox, "anon", vars={"a": "anon", "b": "anon"}, lists={"News": 1}, optout_email="all")
    post(sandbox, "42", vars={"a": "known"}, optout_email="basic")
    sid = get(sandbox, "42").body["keys"]["sid"]
    reply = post(sandbox, "anon", keys={"extid": "42"}, keysconflict="merge")
    assert reply.status == 200
    assert get(sandbox, "anon").status == 400
    merged = get(sandbox, "42").body
    assert merged["keys"]["sid"] == sid
    assert merged["vars"] == {"a": "known", "b": "anon"}
    assert merged["optout_email"] == "all"
    assert list(merged["lists"]) == ["News"]
    assert len(list(sandbox.state.profiles)) == 1


def test_a_merge_into_an_unknown_user_renames_the_profile(sandbox: Sandbox) -> None:
    """The known id doesn't exist yet: the anonymous profile becomes it."""
    post(sandbox, "anon", vars={"a": 1})
    post(sandbox, "anon", keys={"extid": "42"}, keysconflict="merge")
    assert get(sandbox, "42").body["vars"] == {"a": 1}
    assert get(sandbox, "anon").status == 400


def test_a_merge_of_an_unknown_profile_into_a_user_is_accepted(sandbox: Sandbox) -> None:
    """An anonymous id that Sailthru never saw, or that was merged already: nothing is lost."""
    post(sandbox, "42", vars={"a": 1})
    for _ in range(2):
        assert post(sandbox, "anon", keys={"extid": "42"}, keysconflict="merge").status == 200
    assert get(sandbox, "42").body["vars"] == {"a": 1}
    assert len(list(sandbox.state.profiles)) == 1


def test_a_merge_carries_orders_and_cart_along(sandbox: Sandbox) -> None:
    """Purchase history is combined; the cart that changed last stays."""
    item = {"id": "1", "title": "T", "price": 5, "qty": 1, "url": "http://x"}
    post(sandbox, "anon", keys={"email": "a@b.co"})
    sandbox.handle("POST", "/purchase", {"email": "a@b.co", "items": [item]}, NOW)
    cart = {"email": "a@b.co", "items": [item], "incomplete": 1}
    sandbox.handle("POST", "/purchase", cart, NOW)
    post(sandbox, "42")
    post(sandbox, "anon", keys={"extid": "42"}, keysconflict="merge")
    body = get(sandbox, "42", purchases=1, purchase_incomplete=1).body
    assert len(body["purchases"]) == 1
    assert body["purchase_incomplete"]["items"] == [item]


@pytest.mark.parametrize("conflict", [{"keysconflict": "error"}, {}])
def test_a_clash_without_merge_is_refused_and_changes_nothing(
    sandbox: Sandbox, conflict: dict[str, Any]
) -> None:
    """What happens without keysconflict is undocumented: the sandbox is strict."""
    post(sandbox, "1", keys={"email": "a@b.co"})
    post(sandbox, "2", vars={"a": 1})
    before = sandbox.state.as_json()
    reply = post(sandbox, "2", keys={"email": "a@b.co"}, vars={"a": 2}, **conflict)
    assert reply.status == 409
    assert sandbox.state.as_json() == before


def test_a_changed_email_frees_the_old_one(sandbox: Sandbox) -> None:
    """The old address finds no profile and may be taken."""
    post(sandbox, "1", keys={"email": "old@b.co"})
    post(sandbox, "1", keys={"email": "new@b.co"})
    assert get(sandbox, "old@b.co", "email").status == 400
    assert post(sandbox, "2", keys={"email": "old@b.co"}, keysconflict="error").status == 200


def test_a_deleted_user_is_gone(sandbox: Sandbox) -> None:
    """A second deletion is refused."""
    post(sandbox, "42")
    delete = {"id": "42", "key": "extid"}
    assert sandbox.handle("DELETE", "/user", delete, NOW) == (200, {"ok": True})
    assert get(sandbox, "42").status == 400
    assert sandbox.handle("DELETE", "/user", delete, NOW).status == 400


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"id": None}, 2),
        ({"id": "x", "key": "nickname"}, 99),
        ({"id": "no-address", "key": "email"}, 11),
        ({"keys": {"email": "no-address"}}, 11),
        ({"keys": "a@b.co"}, 99),
        ({"keys": {"nickname": "x"}}, 99),
        ({"vars": {"v" * 33: 1}}, 99),
        ({"vars": "none"}, 99),
        ({"optout_email": "maybe"}, 99),
    ],
)
def test_wrong_parameters_are_refused_with_their_code(
    sandbox: Sandbox, params: dict[str, Any], code: int
) -> None:
    """Nothing is stored of a call that is refused."""
    status, body = post(sandbox, "42", **params)
    assert status == 400
    assert body["error"] == code
    assert list(sandbox.state.profiles) == []


def test_reads_lag_behind_writes() -> None:
    """Within the lag a read sees the older profile, or none; merges included."""
    sandbox = Sandbox(SandboxOptions(lag_s=2))
    post(sandbox, "anon", NOW, vars={"a": 1})
    assert get(sandbox, "anon", now=NOW + 1).status == 400
    post(sandbox, "anon", NOW + 3, vars={"a": 2})
    assert get(sandbox, "anon", now=NOW + 4).body["vars"] == {"a": 1}
    post(sandbox, "anon", NOW + 5, keys={"extid": "42"}, keysconflict="merge")
    assert get(sandbox, "anon", now=NOW + 6).body["vars"] == {"a": 2}
    assert get(sandbox, "42", now=NOW + 6).status == 400
    assert get(sandbox, "42", now=NOW + 7).body["vars"] == {"a": 2}
    assert get(sandbox, "anon", now=NOW + 7).status == 400


@pytest.mark.parametrize(
    ("method", "endpoint", "status"), [("DELETE", "/event", 405), ("GET", "/nothing", 404)]
)
def test_what_does_not_exist_is_refused(
    sandbox: Sandbox, method: str, endpoint: str, status: int
) -> None:
    """The refusal has the HTTP status for it."""
    assert sandbox.handle(method, endpoint, {}, NOW).status == status
