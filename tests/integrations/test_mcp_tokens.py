"""Files of bearer tokens."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memagent.errors import DataError, InvalidInput, InvalidUserId
from memagent.server.mcp_tokens import Tokens, add_token, digest, refuse_open_door


def test_a_token_stands_for_its_user_and_no_other_text_does(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    ann, bob = add_token(file, "ann"), add_token(file, "bob")
    tokens = Tokens(file)
    assert (tokens.user_of(ann), tokens.user_of(bob)) == ("ann", "bob")
    for other in ("", ann[:-1], ann.upper(), digest(ann), "\ud800"):
        assert tokens.user_of(other) is None


def test_of_tokens_that_are_added_at_once_none_is_lost(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: add_token(file, f"user {number}"), range(24)))
    tokens = Tokens(file)
    assert [tokens.user_of(token) for token in made] == [f"user {number}" for number in range(24)]


def test_a_change_of_the_file_counts_at_once(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    first = add_token(file, "ann")
    tokens = Tokens(file)
    assert tokens.user_of(first) == "ann"
    second = add_token(file, "ann")
    assert tokens.user_of(second) == "ann"
    file.write_text(json.dumps({digest(second): "bob"}))
    assert (tokens.user_of(first), tokens.user_of(second)) == (None, "bob")
    file.unlink()
    with pytest.raises(DataError, match="there is no file"):
        tokens.user_of(second)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        '{"token": "ann"}',
        '{"%s": 3}' % ("a" * 64),
        '{"%s": ""}' % ("a" * 64),
        "[" * 100_000,
        "\xff",
    ],
)
def test_a_damaged_file_lets_nobody_in_and_is_not_written_over(text: str, tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError) as raised:
        Tokens(file).user_of("x")
    assert "token" not in raised.value.message.replace("tokens.json", "")  # what stands for a digest may be a token
    with pytest.raises(DataError):
        add_token(file, "ann")
    assert file.read_bytes() == text.encode("latin-1")


def test_a_token_needs_a_user(tmp_path: Path) -> None:
    with pytest.raises(InvalidUserId):
        add_token(tmp_path / "tokens.json", "")
    assert not (tmp_path / "tokens.json").exists()


@settings(max_examples=30)
@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_every_user_id_can_have_a_token(user: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tokens.json"
        assert Tokens(file).user_of(add_token(file, user)) == user


def test_a_server_without_tokens_listens_to_this_machine_alone(tmp_path: Path) -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        refuse_open_door(host, None)
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.org", ""):
        with pytest.raises(InvalidInput, match="would give the memory to everybody"):
            refuse_open_door(host, None)
        refuse_open_door(host, Tokens(tmp_path / "tokens.json"))
