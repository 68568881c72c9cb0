"""The words of the made-up population: who belongs to which group, and what is the same in all of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Circle:
    """The words of one group: each of its users has some of them."""

    name: str
    occupations: tuple[str, ...]
    interests: tuple[str, ...]
    habits: tuple[str, ...]
    manners: tuple[str, ...]
    """How they write."""


CIRCLES = (
    Circle(
        name="care",
        occupations=("ward nurse", "midwife", "paramedic", "care assistant", "physiotherapist", "hospice nurse"),
        interests=("first aid courses", "night walks", "patient stories", "yoga", "baking for the ward", "choir"),
        habits=(
            "swaps night shifts with the ward",
            "keeps spare scrubs in the car",
            "reads up on wound dressings",
            "teaches new nurses to take blood",
            "carries hand cream and a thermometer",
            "rings patients' families after discharge",
            "plans the duty roster",
        ),
        manners=("calm and reassuring", "plain words, no jargon", "asks how the reader is", "short notes after shifts"),
    ),
    Circle(
        name="software",
        occupations=("backend developer", "test engineer", "data engineer", "network administrator", "web developer"),
        interests=("open source", "mechanical keyboards", "chess puzzles", "home servers", "science fiction"),
        habits=(
            "answers tickets before breakfast",
            "writes unit tests on the train",
            "pushes commits late at night",
            "keeps a changelog of everything",
            "reviews pull requests for friends",
            "measures page load times",
            "restarts the home server on Sundays",
        ),
        manners=("terse", "bullet points", "dry humour", "numbers before adjectives"),
    ),
    Circle(
        name="kitchen",
        occupations=("pastry chef", "sous-chef", "baker", "caterer", "cheese maker", "restaurant owner"),
        interests=("farmers' markets", "fermentation", "knife sharpening", "wine tastings", "old cookbooks"),
        habits=(
            "feeds the sourdough at five in the morning",
            "tastes every sauce twice",
            "orders flour by the sack",
            "writes the menu by hand",
            "trades recipes with the fishmonger",
            "plates desserts for photographs",
            "salts caramel by feel",
        ),
        manners=("full of smells and tastes", "exclaims", "speaks in courses and recipes", "generous praise"),
    ),
    Circle(
        name="teaching",
        occupations=("primary school teacher", "maths teacher", "school librarian", "kindergarten head", "tutor"),
        interests=("board games", "picture books", "school theatre", "quiz evenings", "nature trails"),
        habits=(
            "marks exercise books on Sunday evenings",
            "collects chestnuts for the class",
            "prepares parents' evenings",
            "writes report cards",
            "borrows picture books by the dozen",
            "practises times tables in the car",
            "plans the school trip",
        ),
        manners=("explains step by step", "patient", "questions to the reader", "examples from class"),
    ),
    Circle(
        name="finance",
        occupations=("auditor", "tax adviser", "loan officer", "insurance broker", "payroll accountant"),
        interests=("stock indices", "golf", "property listings", "crosswords", "classic cars"),
        habits=(
            "reconciles the household accounts each month",
            "reads annual reports for pleasure",
            "files tax returns in January",
            "compares interest rates",
            "keeps receipts in ring binders",
            "checks the balance sheet of the golf club",
            "meets clients over ledgers",
        ),
        manners=("formal", "exact figures", "complete sentences without contractions", "conclusion first"),
    ),
    Circle(
        name="stage",
        occupations=("jazz drummer", "opera singer", "stage designer", "street performer", "choreographer"),
        interests=("vinyl records", "improvisation", "festivals", "costume flea markets", "late concerts"),
        habits=(
            "rehearses until midnight",
            "tunes the instruments twice a day",
            "sews costumes between shows",
            "queues for rush tickets",
            "warms up the voice in the stairwell",
            "keeps old set lists",
            "paints backdrops in the yard",
        ),
        manners=("rhythmic", "vivid images", "half sentences", "names of songs in passing"),
    ),
    Circle(
        name="land",
        occupations=("dairy farmer", "forester", "beekeeper", "vineyard worker", "shepherd", "tree nursery owner"),
        interests=("weather records", "tractors", "bird counts", "village fairs", "dry-stone walls"),
        habits=(
            "milks before sunrise",
            "mends fences after storms",
            "notes rainfall in a calendar",
            "sells honey at the gate",
            "sharpens the scythe",
            "counts lambs in spring",
            "prunes the vines in February",
        ),
        manners=("few words", "proverbs", "seasons and weather", "no exclamation marks"),
    ),
    Circle(
        name="sport",
        occupations=("swimming coach", "marathon runner", "climbing guide", "fitness trainer", "football referee"),
        interests=("training plans", "mountain huts", "protein recipes", "race medals", "cold water"),
        habits=(
            "swims laps before work",
            "logs every run with splits",
            "stretches at the bus stop",
            "times the juniors with a stopwatch",
            "freezes protein shakes",
            "checks the avalanche report",
            "trains hill sprints on Tuesdays",
        ),
        manners=("urgent and cheering", "goals and times", "second person", "one-line paragraphs"),
    ),
)

SYLLABLES = tuple(consonant + vowel for consonant in "bdfghklmnprstvwz" for vowel in "aeio")
"""Names are made of these: no two people resemble each other because they are called alike."""
PLACES = (
    "Aarhus",
    "Bergen",
    "Coimbra",
    "Delft",
    "Ghent",
    "Jena",
    "Kotor",
    "Maribor",
    "Nantes",
    "Porto",
    "Siena",
    "Tartu",
)
TRAITS = (
    "curious",
    "thorough",
    "impatient",
    "warm",
    "sceptical",
    "punctual",
    "forgetful",
    "sociable",
    "stubborn",
    "shy",
)
DEVICES = ("an old telephone", "a tablet", "a smart watch", "two laptops", "a reading device", "a shared computer")

WRITING_TASKS = (
    "Write an invitation to a small celebration next month.",
    "Write a message to thank a colleague for covering for you.",
    "Write a post about something that you learnt this year.",
    "Write a short speech for a friend's farewell.",
    "Write a complaint about a delivery that came late.",
    "Write a letter of recommendation for a younger colleague.",
    "Write a description of your perfect free day.",
    "Write an announcement of a change in your opening hours.",
)
EXPLANATION_TASKS = (
    "The film 'The Long Harbour' is recommended to the user. Explain why it may suit them.",
    "The film 'Paper Lanterns' is recommended to the user. Explain why it may suit them.",
    "The film 'Nine Winters' is recommended to the user. Explain why it may suit them.",
    "The film 'The Clockmaker's Debt' is recommended to the user. Explain why it may suit them.",
    "The film 'Saltwater Mile' is recommended to the user. Explain why it may suit them.",
    "The film 'An Ordinary Orbit' is recommended to the user. Explain why it may suit them.",
)
