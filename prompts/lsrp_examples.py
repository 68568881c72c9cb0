"""Worked examples for LSRP's leader: tasks of nobody, each with the guideline that a strategy gives for it.

Written for this project. They show form and tone; no example names a private fact, for the leader knows none.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A task and the guideline for it."""

    task: str
    guideline: str


_COURTYARD = "Write a short note to the people in my house about the courtyard party that we plan for June."
_RUNNING = "Write a post for our club's page about why I took up running again."
_FILM = 'Explain why I would or would not enjoy "Salt Roads", a slow documentary about villages that live from the sea.'
_COURSE = "Explain whether an evening course in bookbinding is something for me."


def _examples(first_task: str, first: str, second_task: str, second: str) -> tuple[Example, ...]:
    return (Example(task=first_task, guideline=first), Example(task=second_task, guideline=second))


WRITINGS: dict[str, tuple[Example, ...]] = {
    "directive": _examples(
        _COURTYARD,
        """\
First paragraph, three sentences: 1. Greet the house in the user's usual form of address. 2. State day, time and \
place. 3. Name the one thing the user brings, taken from their hobbies or work.

Second paragraph, three sentences: 4. Ask each flat for one contribution. 5. Say until when and how to answer, by the \
user's usual means of contact. 6. Sign with the user's first name. Use no exclamation mark unless the past texts do.""",
        _RUNNING,
        """\
First paragraph: 1. Open with the day on which the user began again. 2. Give one reason from their work or daily life. \
3. Describe one run with a place from the data.

Second paragraph: 4. State what has changed since, with a number. 5. Invite the members to one fixed run. Keep each \
sentence under twenty words and follow the spelling habits of the past texts.""",
    ),
    "supportive": _examples(
        _COURTYARD,
        """\
You know how this user speaks to neighbours, so trust that. An easy way in is a small thing everybody in the house \
shares; the date can follow as if by the way. If the past texts are chatty, let this one be chatty too.

The asking is the only delicate part. It may help to offer something first, perhaps a dish or a skill from the \
profile, and then to leave it open what others bring. A kind closing line is quite enough.""",
        _RUNNING,
        """\
This can be a gentle story, and you have all you need for it. You could begin with how it felt to stop, then with the \
small push that brought the user back; something from their everyday life will do.

No great result is needed. A modest change, told warmly, will please the members more. If an invitation fits the \
user's nature, end with one; if not, a thank-you to the club is just as good.""",
    ),
    "participative": _examples(
        _COURTYARD,
        """\
How well does the user know the house? If they greet most people by name, the note could be a personal invitation; if \
not, a clear notice might be kinder. Which of the two would their past texts choose?

What could this user bring that nobody else can: look at work, hobbies and origin. And would they rather ask for help \
or offer it? Let your answers decide the order, and add an idea of your own that suits this house.""",
        _RUNNING,
        """\
Was it health, company or a goal that brought the user back? Traits and daily habits will tell you; let that choose \
between a confession, a tale with a joke, and a plain report.

Which place or hour would they name? Do their earlier texts end with a question, an appeal or nothing at all? Weigh \
it, choose, and put in the one detail that you think the club would want to hear.""",
    ),
    "achievement": _examples(
        _COURTYARD,
        """\
A good note informs; yours shall make the last stranger in the house come down. Find the one image of the courtyard \
that only this user could have, from their work, their window or their past, and build the first paragraph on it.

Then ask for help in a way nobody has asked before, in the user's own rhythm. Before you end, strike every phrase that \
could hang in another house. What remains should be worth keeping on the door.""",
        _RUNNING,
        """\
Do not tell that running is healthy. Find the exact moment in this user's life at which standing still became \
impossible, and open there, without explanation.

Hold two distant things together, their work and their pace, a trait and a route, until one explains the other. End on \
a line that a member will quote. If a sentence could be anybody's, it is not finished.""",
    ),
    "general": _examples(
        _COURTYARD,
        """\
The note should invite and inform. Begin with a friendly address and the occasion, then give day, time and place, and \
say in a sentence what makes the party pleasant, with a detail from the user's hobbies or household.

After that say what each flat can bring and how to reply, by the user's usual means of contact. Keep the tone that the \
user's past texts have towards acquaintances, and close with their name.""",
        _RUNNING,
        """\
The post tells a small story with a reason. Start with the time without running and what brought the user back, using \
their occupation, health or daily routine.

Then describe one run with a place they know, say what has changed, and close with a sentence to the members. Use the \
length, humour and punctuation of the user's past texts.""",
    ),
}
"""By strategy: two worked writing tasks."""

EXPLANATIONS: dict[str, tuple[Example, ...]] = {
    "directive": _examples(
        _FILM,
        """\
1. State in the first sentence whether the user will enjoy it. 2. Compare its slow pace with the user's occupation and \
free time. 3. Compare the places shown with where the user was born and lives. 4. Compare the way it looks at money \
and work with their income and education. 5. Close with one condition under which the answer would change.""",
        _COURSE,
        """\
1. Open with yes or no. 2. Compare the hours with the user's working day and household. 3. Compare the patience it \
takes with their traits. 4. Compare its cost with their income level. 5. Name one thing they would make first.""",
    ),
    "supportive": _examples(
        _FILM,
        """\
Any of these can carry the answer, take what fits: the calm of the film and how much calm the user's days allow; the \
feeling for home, if they have moved in life; the company they might watch it with. A small, honest reason is better \
than a clever one, and it is fine to say that some of it may feel slow.""",
        _COURSE,
        """\
You could look at what the user's hands and head do all day and whether a change would do them good, at the pleasure \
of taking something finished home, and at who might come along. If money or time is tight, a kind word about that \
helps. Leave out what the data do not support.""",
    ),
    "participative": _examples(
        _FILM,
        """\
Does this user rest by watching quietly or by being carried along? Work and age may tell. Would villages by the sea be \
memory or distance for them: what do the cities of their life say? Is a film about work a comfort or a reproach at \
their income? Weigh these, say which counts most, and add a reason I could not know.""",
        _COURSE,
        """\
What would the user want from an evening: skill, company or silence? How does that sit with their relationship and \
their hours? Would exactness please or tire them, going by education and traits? Decide which question matters most \
and answer that one first.""",
    ),
    "achievement": _examples(
        _FILM,
        """\
Do not say that it is slow or beautiful. Find the one thread between the sea's economy and this user's way of earning, \
and show that the film argues with them. Set their birthplace against the last village. End with the scene after which \
they would either leave or stay for the credits, and commit to one.""",
        _COURSE,
        """\
Anybody can be told that crafts relax. Show what binding a book would correct in this user's life, given what their \
work leaves unfinished. Link two facts that they have never linked. Conclude so plainly that they could prove you \
wrong after the first evening.""",
    ),
    "general": _examples(
        _FILM,
        """\
Cover pace, places and subject. Compare the pace with the user's work and free time, the places with where they have \
lived, and the subject with their education and income. Say what they will probably like, what may put them off, and \
conclude with a recommendation.""",
        _COURSE,
        """\
Cover time, cost, skill and company. Compare each with the user's working hours, income, education and relationship. \
Name the strongest reason for and the strongest against, and conclude with a recommendation.""",
    ),
}
"""By strategy: two worked explanation tasks."""
