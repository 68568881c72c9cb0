from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent.errors import DataError
from memagent.evals.datasets.nodes import Node
from memagent.evals.datasets.open_data import open_data, parse_data
from memagent.evals.datasets.times import locomo_time, longmemeval_time, personabench_time

RECORDS = [{"a": 1}, {"a": "zwei\u2028drei"}]
CONTENTS = {
    "x.json": json.dumps(RECORDS, ensure_ascii=False).encode(),
    "x.jsonl": "\n".join(json.dumps(record, ensure_ascii=False) for record in RECORDS).encode() + b"\n\n",
}


@pytest.mark.parametrize("name", ["x.json", "x.jsonl", "x.json.gz", "x.jsonl.gz"])
def test_each_kind_of_file_gives_its_records(tmp_path: Path, name: str) -> None:
    content = CONTENTS[name.removesuffix(".gz")]
    path = tmp_path / name
    path.write_bytes(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)
    opened = open_data(path)
    assert [node.value for node in opened.records] == RECORDS
    assert [node.record for node in opened.records] == [0, 1]
    assert opened.file.name == name
    assert opened.file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_object_alone_is_one_record() -> None:
    assert [node.value for node in parse_data(b'{"a": 1}', "x.json").records] == [{"a": 1}]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.json", b"[1, 2", "x.json: not valid JSON"),
        ("x.json", b"\xff\xfe\xfa", "x.json: not valid JSON"),
        ("x.json", b"3", "x.json: expected a list, found a number"),
        ("x.json", b"[" * 100_000, "x.json: not valid JSON"),
        ("x.json", b"9" * 5000, "x.json: not valid JSON"),
        ("x.jsonl", b'{"a": 1}\n{"a": \n', "x.jsonl, line 2: not valid JSON"),
        ("x.json.gz", b"[]", "x.json.gz: the gzip data is damaged"),
        ("x.json.gz", gzip.compress(b"[1, 2, 3]" * 50, mtime=0)[:-12], "x.json.gz: the gzip data is damaged"),
        ("x.json.gz", gzip.compress(b"[1, 2, 3]", mtime=0)[:10] + b"\xff" * 20, "x.json.gz: the gzip data is damaged"),
    ],
)
def test_damage_is_named_with_its_file(name: str, content: bytes, says: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_data(content, name)
    assert says in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.json: cannot be read: No such file"):
        open_data(tmp_path / "gone.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        open_data(tmp_path / "folder.json")


def test_a_name_that_says_no_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"names end in \.json"):
        open_data(tmp_path / "data.csv")


def test_a_mismatch_names_file_record_and_field() -> None:
    record = Node(value={"qa": [{"evidence": "D1:1"}]}, file="x.json", record=3)
    entry = record.field("qa").items()[0]
    with pytest.raises(DataError, match=r"x.json, record 3, field qa\[0\].evidence: expected a list, found a string"):
        entry.field("evidence").items()
    with pytest.raises(DataError, match=r"field qa\[0\].question: is missing"):
        entry.field("question")
    with pytest.raises(DataError, match=r"field qa: expected an object, found a list"):
        record.field("qa").field("x")


@pytest.mark.parametrize(
    ("method", "value", "says"),
    [
        ("text", 3, "expected a string, found a number"),
        ("text", "\ud800", "half of a surrogate pair"),
        ("scalar", True, "expected a string or a number, found a boolean"),
        ("scalar", None, "found null"),
        ("integer", 1.5, "expected a whole number, found a number"),
        ("integer", True, "expected a whole number, found a boolean"),
        ("names", [], "expected an object, found a list"),
        ("items", {}, "expected a list, found an object"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(method: str, value: object, says: str) -> None:
    node = Node(value=value, file="x.json", record=0, path="f")
    with pytest.raises(DataError, match=f"x.json, record 0, field f: .*{says}"):
        getattr(node, method)()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(json_values, max_size=4))
def test_what_is_written_is_read(values: list[object]) -> None:
    lines = "\n".join(json.dumps(value) for value in values).encode()
    assert [node.value for node in parse_data(lines, "x.jsonl").records] == values
    assert [node.value for node in parse_data(json.dumps(values).encode(), "x.json").records] == values


def test_the_notations_of_time() -> None:
    assert longmemeval_time("2023/04/20 (Thu) 05:18").isoformat() == "2023-04-20T05:18:00+00:00"
    assert locomo_time("1:56 pm on 8 May, 2023").isoformat() == "2023-05-08T13:56:00+00:00"
    assert locomo_time("12:10 am on 11 August, 2023").isoformat() == "2023-08-11T00:10:00+00:00"
    assert locomo_time("12:05 PM on 1 September 2023").isoformat() == "2023-09-01T12:05:00+00:00"
    assert personabench_time("2024/Oct/14/09:14 AM").isoformat() == "2024-10-14T09:14:00+00:00"
    assert personabench_time("2024/Dec/31/11:59 PM").isoformat() == "2024-12-31T23:59:00+00:00"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("8 May", "is not a time like"),
        ("1:56 pm on 8 Mai5, 2023", "names no month"),
        ("13:56 pm on 8 May, 2023", "hour outside"),
        ("1:56 pm on 31 June, 2023", "day is out of range|day"),
    ],
)
def test_a_time_that_cannot_be_read_is_a_data_error(text: str, says: str) -> None:
    node = Node(value=text, file="x.json", record=1, path="date")
    with pytest.raises(DataError, match=f"x.json, record 1, field date: .*({says})"):
        node.parsed(locomo_time)
