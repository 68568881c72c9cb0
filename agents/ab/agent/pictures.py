"""Pictures as a vision model is sent them: small, in RGB, as JPEG."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import TYPE_CHECKING

from memagent.errors import DataError, MissingExtra

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 40_000_000
"""A picture with more of them is not opened: a small file can hold one that fills the memory."""

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
_QUALITY = 80  # of JPEG; ours
_BROKEN = (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, OverflowError, MemoryError)
"""What Pillow's readers raise for damaged files, with ``struct.error`` and ``zlib.error``."""


def shrunk(data: bytes, *, side: int) -> bytes:
    """A picture (JPEG, PNG, WebP, GIF or BMP) as JPEG with no side longer than ``side`` pixels; never enlarged.

    It is turned upright, the first frame is taken, and what is transparent becomes white. The same bytes and the same
    Pillow give the same result. Raises DataError for what is no such picture, is damaged, or has more than
    ``MAX_PIXELS``, and MissingExtra without Pillow.
    """
    picture = opened(data)
    from PIL.Image import Resampling

    picture.thumbnail((side, side), Resampling.LANCZOS)
    made = io.BytesIO()
    picture.save(made, "JPEG", quality=_QUALITY)
    return made.getvalue()


def opened(data: bytes) -> Image:
    """A picture as Pillow has it, upright and in RGB; raises as :func:`shrunk`."""
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise MissingExtra("pictures need Pillow", hint="pip install 'memagent[sim]'") from error
    bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    try:
        found = Image.open(io.BytesIO(data), formats=_FORMATS)
        if found.width * found.height > MAX_PIXELS:
            raise DataError(f"a picture of {found.width} x {found.height} pixels", hint=f"at most {MAX_PIXELS:,}")
        upright = ImageOps.exif_transpose(found)
        if not upright.has_transparency_data:
            return upright.convert("RGB")
        seen = upright.convert("RGBA")
        white = Image.new("RGBA", seen.size, "white")
        return Image.alpha_composite(white, seen).convert("RGB")
    except DataError:
        raise
    except (*_BROKEN, *bombs, struct.error, zlib.error) as error:
        raise DataError(f"no picture that can be read: {type(error).__name__}", hint="give JPEG, PNG or WebP") from None


def data_url(jpeg: bytes) -> str:
    """A JPEG picture as the URL that holds it."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
