"""LSRP: a leader in the cloud writes a guideline, a small model on the device writes the answer with private data.

Importing this package loads neither LangGraph nor a model library: names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memagent.lazily import lazily

if TYPE_CHECKING:
    from memagent.agents.lsrp.cast import Cast
    from memagent.agents.lsrp.choosing import CountChooser, FixedChooser, ModelChooser, NeighbourChooser
    from memagent.agents.lsrp.cloud import Cloud, build_cloud
    from memagent.agents.lsrp.device import Answer, Device, Stage
    from memagent.agents.lsrp.device_graph import Parts, build_device
    from memagent.agents.lsrp.guard import ProfileGuard
    from memagent.agents.lsrp.index import NeighbourIndex
    from memagent.agents.lsrp.labelling import Labelling, score_tasks
    from memagent.agents.lsrp.learning import learn_styles
    from memagent.agents.lsrp.messages import Guideline, GuidelineRequest, TaskType
    from memagent.agents.lsrp.people import ExampleUser, example_users
    from memagent.agents.lsrp.ports import (
        Checked,
        Choice,
        Finding,
        Guard,
        Leader,
        PrivateTask,
        StyleChooser,
        Verdict,
        Written,
    )
    from memagent.agents.lsrp.private import PrivateMemory, remember_private
    from memagent.agents.lsrp.private_counts import PrivateCounts
    from memagent.agents.lsrp.remote import RemoteLeader
    from memagent.agents.lsrp.strategies import GENERAL, STYLES, Strategy, Worded, register, strategy, strategy_names
    from memagent.agents.lsrp.trace import Trace
    from memagent.agents.lsrp.wire import Crossed, WireLog, read_wire_log
    from memagent.agents.lsrp.writing import WriteSettings

_HOME = {
    "Answer": ".device",
    "Cast": ".cast",
    "Checked": ".ports",
    "Choice": ".ports",
    "Cloud": ".cloud",
    "CountChooser": ".choosing",
    "Crossed": ".wire",
    "Device": ".device",
    "ExampleUser": ".people",
    "Finding": ".ports",
    "FixedChooser": ".choosing",
    "GENERAL": ".strategies",
    "Guard": ".ports",
    "Guideline": ".messages",
    "GuidelineRequest": ".messages",
    "Labelling": ".labelling",
    "Leader": ".ports",
    "ModelChooser": ".choosing",
    "NeighbourChooser": ".choosing",
    "NeighbourIndex": ".index",
    "Parts": ".device_graph",
    "PrivateCounts": ".private_counts",
    "PrivateMemory": ".private",
    "PrivateTask": ".ports",
    "ProfileGuard": ".guard",
    "RemoteLeader": ".remote",
    "STYLES": ".strategies",
    "Stage": ".device",
    "Strategy": ".strategies",
    "StyleChooser": ".ports",
    "TaskType": ".messages",
    "Trace": ".trace",
    "Verdict": ".ports",
    "WireLog": ".wire",
    "Worded": ".strategies",
    "WriteSettings": ".writing",
    "Written": ".ports",
    "build_cloud": ".cloud",
    "build_device": ".device_graph",
    "example_users": ".people",
    "learn_styles": ".learning",
    "read_wire_log": ".wire",
    "register": ".strategies",
    "remember_private": ".private",
    "score_tasks": ".labelling",
    "strategy": ".strategies",
    "strategy_names": ".strategies",
}

__all__ = [
    "GENERAL",
    "STYLES",
    "Answer",
    "Cast",
    "Checked",
    "Choice",
    "Cloud",
    "CountChooser",
    "Crossed",
    "Device",
    "ExampleUser",
    "Finding",
    "FixedChooser",
    "Guard",
    "Guideline",
    "GuidelineRequest",
    "Labelling",
    "Leader",
    "ModelChooser",
    "NeighbourChooser",
    "NeighbourIndex",
    "Parts",
    "PrivateCounts",
    "PrivateMemory",
    "PrivateTask",
    "ProfileGuard",
    "RemoteLeader",
    "Stage",
    "Strategy",
    "StyleChooser",
    "TaskType",
    "Trace",
    "Verdict",
    "WireLog",
    "Worded",
    "WriteSettings",
    "Written",
    "build_cloud",
    "build_device",
    "example_users",
    "learn_styles",
    "read_wire_log",
    "register",
    "remember_private",
    "score_tasks",
    "strategy",
    "strategy_names",
]

__getattr__, __dir__ = lazily(__name__, _HOME, __all__)
