"""A/B tests of recommenders with simulated users: a site, arms, people, and the statistics of their differences.

The parts, each importing only what stands before it: ``catalogue`` and ``ratings`` (data; loaded by ``movielens``,
``tables``, ``synthetic``), ``users``; ``pages``, ``fatigue``, ``sandbox`` (the site); ``policy`` (the port of visitors)
and ``taste`` (visitors without a language model); ``arms``, ``shelf``, ``offline``; ``session``, ``events``,
``calibration``; ``metrics``, ``statistics``, ``sequential``; ``storing``, ``crew``, ``experiment``, ``report``;
``agent`` (visitors played by a language model); ``places``, ``bandit`` (off-policy evaluation) and ``validation`` (can
the users be believed).
"""

from __future__ import annotations

from memagent.agents.ab.arms.artefacts import trained
from memagent.agents.ab.arms.port import Arm, Ranked
from memagent.agents.ab.arms.registry import arm_of, recipe_of
from memagent.agents.ab.arms.scoring import Training
from memagent.agents.ab.catalogue import Catalogue, Item
from memagent.agents.ab.experiment import Experiment, Outcome, replayed
from memagent.agents.ab.fatigue import Fatigue
from memagent.agents.ab.movielens import load_movielens_1m, load_movielens_100k
from memagent.agents.ab.policy import Policy, Visitor
from memagent.agents.ab.ratings import Dataset, Ratings, split
from memagent.agents.ab.report import ExperimentReport, report_of
from memagent.agents.ab.sandbox import Layout, Sandbox
from memagent.agents.ab.sequential import Stopping
from memagent.agents.ab.synthetic import synthetic
from memagent.agents.ab.tables import load_catalogue, load_tables
from memagent.agents.ab.taste import Habits, TastePolicy
from memagent.agents.ab.users import Traits, User, users_of

__all__ = [
    "Arm",
    "Catalogue",
    "Dataset",
    "Experiment",
    "ExperimentReport",
    "Fatigue",
    "Habits",
    "Item",
    "Layout",
    "Outcome",
    "Policy",
    "Ranked",
    "Ratings",
    "Sandbox",
    "Stopping",
    "TastePolicy",
    "Training",
    "Traits",
    "User",
    "Visitor",
    "arm_of",
    "load_catalogue",
    "load_movielens_1m",
    "load_movielens_100k",
    "load_tables",
    "recipe_of",
    "replayed",
    "report_of",
    "split",
    "synthetic",
    "trained",
    "users_of",
]
