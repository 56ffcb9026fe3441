"""Draw the sample pictures anew: `python scripts/draw_samples.py` writes samples/content and samples/style.

They are 512 x 512 pixels, drawn by the code in scripts/drawing from no outside data, and the same on every run.
"""

from __future__ import annotations

from pathlib import Path

from drawing import contents, styles
from drawing.canvas import finished

SAMPLES = Path(__file__).resolve().parents[1] / "samples"


def main() -> None:
    for folder, pictures in (("content", contents.ALL), ("style", styles.ALL)):
        (SAMPLES / folder).mkdir(parents=True, exist_ok=True)
        for picture in pictures:
            path = SAMPLES / folder / f"{picture.__name__}.png"
            # 256 colours keep a picture under 250 KB, and nobody can tell
            finished(picture()).quantize(256).save(path, optimize=True)
            print(path)


if __name__ == "__main__":
    main()
