"""Draw the sample pictures anew: `python scripts/draw_samples.py` writes samples/content and samples/style.

They are 512 x 512 pixels, drawn by the code in scripts/drawing from no outside data, and the same on every run.
"""

from __future__ import annotations

import io
from pathlib import Path

from drawing import contents, styles
from drawing.canvas import finished
from PIL import Image

from jstyle.files import replacing

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
LARGEST = 250_000  # bytes; a picture full of texture gets 256 colours to stay below, and nobody can tell


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def main() -> None:
    for folder, pictures in (("content", contents.ALL), ("style", styles.ALL)):
        (SAMPLES / folder).mkdir(parents=True, exist_ok=True)
        for picture in pictures:
            image = finished(picture())
            data = png(image)
            if len(data) > LARGEST:
                data = png(image.quantize(256))
            path = SAMPLES / folder / f"{picture.__name__}.png"
            with replacing(path) as part:
                part.write_bytes(data)
            print(path)


if __name__ == "__main__":
    main()
