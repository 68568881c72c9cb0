"""Write the two tables of the privacy guard: words that are public, and characters that look like ASCII ones.

    python benchmarks/guard_tables.py --words american-english-small british-english-small

The word lists are those of Debian's packages wamerican-small and wbritish-small (SCOWL up to size 35), which install
them in the system's dictionary folder. Entries with a capital (names, places, nationalities), with an apostrophe or of
fewer than four letters are left out; days, months, contractions (before the apostrophe) and some words that are newer
than the lists are added. The lookalikes are Unicode's confusables (UTS 39), read from the package
confusable-homoglyphs; those that the guard's normalisation (NFKD, marks off, case folded, digits to ASCII) brings to
the same letter are left out.
"""

from __future__ import annotations

import argparse
import json
import re
import string
import unicodedata
from importlib.resources import files
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "memagent" / "data" / "guard"

CALENDAR = """
monday tuesday wednesday thursday friday saturday sunday january february march april june july august september
october november december english internet
"""
CONTRACTED = """
doesn didn couldn wouldn shouldn mustn needn wasn weren isn aren hasn haven hadn won don
"""
NEWER = """
analytics approachability backup backups burgeoning capitalization capitalisation comfy cornerstone curate curated
emoticon emoticons empathize empathise envision generational indie lifesaver lowercase uppercase meaningful
meaningfully meticulous meticulously mindset mini motivational oops prioritize prioritise prioritizing
professionalism punctuation recap resonate resonates resonated rollercoaster seamless seamlessly societal storyline
storylines tech transformative tweet tweets unwavering upcoming vibe vibes visualization visualisation yeah
accessibility actionable anymore apps awareness beginners blogger bloggers blogging blogs brainstorming browser
browsers bullet bullets carpool checklist checklists childcare cliche cliffhanger cofounder collaborative commute
coworker coworkers crowdfunding customizable cyber cybersecurity dataset datasets deadline deadlines decluttering
download downloads eldercare email emailed emailing emails emoji emojis empathetic engaging enthusiast enthusiasts
ergonomic eulogy fanbase feedback freelance freelancer freelancers fundraiser fundraisers fundraising gameplay gaming
genre genres google hashtag hashtags haiku healthcare heartfelt hiking icebreaker immersive impactful inclusive
inclusivity influencer influencers infographic insightful introvert invite invites itinerary itineraries kayaking
keynote laptop laptops lifelong lifestyle lifestyles livestream mentee mentees mentoring mentorship messaging metadata
microservice milestone milestones mindful mindfulness multicultural multitasking networking newbie newsletter
newsletters offline online onboarding outreach parenting passionate personalize personalized plotline podcast podcasts
portfolio portfolios postpartum proactive prompt prompts proofread proofreading relatable reminder reminders remote
resilience resilient reusable roadmap screenplay selfie setup skincare skillset smartphone smartphones snippet software
spreadsheet spreadsheets stakeholder stakeholders startup startups storytelling streaming subreddit summarize
summarise sustainability synopsis synopses takeaway takeaways teamwork template templates timeline timelines
trailblazer tutorial tutorials uplifting upload uploads username usernames vegan vegans videoconference viewpoint
viral volunteering volunteerism vlog webcam webinar webinars webpage website websites wellbeing wellness whistleblower
wifi workflow workflows workout workouts workplace workplaces workshop workshops worldview youtube
"""


def public_words(lists: list[Path]) -> list[str]:
    """The words of four letters and more, in lower case, sorted."""
    found = set((CALENDAR + CONTRACTED + NEWER).split())
    for path in lists:
        found.update(line for line in path.read_text(encoding="utf-8").split() if re.fullmatch("[a-z]{4,}", line))
    return sorted(word for word in found if len(word) >= 4)


def _normal(character: str) -> str:
    kept = (x for x in unicodedata.normalize("NFKD", character) if unicodedata.category(x) not in {"Mn", "Me", "Cf"})
    return "".join(kept).casefold()


def lookalikes() -> dict[str, str]:
    """Each ASCII letter or digit with the characters that look like it; capitals with those of capitals."""
    given = json.loads((files("confusable_homoglyphs") / "confusables.json").read_text(encoding="utf-8"))
    made: dict[str, list[str]] = {}
    for letter in string.ascii_letters + string.digits:
        for entry in given.get(letter, ()):
            other = entry["c"].strip("\u200e\u200f")
            if len(other) != 1 or other.isascii() or other.isdecimal():
                continue
            if _normal(other) != letter.casefold():
                made.setdefault(letter, []).append(other)
    return {letter: "".join(sorted(set(others))) for letter, others in made.items()}


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", nargs="+", type=Path, required=True, metavar="FILE")
    words = public_words(parser.parse_args().words)
    table = lookalikes()
    (FOLDER / "public_words.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    lines = [f"{letter} {others}" for letter, others in table.items()]
    (FOLDER / "lookalikes.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(words)} words; {sum(map(len, table.values()))} lookalikes of {len(table)} characters")


if __name__ == "__main__":
    main()
