"""What U-U-RAG's index gives away of the other users whose tasks it holds, in each of its forms."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from memagent.agents.lsrp.index import NeighbourIndex
from memagent.evals.lsrp.attack import Attacked, Victim, candidates, guess_by_texts, guess_by_vectors, judged
from memagent.evals.lsrp.planted import ATTACKED, person, tasks_that_tell

if TYPE_CHECKING:
    from memagent.encoders.port import Encoder

_STYLE = "directive"


def index_figures(encoder: Encoder, *, people: int = 200, seed: int = 0) -> dict[str, list[Attacked]]:
    """The attack's accuracy on the entries of an index, one clean task of each made-up user in it.

    ``texts``: an index with texts, read as the wire is. ``vectors``: one without, each vector compared with the listed
    values. ``counts``: what differentially private counts leave to guess from. They hold no entry of any user, so
    whoever has them guesses as without them, up to a factor of exp(2 epsilon) in the odds of two values: the prior's
    guess is judged.
    """
    rng = random.Random(f"index {seed}")
    whose = [person(rng) for _ in range(people)]
    tasks = [tasks_that_tell(each, rng, "nothing")[0] for each in whose]
    index = NeighbourIndex.of(tasks, [_STYLE] * people, encoder=encoder)
    texts = index.texts or ()
    victims = [
        Victim(sent=(text,), profile={name: each.profile[name] for name in ATTACKED})
        for text, each in zip(texts, whose, strict=True)
    ]
    values = candidates(victims, ATTACKED)
    prior = [{name: listed[0] for name, listed in values.items()}] * people
    return {
        "texts": judged(victims, guess_by_texts(victims, values, encoder), values),
        "vectors": judged(victims, guess_by_vectors(index.vectors, values, encoder), values),
        "counts": judged(victims, prior, values),
    }
