"""What the tools of the MCP server take. A model fills these in; whose memory it is, is no argument of any."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from memagent.errors import InvalidInput

MemoryId: TypeAlias = Annotated[
    str, Field(min_length=1, max_length=200, description="The id of the memory, as recall and list show it.")
]
Moment: TypeAlias = Annotated[
    str | None, Field(description="A time with its zone, ISO 8601, for example 2025-03-01T10:00:00Z.")
]


class Arguments(BaseModel):
    """The arguments of one tool; others than these are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @classmethod
    def schema_for_clients(cls) -> dict[str, Any]:
        """The JSON schema, without the titles and the description that pydantic makes of Python names."""
        schema = cls.model_json_schema()
        schema.pop("title")
        schema.pop("description", None)
        for field in schema.get("properties", {}).values():
            field.pop("title", None)
        return schema

    @classmethod
    def checked(cls, given: dict[str, Any] | None) -> Any:
        """The arguments that a client sent; raises InvalidInput, naming each that cannot be used."""
        try:
            return cls.model_validate(given or {})
        except ValidationError as error:
            problems = "; ".join(_problem(detail["loc"], detail["type"], detail["msg"]) for detail in error.errors())
            names = ", ".join(cls.model_fields)
            raise InvalidInput(f"unusable arguments: {problems}", hint=f"this tool takes {names}") from None


def _problem(place: tuple[int | str, ...], kind: str, message: str) -> str:
    name = ".".join(map(str, place))[:100]
    if kind == "extra_forbidden":
        who = " (whose memory it is, is settled by the server)" if "user" in name else ""
        return f"{name!r} is not an argument{who}"
    return f"{name!r}: {message[:1].lower()}{message[1:]}"


class Remember(Arguments):
    """What ``remember`` takes."""

    text: Annotated[str, Field(min_length=1, description="What to remember, so that it can be understood alone later.")]
    said_at: Annotated[Moment, Field(description="When it was said, if not now; ISO 8601 with a zone.")] = None
    session_id: Annotated[
        str | None, Field(min_length=1, max_length=500, description="The conversation it belongs to, if it has an id.")
    ] = None
    metadata: Annotated[
        dict[str, Any] | None, Field(description='Labels to filter by later, for example {"topic": "food"}.')
    ] = None


class Recall(Arguments):
    """What ``recall`` takes."""

    query: Annotated[str, Field(min_length=1, description="What to look for: a question or words, in any language.")]
    limit: Annotated[int, Field(ge=1, le=50, description="The most memories to return.")] = 5
    said_after: Annotated[Moment, Field(description="Only what was said at this time or later; ISO 8601.")] = None
    said_before: Annotated[Moment, Field(description="Only what was said before this time; ISO 8601.")] = None
    metadata: Annotated[
        dict[str, Any] | None, Field(description='Only memories with these labels, for example {"topic": "food"}.')
    ] = None


class ListMemories(Arguments):
    """What ``list`` takes."""

    limit: Annotated[int, Field(ge=1, le=100, description="The most memories to return.")] = 20
    offset: Annotated[int, Field(ge=0, description="How many of the newest to pass over.")] = 0
    session_id: Annotated[str | None, Field(min_length=1, description="Only those of this conversation.")] = None


class Correct(Arguments):
    """What ``correct`` takes."""

    memory_id: MemoryId
    text: Annotated[str, Field(min_length=1, description="What the memory should say.")]


class Forget(Arguments):
    """What ``forget`` takes."""

    memory_id: MemoryId
