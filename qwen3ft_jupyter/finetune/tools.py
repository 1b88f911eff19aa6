"""Tools and tool calls of a row: checked, and brought into the form that chat templates are given at inference."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.finetune.rows import BadRow, holds, parse_json, short
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from collections.abc import Iterable


def read_tools(value: object, name: str) -> str:
    """Return the tools of a row as JSON, "" if there are none. Raises BadRow.

    A function without its wrapper, as LLaMA-Factory's data has it, gets the one that every server of OpenAI's kind
    sends, and a model therefore sees at inference.

    >>> read_tools('[{"name": "f"}]', "tools")
    '[{"type": "function", "function": {"name": "f"}}]'
    """
    if isinstance(value, str):
        value = parse_json(value, name) if value.strip() else None
    if not holds(value):
        return ""
    tools = [value] if isinstance(value, dict) else value
    if not isinstance(tools, (list, tuple)):
        raise BadRow(Message("{name} {value} is not a list of tools", name=name, value=short(value)))
    return json.dumps([_tool(one, f"{name}[{index}]") for index, one in enumerate(tools)], ensure_ascii=False)


def _tool(tool: object, name: str) -> dict[str, Any]:
    if isinstance(tool, str):
        tool = parse_json(tool, name)
    if isinstance(tool, dict):
        tool = {key: value for key, value in tool.items() if value is not None}  # parquet fills in what is absent
        function = tool.get("function")
        if isinstance(function, dict) and _is_named(function):
            return {"type": "function", **tool}
        if _is_named(tool) and not isinstance(function, dict):
            parameters = "parameters" if "parameters" not in tool else "input_schema"  # Anthropic's word for the same
            renamed = {parameters if key == "input_schema" else key: value for key, value in tool.items()}
            return {"type": "function", "function": {key: value for key, value in renamed.items() if key != "type"}}
    raise BadRow(Message("{name} {value} is not a tool: it has no name", name=name, value=short(tool)))


def read_calls(value: object, name: str) -> list[dict[str, Any]]:
    """Return tool calls given as a list, an object, or text of JSON or of `<tool_call>` blocks. Raises BadRow."""
    if isinstance(value, str):
        blocks, beside = split_blocks(value, "tool_call")
        if blocks and beside.strip():
            raise BadRow(Message("{name} {value} has text beside its tool calls", name=name, value=short(value)))
        value = [parse_json(block.strip(), name) for block in blocks] if blocks else parse_json(value, name)
    calls = list(value) if isinstance(value, (list, tuple)) else [value]
    if not calls:
        raise BadRow(Message("{name} holds no tool call", name=name))
    alone = len(calls) == 1 and not isinstance(value, (list, tuple))
    return [_call(one, name if alone else f"{name}[{index}]") for index, one in enumerate(calls)]


def _call(call: object, name: str) -> dict[str, Any]:
    if isinstance(call, str):
        call = parse_json(call, name)
    if not isinstance(call, dict):
        raise BadRow(Message("{name} {value} is not a tool call", name=name, value=short(call)))
    inner = call.get("function")
    function: dict[str, Any] = inner if isinstance(inner, dict) else call
    if not _is_named(function):
        raise BadRow(Message("{name} {value}: a tool call needs a name", name=name, value=short(call)))
    key = "arguments" if function.get("arguments") is not None else "parameters"
    arguments = function.get(key)
    if arguments is None:
        raise BadRow(
            Message("{name} {value}: a tool call needs arguments, {{}} if there are none", name=name, value=short(call))
        )
    parsed = parse_json(arguments, f"{name}.{key}") if isinstance(arguments, str) else arguments
    if not isinstance(parsed, dict):
        raise BadRow(Message("{name} {value} is not an object", name=f"{name}.{key}", value=short(arguments)))
    _refuse_rest({"name", key, *(() if function is not call else ("id", "type", "index", "function"))}, function, name)
    if function is not call:
        _refuse_rest({"function", "id", "type", "index"}, call, name)
    identity = {"id": call["id"]} if holds(call.get("id")) else {}
    return {**identity, "type": "function", "function": {"name": function["name"], "arguments": arguments}}


def _refuse_rest(known: set[str], values: dict[str, Any], name: str) -> None:
    rest = sorted(key for key, value in values.items() if key not in known and holds(value))
    if rest:
        raise BadRow(Message("{name}: {names} is no part of a tool call", name=name, names=", ".join(rest)))


def find_strangers(tools: str, calls: Iterable[str]) -> bool:
    """Return whether calls (JSON) name a tool that is not among `tools` (JSON)."""
    if not tools:
        return False
    known = {tool["function"]["name"] for tool in json.loads(tools)}
    return any(call["function"]["name"] not in known for text in calls if text for call in json.loads(text))


def read_responses(text: str) -> list[str]:
    """Return what tools answered: the template writes the tags around it, so they are taken off.

    >>> read_responses("<tool_response>1</tool_response>"), read_responses("1")
    (['1'], ['1'])
    """
    found, beside = split_blocks(text, "tool_response")
    return [one.removeprefix("\n").removesuffix("\n") for one in found] if found and not beside.strip() else [text]


def split_blocks(text: str, tag: str) -> tuple[list[str], str]:
    """Return what stands between each opening tag and the next closing one, and the text beside.

    A pattern would look for the end anew at each tag that is not closed: hours for a model's endless answer.

    >>> split_blocks("a<b>1</b>c<b>2", "b")
    (['1'], 'ac<b>2')
    """
    opening, closing = f"<{tag}>", f"</{tag}>"
    blocks, beside, at = [], "", 0
    while (start := text.find(opening, at)) >= 0 and (end := text.find(closing, start)) >= 0:
        blocks.append(text[start + len(opening) : end])
        beside += text[at:start]
        at = end + len(closing)
    return blocks, beside + text[at:]


def _is_named(function: object) -> bool:
    return isinstance(function, dict) and isinstance(function.get("name"), str) and bool(function["name"].strip())
