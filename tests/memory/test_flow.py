from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from memagent.memory.flow import Flow, run, run_async


def adding(*numbers: int) -> Flow[int]:
    total = 0
    for number in numbers:
        total += yield partial(int, number)
    return total


def failing(error: BaseException, trail: list[str]) -> Flow[int]:
    def work() -> int:
        raise error

    try:
        yield work
        return 0
    finally:
        trail.append("left")


def both_ways(flow: Any) -> Any:
    async def use() -> Any:
        with ThreadPoolExecutor(1) as executor:
            return await run_async(flow(), executor)

    return [lambda: run(flow()), lambda: asyncio.run(use())]


def test_a_flow_is_sent_the_results_of_its_work() -> None:
    for drive in both_ways(lambda: adding(1, 2, 3)):
        assert drive() == 6
    for drive in both_ways(adding):
        assert drive() == 0


def test_an_error_in_the_work_ends_the_flow_and_is_the_callers() -> None:
    for way in range(2):
        trail: list[str] = []
        with pytest.raises(KeyError, match="mine"):
            both_ways(lambda: failing(KeyError("mine"), trail))[way]()  # noqa: B023
        assert trail == ["left"]


def test_work_that_raises_stop_iteration_does_not_look_like_the_end() -> None:
    for way in range(2):
        with pytest.raises(RuntimeError, match="StopIteration"):
            both_ways(lambda: failing(StopIteration(5), []))[way]()


def test_flows_are_made_of_flows() -> None:
    def outer() -> Flow[int]:
        return (yield from adding(1, 2)) + (yield from adding(3))

    for drive in both_ways(outer):
        assert drive() == 6
