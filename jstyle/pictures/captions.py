"""Pictures with a line of text below, for sheets."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont


def captioned(picture: Image.Image, text: str, side: int) -> Image.Image:
    """The picture fitted into a square of ``side`` pixels, and the text, cut to the width, in a strip below."""
    strip = max(14, side // 12)
    cell = Image.new("RGB", (side, side + strip), "white")
    scale = min(side / picture.width, side / picture.height)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    inside = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    cell.paste(inside, ((side - inside.width) // 2, (side - inside.height) // 2))
    font = ImageFont.load_default(strip * 0.75)
    shown = "".join(c if c.isprintable() else "?" for c in text)
    while font.getlength(shown) > side:
        shown = shown.rstrip(".")[:-1] + "..." if len(shown) > 4 else ""
    ImageDraw.Draw(cell).text((side / 2, side + strip / 2), shown, "#333333", font, anchor="mm")
    return cell
