"""A memory as an MCP server (https://modelcontextprotocol.io), over stdio and streamable HTTP.

Both eras of the protocol are served: with the initialize handshake, and since 2026-07-28 without.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from memagent._version import __version__
from memagent.errors import InvalidInput, MemagentError, MissingExtra
from memagent.integrations.verbs import AnyMemory, arun, refuse_other
from memagent.prompts.recalled import RECALLED_IS_DATA
from memagent.server.mcp_profile import profile
from memagent.server.mcp_tools import TOOLS, Caller, Outcome, Tool
from memagent.stores.sqlite import checked_user_id

try:
    import mcp_types as types
    from mcp import MCPError
    from mcp.server import Server
    from mcp.server.auth.middleware.auth_context import get_access_token
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
        raise
    raise MissingExtra("the MCP server needs the package mcp", hint='pip install "memagent[mcp]"') from None

if TYPE_CHECKING:
    from mcp.server import ServerRequestContext

_log = logging.getLogger("memagent")

PROFILE = "memagent://profile"
"""The address of the user's profile."""

_INSTRUCTIONS = f"""\
A memory of the user, kept between conversations. Call recall before you answer something that earlier conversations \
may bear on; call remember when the user tells something worth keeping; use correct and forget when they say that \
something remembered is wrong or should go. Whose memory it is, is settled: no tool takes a user.

{RECALLED_IS_DATA}"""


def build_server(memory: AnyMemory, *, user_id: str | None = None, infer: bool = False) -> Server[Any]:
    """The server of a memory: tools to remember, recall, list, correct and forget, and the user's profile.

    ``memory`` stays the caller's, who closes it. ``user_id`` is whose memory every request works on; None takes the
    user whom the HTTP session is authenticated for, and refuses a request that is not. No tool takes a user, so a
    model cannot name one. ``infer``: the memory's language model writes facts of what is remembered, in the background.
    Raises InvalidInput for what is no memory or no user id.
    """
    refuse_other(memory)
    if user_id is not None:
        checked_user_id(user_id)
    answering = _Answering(memory, user_id, infer=infer)
    return Server(
        "memagent",
        version=__version__,
        title="memagent",
        description="A personal memory of the user.",
        instructions=_INSTRUCTIONS,
        on_list_tools=answering.list_tools,
        on_call_tool=answering.call_tool,
        on_list_resources=answering.list_resources,
        on_read_resource=answering.read_resource,
    )


class _Answering:
    """Answers the requests of clients."""

    def __init__(self, memory: AnyMemory, user_id: str | None, *, infer: bool) -> None:
        self._memory = memory
        self._infer = infer
        self._user_id = user_id

    async def list_tools(self, _context: Context, _params: object) -> types.ListToolsResult:
        """What tools there are."""
        return types.ListToolsResult(tools=[_described(tool) for tool in TOOLS.values()])

    async def call_tool(self, context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        """What a tool returns; an error that the model can act on is a result too."""
        tool = TOOLS.get(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"there is no tool {params.name[:100]!r}: use {', '.join(TOOLS)}")
        try:
            caller = Caller(user_id=self._user(), client=_client(context), infer=self._infer)
            asked = tool.arguments.checked(params.arguments)
            outcome = await arun(self._memory, tool.work(caller, asked))
        except MemagentError as error:
            return _refusal(error)
        except Exception as error:
            raise _internal(params.name) from error
        return _answer(outcome)

    async def list_resources(self, _context: Context, _params: object) -> types.ListResourcesResult:
        """What there is to read."""
        return types.ListResourcesResult(resources=[_PROFILE])

    async def read_resource(
        self, _context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """The user's profile."""
        if str(params.uri) != PROFILE:
            raise MCPError(types.INVALID_PARAMS, f"there is no resource {str(params.uri)[:100]!r}: read {PROFILE}")
        try:
            text = await arun(self._memory, profile(self._user()))
        except MemagentError as error:
            raise MCPError(types.INTERNAL_ERROR, str(error)) from error
        except Exception as error:
            raise _internal(PROFILE) from error
        page = types.TextResourceContents(uri=PROFILE, mime_type="text/markdown", text=text)
        return types.ReadResourceResult(contents=[page], ttl_ms=0, cache_scope="private")

    def _user(self) -> str:
        """Whose memory the request works on; raises InvalidInput for a request that is nobody's."""
        if self._user_id is not None:
            return self._user_id
        token = get_access_token()
        if token is None or not token.subject:
            raise InvalidInput(
                "this request has no user", hint="start the server with --user, or send a token that stands for one"
            )
        return token.subject


if TYPE_CHECKING:
    Context = ServerRequestContext[Any, Any]

_PROFILE = types.Resource(
    uri=PROFILE,
    name="profile",
    title="Profile of the user",
    description="What is remembered of the user, on a page.",
    mime_type="text/markdown",
)


def _client(context: Context) -> str | None:
    """What the client calls itself: a label, which proves nothing."""
    said = context.session.client_params
    name = said.client_info.name.strip() if said is not None else ""
    return name[:100].encode(errors="replace").decode() or None


def _described(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.arguments.schema_for_clients(),
        annotations=types.ToolAnnotations(
            read_only_hint=tool.reads,
            destructive_hint=tool.destroys,
            idempotent_hint=tool.repeatable,
            open_world_hint=False,
        ),
    )


def _answer(outcome: Outcome) -> types.CallToolResult:
    text = types.TextContent(type="text", text=outcome.text)
    return types.CallToolResult(content=[text], structured_content=outcome.data)


def _refusal(error: MemagentError) -> types.CallToolResult:
    """An error that the model may read and act on."""
    return types.CallToolResult(content=[types.TextContent(type="text", text=f"Error: {error}")], is_error=True)


def _internal(what: str) -> MCPError:
    """For a fault of ours: its traceback goes to the log, and none of it to the client."""
    _log.exception("the MCP request %r failed", what)
    return MCPError(types.INTERNAL_ERROR, f"{what} failed for a reason that stands in the server's log")
