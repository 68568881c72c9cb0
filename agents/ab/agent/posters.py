"""What visitors see of posters: pictures for a vision model, captions for one that reads only, or nothing.

A poster that is missing or broken is an outcome, never an error: the item is shown without it, the reason is logged
once and counted.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

from memagent.agents.ab.agent.pictures import data_url, shrunk
from memagent.agents.ab.agent.poster_files import PosterFiles
from memagent.errors import DataError, InvalidInput

if TYPE_CHECKING:
    from memagent.agents.ab.catalogue import Item
    from memagent.llm.wire import Capabilities

Visuals: TypeAlias = Literal["image", "caption", "none"]
"""How posters are shown. ``image``: to a vision model as pictures; ``caption``: in words; ``none``: not at all."""

SIDE, LARGE_SIDE = 336, 672
"""The longest side in pixels on the list and on an item's page; ours, as no paper gives any."""

_KEPT = 2_000  # pictures in memory, some 20 kB each
_log = logging.getLogger("memagent")


class Captioner(Protocol):
    """Writes or looks up the caption of an item's poster."""

    def caption(self, item: Item, picture: str | None) -> str | None:
        """The poster in words; ``picture`` is its data URL, None where it has none. None: there is no caption."""


@runtime_checkable
class Kept(Protocol):
    """A captioner that knows its captions, or who writes them, before it is asked."""

    @property
    def looks(self) -> bool:
        """Whether a caption depends on the picture."""

    def digest(self, items: Sequence[Item]) -> str:
        """Tells its captions of these items from others."""


class PosterSource:
    """The posters of a catalogue. Safe from several threads.

    ``files``: where they are read from (default: paths only, nothing is downloaded). ``captioner``: what
    :meth:`caption` asks, usually a :class:`~memagent.agents.ab.agent.captions.Captions`; without one there are no
    captions.
    """

    def __init__(self, files: PosterFiles | None = None, *, captioner: Captioner | None = None) -> None:
        self._files = files or PosterFiles(side=LARGE_SIDE)
        self._captioner = captioner
        self._made: OrderedDict[tuple[str, bool], bytes] = OrderedDict()
        self._missing: dict[str, str] = {}
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def image(self, item: Item, *, large: bool = False) -> str | None:
        """The poster as a ``data:`` URL for :attr:`memagent.prompts.prompt.Prompt.images`; None if there is none.

        ``large``: as on the page of the item, else as on the list.
        """
        jpeg = self.jpeg(item, large=large)
        return data_url(jpeg) if jpeg is not None else None

    def caption(self, item: Item) -> str | None:
        """The poster in words; None without a captioner, or where it has no answer."""
        return self._captioner.caption(item, self.image(item, large=True)) if self._captioner else None

    def digests(self, items: Sequence[Item], visuals: Visuals) -> dict[str, str]:
        """What tells these posters, shown in this way, from others: ``pictures``, ``captions`` or both, or neither.

        Reads all files of pictures. Of a captioner that is no :class:`Kept` only the class is told.
        """
        writer = self._captioner if visuals == "caption" else None
        found = {}
        if visuals == "image" or (writer and not (isinstance(writer, Kept) and not writer.looks)):
            posters = sorted({item.poster for item in items if item.poster})
            found["pictures"] = _digest([[poster, self._files.digest(poster)] for poster in posters])
        if writer:
            found["captions"] = writer.digest(items) if isinstance(writer, Kept) else type(writer).__qualname__
        return found

    def jpeg(self, item: Item, *, large: bool = False) -> bytes | None:
        """The poster as JPEG, None if there is none."""
        if not item.poster:
            return None
        key = (item.poster, large)
        with self._lock:
            if item.poster in self._missing:
                return None
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
        try:
            made = shrunk(self._files.read(item.poster), side=LARGE_SIDE if large else SIDE)
        except DataError as error:
            self._note(item, error)
            return None
        with self._lock:
            self._seen.add(item.poster)
            self._made[key] = made
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
        return made

    def _note(self, item: Item, error: DataError) -> None:
        with self._lock:
            new = item.poster not in self._missing
            self._missing[str(item.poster)] = error.message
        if new:
            _log.warning("no poster for item %r: %s", item.id, error.message)

    @property
    def missing(self) -> dict[str, str]:
        """Posters that were asked for and could not be had, each with the reason."""
        with self._lock:
            return dict(self._missing)

    def facts(self) -> dict[str, Any]:
        """For a report: how many different posters were shown, how many could not be, and why."""
        with self._lock:
            return {
                "shown": len(self._seen),
                "no poster": len(self._missing),
                "reasons": dict(sorted(Counter(self._missing.values()).items())),
            }


def visuals_for(wanted: Visuals | Literal["auto"], able: Capabilities, *, captions: bool = False) -> Visuals:
    """How posters are shown to a model with these capabilities.

    ``auto``: as pictures to a model known to see, else as captions if there are any, else not at all. Raises
    InvalidInput for pictures asked for and a model known not to see, and for captions asked for that nobody writes.
    """
    if wanted == "auto":
        return "image" if able.vision else "caption" if captions else "none"
    if wanted == "image" and able.vision is False:
        raise InvalidInput("this model does not see pictures", hint="take a vision model, or visuals caption or none")
    if wanted == "caption" and not captions:
        raise InvalidInput("there are no captions of posters", hint="name the model that writes them, or visuals none")
    return wanted


def _digest(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
