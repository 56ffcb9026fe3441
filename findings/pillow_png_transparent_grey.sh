#!/usr/bin/env bash
# Pillow 13.0.0: a grey PNG of 2 or 4 bits with one transparent value (tRNS) opens with its pixels scaled to 8 bits, but the
# value as it is stored: 1 beside pixels of 85. `has_transparency_data` is true, and convert("RGBA") makes nothing transparent.
# The same of RGB with 16 bits a channel. 8-bit and 1-bit PNGs are right. PNG 1.2, 4.2.1.1, has the value in the samples' scale.
# Seen: 2 bits: transparency 1, pixels 0 85 170 255, opacities all 255; 8 bits: the one pixel of that value has opacity 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0
cat > "$folder/run.py" <<'PYTHON'
import io
import struct
import zlib

from PIL import Image


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def opacities(width, depth, kind, row, clear):
    header = struct.pack(">IIBBBBB", width, 1, depth, kind, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"tRNS", clear) + chunk(b"IDAT", zlib.compress(b"\0" + row))
    with Image.open(io.BytesIO(b"\x89PNG\r\n\x1a\n" + chunks + chunk(b"IEND", b""))) as picture:
        picture.load()
        found = [picture.convert("RGBA").getpixel((x, 0))[3] for x in range(width)]
        print(depth, "bits:", picture.mode, "transparency", picture.info["transparency"], "opacities", found)
        assert picture.has_transparency_data
        return found


assert opacities(2, 8, 0, b"\x00\x07", struct.pack(">H", 7)) == [255, 0]
assert opacities(4, 2, 0, bytes([0b00011011]), struct.pack(">H", 1)) == [255] * 4  # right: 255, 0, 255, 255
assert opacities(2, 4, 0, b"\x05", struct.pack(">H", 5)) == [255] * 2  # right: 255, 0
colour = struct.pack(">3H", 1, 2, 768)
assert opacities(2, 16, 2, struct.pack(">3H", 65535, 0, 0) + colour, colour) == [255] * 2  # right: 255, 0
PYTHON
"$folder/venv/bin/python" "$folder/run.py"
