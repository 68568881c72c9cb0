"""Malformed replies as models write them: read where only one reading is plausible, refused with a reason otherwise."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from answer_schemas import Choice, Facts, Feeling, Ids, Keywords, Options, Reply, Score, Summary, Tree, Verdict, YesNo
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from memagent.errors import MalformedReply
from memagent.llm.structured import read, read_answer

YES = {"verdict": "yes"}
SAID = {"summary": '<answer>{"a"</answer>'}
RIGHT = {"reasoning": "It says so.", "label": "CORRECT"}
TEA = {"keywords": ["tea", "Lisbon"]}

# (name, reply, schema, the answer as a dict or the reason of the failure, something mended that must be named)
TAGGED: list[tuple[str, str, type[BaseModel], Any, str]] = [
    ("as asked", '<answer>{"verdict": "yes"}</answer>', YesNo, YES, ""),
    ("prose around the tags", 'Sure!\n<answer>{"verdict": "yes"}</answer>\nAnything else?', YesNo, YES, "prose"),
    ("prose inside the tags", '<answer>Here it is: {"verdict": "yes"}.</answer>', YesNo, YES, "prose"),
    ("a fence inside the tags", '<answer>\n```json\n{"verdict": "yes"}\n```\n</answer>', YesNo, YES, "fence"),
    ("tags inside a fence", '```\n<answer>{"verdict": "yes"}</answer>\n```', YesNo, YES, "prose"),
    ("a fence that is not closed", '<answer>\n```json\n{"verdict": "yes"}\n</answer>', YesNo, YES, "fence"),
    ("an unclosed tag", '<answer>{"verdict": "yes"}', YesNo, YES, "unclosed tag"),
    ("only the closing tag", '{"verdict": "yes"}</answer>', YesNo, YES, ""),
    ("no tags at all", '{"verdict": "yes"}', YesNo, YES, "no tag"),
    ("another tag", '<result>{"verdict": "yes"}</result>', YesNo, YES, "no tag"),
    ("the tag in capitals", '<ANSWER>{"verdict": "yes"}</ANSWER>', YesNo, YES, ""),
    ("spaces in the tag", '< answer >{"verdict": "yes"}</ answer>', YesNo, YES, ""),
    ("attributes in the tag", '<answer type="json">{"verdict": "yes"}</answer>', YesNo, YES, ""),
    ("a self-closing tag at the end", '<answer>{"verdict": "yes"}<answer/>', YesNo, YES, ""),
    ("escaped tags", '&lt;answer&gt;{"verdict": "yes"}&lt;/answer&gt;', YesNo, YES, "escaped tag"),
    ("escaped throughout", "&lt;answer&gt;{&quot;verdict&quot;: &quot;yes&quot;}&lt;/answer&gt;", YesNo, YES, ""),
    (
        "the last of two answers",
        '<answer>{"verdict": "no"}</answer> No: <answer>{"verdict": "yes"}</answer>',
        YesNo,
        YES,
        "",
    ),
    (
        "a second answer that is cut off",
        '<answer>{"verdict": "yes"}</answer>\n<answer>{"verdict": "n',
        YesNo,
        YES,
        "",
    ),
    ("tags within tags", '<answer><answer>{"verdict": "yes"}</answer></answer>', YesNo, YES, ""),
    (
        "the instruction repeated",
        'I reply between <answer> and </answer>: {"verdict": "yes"}',
        YesNo,
        YES,
        "",
    ),
    ("thoughts first", '<think>{"verdict": "no"}? No.</think><answer>{"verdict": "yes"}</answer>', YesNo, YES, ""),
    ("thoughts whose beginning was in the prompt", 'Hmm.</think>\n<answer>{"verdict": "yes"}</answer>', YesNo, YES, ""),
    (
        "thoughts in another tag",
        '<Thinking>\n<answer>?</answer></Thinking><answer>{"verdict": "yes"}</answer>',
        YesNo,
        YES,
        "",
    ),
    ("nothing but thoughts", "<think>The user wants a verdict, so", YesNo, "truncated", ""),
    ("a bare value", "<answer>yes</answer>", YesNo, YES, "no JSON"),
    ("a bare value with a full stop", "<answer> Yes. </answer>", YesNo, YES, "wrong type"),
    ("a quoted value", '<answer>"yes"</answer>', YesNo, YES, "no JSON"),
    (
        "a draft before an answer that breaks off",
        'It could be {"verdict": "no"}. <answer>{"verdict": "ye',
        YesNo,
        "truncated",
        "",
    ),
    (
        "a draft before a fenced answer that breaks off",
        'It could be {"verdict": "no"}. <answer>\n```json\n{"verdict": "ye',
        YesNo,
        "truncated",
        "",
    ),
    ("tags inside of a text", '<answer>{"summary": "<answer>{\\"a\\"</answer>"}</answer>', Summary, SAID, ""),
    ("a bare value and its reason", "<answer>yes, because she said so</answer>", YesNo, YES, "wrong type"),
    ("a bold value", "<answer>**yes**</answer>", YesNo, YES, "no JSON"),
    ("a bare text", "<answer>Ann drinks tea.</answer>", Summary, {"summary": "Ann drinks tea."}, "no JSON"),
    ("tags for the fields", "<answer><verdict>yes</verdict></answer>", YesNo, YES, "no JSON"),
    (
        "tags for several fields",
        "<answer>\n<reasoning>It says so.</reasoning>\n<label>CORRECT</label>\n</answer>",
        Verdict,
        RIGHT,
        "no JSON",
    ),
    ("a tag for each item", "<answer><keywords>tea</keywords><keywords>Lisbon</keywords></answer>", Keywords, TEA, ""),
    ("lines with keys", "<answer>\nReasoning: It says so.\nLabel: correct\n</answer>", Verdict, RIGHT, "no JSON"),
    ("bold keys on lines", "<answer>- **reasoning**: It says so.\n- **label**: CORRECT</answer>", Verdict, RIGHT, ""),
    ("a list alone", '<answer>["tea", "Lisbon"]</answer>', Keywords, TEA, "wrapped"),
    ("the tag's name as a key", '<answer>{"answer": {"verdict": "yes"}}</answer>', YesNo, YES, "wrapped"),
    ("a value under the tag's name", '<answer>{"answer": "yes"}</answer>', YesNo, YES, "wrapped"),
    (
        "the schema filled in",
        '<answer>{"type": "object", "properties": {"verdict": "yes"}}</answer>',
        YesNo,
        YES,
        "wrapped",
    ),
    (
        "the schema itself",
        '<answer>{"properties": {"verdict": {"type": "string"}}}</answer>',
        YesNo,
        "unknown value",
        "",
    ),
    ("special tokens at the end", '<answer>{"verdict": "yes"}</answer><|im_end|>', YesNo, YES, "prose"),
    ("a bare value and a special token", "<answer>yes<|eot_id|>", YesNo, YES, ""),
    ("a byte order mark", '\ufeff<answer>\u200b{"verdict": "yes"}</answer>', YesNo, YES, ""),
    ("a list of bullets", "<answer>\n- tea\n- Lisbon\n</answer>", Keywords, TEA, "no JSON"),
    ("a numbered list", "<answer>1. tea\n2) Lisbon</answer>", Keywords, TEA, "no JSON"),
    ("a list with commas on a line with a key", "<answer>Keywords: tea, Lisbon</answer>", Keywords, TEA, "no JSON"),
    (
        "tags for the fields, one of them called like the tag around them",
        "<answer><why>no</why><answer>yes</answer></answer>",
        Reply,
        {"why": "no", "answer": "yes"},
        "no JSON",
    ),
    ("a label that is corrected", "<answer>Verdict: no\nWait.\nVerdict: yes</answer>", YesNo, YES, "no JSON"),
    ("a refusal where a list should be", "<answer>I'm sorry, I cannot.</answer>", Keywords, "no JSON", ""),
    ("a refusal without tags where a list should be", "I'm sorry, but I can't help.", Keywords, "no JSON", ""),
    ("a sentence where a number should be", "<answer>There are several.</answer>", Score, "no JSON", ""),
    ("an empty tag", "<answer></answer>", YesNo, "no JSON", ""),
    ("an empty reply", "", YesNo, "empty", ""),
    ("blank", " \n\t ", YesNo, "empty", ""),
    ("a refusal", "I'm sorry, but I can't help with that.", YesNo, "no JSON", ""),
    ("a refusal in tags", "<answer>I'm sorry, I cannot.</answer>", Verdict, "no JSON", ""),
    ("a value that is not allowed", '<answer>{"verdict": "maybe"}</answer>', YesNo, "unknown value", ""),
    ("a field that is missing", '<answer>{"label": "CORRECT"}</answer>', Verdict, "missing field", ""),
    ("other keys", '<answer>{"colour": "red"}</answer>', Verdict, "wrong keys", ""),
    ("cut off in a text", '<answer>{"reasoning": "It sa', Verdict, "truncated", ""),
    ("cut off after a key", '<answer>{"reasoning":', Verdict, "truncated", ""),
    ("cut off in the tag", "<ans", YesNo, "no JSON", ""),
]

GUIDED: list[tuple[str, str, type[BaseModel], Any, str]] = [
    ("as asked", '{"verdict":"yes"}', YesNo, YES, ""),
    ("white space", '\n\n  {\n\t"verdict" : "yes"\r\n}  \n', YesNo, YES, ""),
    ("a fence", '```json\n{"verdict": "yes"}\n```', YesNo, YES, "fence"),
    ("a fence of no language", '```\n{"verdict": "yes"}```', YesNo, YES, "fence"),
    ("a fence of waves", '~~~json\n{"verdict": "yes"}\n~~~', YesNo, YES, "fence"),
    ("prose and a fence", 'Here you are:\n```JSON\n{"verdict": "yes"}\n```\nDone.', YesNo, YES, "fence"),
    (
        "the last of two fences",
        '```json\n{"verdict": "no"}\n```\n```json\n{"verdict": "yes"}\n```',
        YesNo,
        YES,
        "fence",
    ),
    ("prose before", 'The answer is {"verdict": "yes"}', YesNo, YES, "prose"),
    ("prose after", '{"verdict": "yes"} I hope this helps {smile}', YesNo, YES, "prose"),
    ("brackets in the prose", 'See [1] and {x}: {"keywords": ["tea", "Lisbon"]}', Keywords, TEA, "prose"),
    ("a trailing comma", '{"keywords": ["tea", "Lisbon",],}', Keywords, TEA, "trailing comma"),
    ("two commas", '{"keywords": ["tea",, "Lisbon"]}', Keywords, TEA, "trailing comma"),
    ("a missing comma", '{"reasoning": "It says so."\n "label": "CORRECT"}', Verdict, RIGHT, "missing comma"),
    ("missing commas in a list", '{"keywords": ["tea"\n"Lisbon"]}', Keywords, TEA, "missing comma"),
    ("single quotes", "{'verdict': 'yes'}", YesNo, YES, "quotes"),
    ("an apostrophe in single quotes", "{'summary': 'Ann's tea'}", Summary, {"summary": "Ann's tea"}, "inner quotes"),
    ("typographic quotes", "{\u201cverdict\u201d: \u201cyes\u201d}", YesNo, YES, "quotes"),
    (
        "quotes inside a text",
        '{"summary": "She said "tea" twice"}',
        Summary,
        {"summary": 'She said "tea" twice'},
        "inner quotes",
    ),
    (
        "quotes and a comma inside",
        '{"summary": "She said "tea", then left"}',
        Summary,
        {"summary": 'She said "tea", then left'},
        "",
    ),
    ("keys without quotes", '{verdict: "yes"}', YesNo, YES, "unquoted"),
    ("words without quotes", "{verdict: yes}", YesNo, YES, "unquoted"),
    (
        "Python's constants",
        '{"score": 3, "is_relevant": True, "note": None}',
        Score,
        {"score": 3, "is_relevant": True, "note": ""},
        "unquoted",
    ),
    ("a comment", '{"verdict": "yes" // she did\n}', YesNo, YES, "comment"),
    (
        "comments of other kinds",
        '{/* so */ "score": 3, # three\n"is_relevant": true}',
        Score,
        {"score": 3, "is_relevant": True, "note": ""},
        "comment",
    ),
    (
        "line breaks in a text",
        '{"summary": "one\ntwo\tthree"}',
        Summary,
        {"summary": "one\ntwo\tthree"},
        "raw characters",
    ),
    (
        "escapes that JSON has not",
        r'{"summary": "it\'s 5\$ a\_b \d"}',
        Summary,
        {"summary": r"it's 5$ a_b \d"},
        "escapes",
    ),
    ("an escape in halves", r'{"summary": "\ud83d\ude00 \ud83d"}', Summary, {"summary": "\U0001f600 \ufffd"}, ""),
    ("keys twice", '{"verdict": "no", "verdict": "yes"}', YesNo, YES, "repeated keys"),
    ("keys twice, and a comma", '{"verdict": "no", "verdict": "yes",}', YesNo, YES, "repeated keys"),
    (
        "keys twice further in",
        '{"facts": [{"text": "x", "text": "tea"}]}',
        Facts,
        {"facts": [{"text": "tea", "messages": [], "confidence": None}]},
        "repeated keys",
    ),
    ("a missing brace", '{"verdict": "yes"', YesNo, YES, "unclosed"),
    ("missing brackets", '{"keywords": ["tea", "Lisbon"', Keywords, TEA, "unclosed"),
    ("a bracket too few in the middle", '{"keywords": ["tea", "Lisbon"}', Keywords, TEA, "unclosed"),
    ("a brace too many", '{"verdict": "yes"}}', YesNo, YES, "prose"),
    ("JSON in a string", '"{\\"verdict\\": \\"yes\\"}"', YesNo, YES, "encoded twice"),
    ("JSON in a string in an object", '{"answer": "{\\"verdict\\": \\"yes\\"}"}', YesNo, YES, "encoded twice"),
    ("a list of one object", '[{"verdict": "yes"}]', YesNo, YES, "wrapped"),
    ("a list for the only field", '["tea", "Lisbon"]', Keywords, TEA, "wrapped"),
    (
        "a list of objects after prose",
        'Facts:\n[{"text": "tea"}]',
        Facts,
        {"facts": [{"text": "tea", "messages": [], "confidence": None}]},
        "wrapped",
    ),
    ("under another key", '{"response": {"verdict": "yes"}}', YesNo, YES, "wrapped"),
    ("under two keys", '{"data": {"result": {"verdict": "yes"}}}', YesNo, YES, "wrapped"),
    ("beside a thought", '{"thought": "so", "final": {"verdict": "yes"}}', YesNo, YES, "wrapped"),
    (
        "keys spelt otherwise",
        '{"Score": 3, "Is Relevant": true}',
        Score,
        {"score": 3, "is_relevant": True, "note": ""},
        "key name",
    ),
    (
        "keys spelt otherwise further in",
        '{"facts": [{"Text": "tea"}]}',
        Facts,
        {"facts": [{"text": "tea", "messages": [], "confidence": None}]},
        "key name",
    ),
    ("a number as a text", '{"score": "3"}', Score, {"score": 3, "is_relevant": False, "note": ""}, ""),
    ("a number out of ten", '{"score": "3/10"}', Score, {"score": 3, "is_relevant": False, "note": ""}, "wrong type"),
    (
        "yes for true",
        '{"score": 3, "is_relevant": "Yes, it is"}',
        Score,
        {"score": 3, "is_relevant": True, "note": ""},
        "wrong type",
    ),
    ("a text as a number", '{"summary": 42}', Summary, {"summary": "42"}, "wrong type"),
    ("a text as a list", '{"summary": ["one", "two"]}', Summary, {"summary": "one\ntwo"}, "wrong type"),
    ("a list as a text", '{"keywords": "tea"}', Keywords, {"keywords": ["tea"]}, "wrong type"),
    ("a list with commas in a text", '{"keywords": "tea, Lisbon"}', Keywords, TEA, "wrong type"),
    ("bullets in a text", '{"keywords": "- tea\\n- Lisbon"}', Keywords, TEA, "wrong type"),
    (
        "a sentence with commas for a list",
        '{"keywords": "Tea, which she likes, and Lisbon."}',
        Keywords,
        {"keywords": ["Tea, which she likes, and Lisbon."]},
        "wrong type",
    ),
    ("none for a list", '{"keywords": "None"}', Keywords, {"keywords": []}, "wrong type"),
    ("a list in a text", '{"keywords": "[\\"tea\\", \\"Lisbon\\"]"}', Keywords, TEA, "wrong type"),
    (
        "a list as an object",
        '{"facts": {"text": "tea"}}',
        Facts,
        {"facts": [{"text": "tea", "messages": [], "confidence": None}]},
        "wrong type",
    ),
    ("numbers in a list of texts", '{"keywords": ["tea", 3]}', Keywords, {"keywords": ["tea", "3"]}, "wrong type"),
    (
        "null for what has a default",
        '{"facts": [{"text": "tea", "messages": null}]}',
        Facts,
        {"facts": [{"text": "tea", "messages": [], "confidence": None}]},
        "wrong type",
    ),
    ("null for what must be there", '{"summary": null}', Summary, "missing field", ""),
    ("true for yes", '{"verdict": true}', YesNo, YES, "wrong type"),
    ("capitals", '{"verdict": "YES"}', YesNo, YES, "wrong type"),
    ("what there is to choose from", '{"verdict": "yes/no"}', YesNo, "unknown value", ""),
    ("what there is to choose from in words", '{"verdict": "yes or no"}', YesNo, "unknown value", ""),
    ("all labels", '{"reasoning": "x", "label": "[CORRECT | WRONG]"}', Verdict, "unknown value", ""),
    ("one label, then another", '{"reasoning": "x", "label": "CORRECT, no, WRONG"}', Verdict, "unknown value", ""),
    ("a word that is also a choice", '{"verdict": "Yes, and no doubt of it"}', YesNo, YES, "wrong type"),
    ("both truths", '{"score": 3, "is_relevant": "true/false"}', Score, "wrong type", ""),
    ("a choice and another word", '{"verdict": "yes or so"}', YesNo, YES, "wrong type"),
    ("a choice that is denied", '{"reasoning": "x", "label": "not CORRECT"}', Verdict, "unknown value", ""),
    ("the opposite in one word", '{"reasoning": "x", "label": "INCORRECT"}', Verdict, "unknown value", ""),
    ("an option with its text", '{"option": "(b) in Lisbon"}', Choice, {"option": "b"}, "wrong type"),
    ("an option with a bracket", '{"option": "B)"}', Choice, {"option": "b"}, "wrong type"),
    ("the option alone", "b", Choice, {"option": "b"}, "no JSON"),
    ("the option in a sentence", "(b), because she moved.", Choice, {"option": "b"}, "no JSON"),
    ("an enumeration in capitals", '{"mood": "Good"}', Feeling, {"mood": "good", "why": None}, "wrong type"),
    (
        "keys that are forbidden",
        '{"mood": "good", "confidence": 0.9}',
        Feeling,
        {"mood": "good", "why": None},
        "extra keys",
    ),
    ("a list at the top", 'Ids: ["m1", "m2"]', Ids, ["m1", "m2"], "prose"),
    ("nothing where all has a default", "{}", Options, {"limit": 5, "strict": True}, ""),
    ("lines with keys", "reasoning = It says so.\nlabel = CORRECT", Verdict, RIGHT, "no JSON"),
    ("the answer, then another turn", '{"verdict": "yes"}\nUser: and now?\nAssistant: {"what', YesNo, YES, "prose"),
    ("cut off in a list of objects", '{"facts": [{"text": "tea"}, {"text": "co', Facts, "truncated", ""),
    ("cut off in a tree", '{"name": "a", "children": [{"name": "b"}, {"na', Tree, "truncated", ""),
    ("cut off after a comma", '{"keywords": ["tea",', Keywords, "truncated", ""),
    ("cut off in an escape", '{"summary": "\\u00', Summary, "truncated", ""),
    ("cut off after the brace", "{", YesNo, "truncated", ""),
    ("not a number", '{"score": NaN}', Score, "no JSON", ""),
    ("infinity", '{"facts": [{"text": "tea", "confidence": 1e999}]}', Facts, "no JSON", ""),
    ("an endless number", '{"score": ' + "9" * 5000 + "}", Score, "wrong type", ""),
    ("a number too large", '{"score": 11}', Score, "invalid value", ""),
    ("a text too short", '{"facts": [{"text": ""}]}', Facts, "invalid value", ""),
    ("a text that a validator refuses", '{"facts": [{"text": "?"}]}', Facts, "invalid value", ""),
    ("nested without end", '{"a":' * 3000, Tree, "too deep", ""),
    ("lists without end", "[" * 3000, Keywords, "too deep", ""),
    ("a list of numbers for a verdict", "[1, 2]", YesNo, "unknown value", ""),
    ("prose alone", "She moved to Lisbon in May.", Verdict, "no JSON", ""),
    ("one word", "Hello", Summary, "no JSON", ""),
    ("an error", '{"error": "I cannot"}', Summary, "wrong keys", ""),
]


def check(reply: str, schema: type[BaseModel], tag: str | None, expected: Any, mended: str) -> None:
    if isinstance(expected, str):
        with pytest.raises(MalformedReply) as caught:
            read(reply, schema, tag)
        assert caught.value.reason == expected
        assert caught.value.text == reply
        assert caught.value.message
    else:
        found = read(reply, schema, tag)
        assert found.value == schema.model_validate(expected)
        assert not mended or mended in found.repairs, found.repairs


@pytest.mark.parametrize(
    ("reply", "schema", "expected", "mended"), [case[1:] for case in TAGGED], ids=[c[0] for c in TAGGED]
)
def test_replies_that_should_stand_in_tags(reply: str, schema: type[BaseModel], expected: Any, mended: str) -> None:
    check(reply, schema, "answer", expected, mended)


@pytest.mark.parametrize(
    ("reply", "schema", "expected", "mended"), [case[1:] for case in GUIDED], ids=[c[0] for c in GUIDED]
)
def test_replies_that_should_be_json(reply: str, schema: type[BaseModel], expected: Any, mended: str) -> None:
    check(reply, schema, None, expected, mended)


@pytest.mark.parametrize(
    ("reply", "schema", "expected", "mended"), [case[1:] for case in GUIDED], ids=[c[0] for c in GUIDED]
)
def test_the_same_inside_tags(reply: str, schema: type[BaseModel], expected: Any, mended: str) -> None:
    if expected in ("no JSON", "truncated") or schema is Summary:  # a bare text in tags is a summary
        return
    check(f"<answer>{reply}</answer>", schema, "answer", expected, mended)


def test_a_well_formed_reply_needs_no_mending() -> None:
    assert read('<answer>{"verdict": "yes"}</answer>', YesNo, "answer").repairs == ()
    assert read('{"verdict": "yes"}', YesNo, None).repairs == ()


@pytest.mark.parametrize("reply", ['{"verdict": "yes"', '{"keywords": ["tea"'])
def test_what_is_not_closed_is_no_answer_when_the_server_cut_it_off(reply: str) -> None:
    schema: type[BaseModel] = YesNo if "verdict" in reply else Keywords
    assert isinstance(read_answer(reply, schema), schema)
    with pytest.raises(MalformedReply) as caught:
        read_answer(reply, schema, truncated=True)
    assert caught.value.reason == "truncated"


def test_a_whole_answer_counts_though_the_reply_was_cut_off_after_it() -> None:
    assert read_answer('<answer>{"verdict": "yes"}</answer> And then', YesNo, truncated=True).verdict == "yes"


def test_the_failure_told_of_is_what_the_model_can_mend() -> None:
    with pytest.raises(MalformedReply, match="label: Input should be 'CORRECT' or 'WRONG'"):
        read_answer('{x} <answer>{"reasoning": "so", "label": "half right"}</answer>', Verdict)
    with pytest.raises(MalformedReply, match=r"facts\.0\.text"):
        read_answer('{"facts": [{"text": []}]}', Facts)


SCHEMAS: list[type[BaseModel]] = [
    Choice, Facts, Feeling, Ids, Keywords, Options, Reply, Score, Summary, Tree, Verdict, YesNo,
]  # fmt: skip
PIECES = [
    "{", "}", "[", "]", '"', "'", ":", ",", "\\", "\\u12", "\\ud800", "\n", "<answer>", "</answer>", "```", "```json\n",
    '{"verdict": "yes"}', '"facts"',
    "text", "summary", "null", "true", "1e9", "-", "//", "/*", "#", "<think>", "</think>",
    "yes", "label: ", "- ", "2. ", " or ", "why: ",
    "&lt;answer&gt;", "\ud83d", "\u201c", "NaN", '"properties"', "<verdict>",
]  # fmt: skip


def read_or_refuse(text: str, schema: type[BaseModel], tag: str | None, truncated: bool) -> None:
    try:
        found = read(text, schema, tag, truncated=truncated)
    except MalformedReply as error:
        refused: MalformedReply | None = error
    else:
        refused = None
        assert isinstance(found.value, schema)
        found.value.model_dump_json().encode()
    if refused is not None:
        assert refused.reason
        assert refused.message


@given(st.binary(max_size=300), st.sampled_from(SCHEMAS), st.sampled_from(["answer", None]), st.booleans())
def test_random_bytes_are_read_or_refused(
    data: bytes, schema: type[BaseModel], tag: str | None, truncated: bool
) -> None:
    for text in (data.decode("latin-1"), data.decode("utf-8", "surrogateescape")):
        read_or_refuse(text, schema, tag, truncated)


@given(st.lists(st.sampled_from(PIECES), max_size=40), st.sampled_from(SCHEMAS), st.sampled_from(["answer", None]))
def test_random_pieces_of_replies_are_read_or_refused(
    pieces: list[str], schema: type[BaseModel], tag: str | None
) -> None:
    read_or_refuse("".join(pieces), schema, tag, truncated=False)


@given(st.sampled_from([case[1] for case in TAGGED + GUIDED]), st.data())
def test_every_beginning_of_a_reply_is_read_or_refused(reply: str, data: st.DataObject) -> None:
    end = data.draw(st.integers(0, len(reply)))
    for schema in SCHEMAS:
        read_or_refuse(reply[:end], schema, "answer", truncated=True)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=4),
        max_leaves=6,
    ),
    st.text(),
)
def test_valid_json_is_read_as_json_is(value: Any, text: str) -> None:
    import json

    clean = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    made = read_answer(json.dumps({"summary": text, "other": value}, ensure_ascii=len(text) % 2 == 0), Summary)
    assert made.summary == clean


@pytest.mark.parametrize(
    "text",
    [
        "{" * 200_000,
        "[" * 200_000,
        '{"a":' * 50_000,
        '"' * 200_000,
        "<answer>" * 30_000,
        "```" * 60_000,
        "{'a" * 60_000,
        '{"a": "' + '", "b' * 40_000,
        "/*" * 100_000,
        "{ " + " " * 200_000,
        "".join(random.Random(1).choices('{}[]",:\\/ab \n', k=200_000)),
    ],
    ids=lambda text: repr(text[:8]),
)
def test_long_nonsense_takes_no_long_time(text: str) -> None:
    began = time.process_time()
    with pytest.raises(MalformedReply):
        read_answer(text, Verdict)
    assert time.process_time() - began < 5
