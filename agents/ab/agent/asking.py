"""Asking a model on behalf of one visitor among many: which failures are theirs, and which are everybody's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from memagent.errors import MalformedReply, ModelDenied, ModelRefused, ModelTimeout, ModelUnavailable, Stopped
from memagent.llm.flow import Steps, drive
from memagent.prompts.ab import are_you_there

if TYPE_CHECKING:
    from memagent.llm.model import Model

R = TypeVar("R")


def answered(steps: Steps[R], model: Model) -> R:
    """What a flow returns.

    After a call that was given up (no connection, no answer in time) the model is asked whether it is there. If it is,
    the error is raised as it is: it belongs to this question. If not, nobody's visit could go on: raises Stopped, so
    that what was done is kept and the run can be resumed.
    """
    try:
        return drive(steps, model)
    except (ModelUnavailable, ModelTimeout) as error:
        try:
            model.ask(are_you_there(time.time_ns()))
        except (ModelUnavailable, ModelTimeout):
            raise Stopped(
                f"the model does not answer any more: {error.message}",
                hint="see to its server, then run the same command: it goes on from here",
            ) from error
        except (MalformedReply, ModelRefused) as other:  # poor manners, but somebody is there
            if isinstance(other, ModelDenied):
                raise
        raise
