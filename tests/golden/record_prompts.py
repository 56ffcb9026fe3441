"""Records what A1111's web UI makes of weighted and long prompts: `python tests/golden/record_prompts.py CHECKOUT`.

CHECKOUT is one of AUTOMATIC1111/stable-diffusion-webui (1.10), of which prompt_parser.py, sd_emphasis.py and
sd_hijack_clip.py in modules/ run as they are; of what they import, stand-ins give what a fresh web UI would. In the
environment that README.md describes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import tiny
import torch
from record import HERE, build_text, save
from transformers import CLIPTokenizer

TEXTS = [
    "an (important) word",
    "(unbalanced [nested (deep:1.5) text",
    r"a \(literal\] bracket, and a \ alone",
    "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
    "(unnecessary)(parens) [[faint]] (:0.3) x:1.2) y",
    "the old town at night BREAK a (river:1.4)",
    "(the old town at night, a river, " * 8 + "and a bridge:0.8)",
    "the " * 66 + ", the night and a (cat:1.2) at the river",
    "",
    "the " * 40 + ", " + "the " * 50,
]


def load_web_ui(checkout: Path) -> Any:
    """The class that reads prompts, from a checkout."""
    package = ModuleType("modules")
    package.__path__ = [str(checkout / "modules")]  # type: ignore[attr-defined]
    options = SimpleNamespace(
        emphasis="Original",
        comma_padding_backtrack=20,
        CLIP_stop_at_last_layers=1,
        use_old_emphasis_implementation=False,
        textual_inversion_add_hashes_to_infotext=False,
    )
    stands_in = {
        "shared": {"opts": options},
        "devices": {"device": torch.device("cpu"), "torch_npu_set_device": lambda: None},
        "sd_hijack": {"StableDiffusionModelHijack": object},
    }
    sys.modules["modules"] = package
    for name, content in stands_in.items():
        module = ModuleType(f"modules.{name}")
        vars(module).update(content)
        sys.modules[module.__name__] = module
        setattr(package, name, module)
    sys.modules.setdefault("lark", ModuleType("lark")).Lark = lambda *_: None  # type: ignore[attr-defined]
    from modules import sd_hijack_clip  # type: ignore[import-not-found]

    return sd_hijack_clip


def main() -> None:
    torch.set_num_threads(1)
    web_ui = load_web_ui(Path(sys.argv[1]))
    nothing = SimpleNamespace(find_embedding_at_position=lambda tokens, position: (None, None))
    hijack = SimpleNamespace(embedding_db=nothing, extra_generation_params={}, fixes=None)
    parsed = [web_ui.prompt_parser.parse_prompt_attention(text) for text in TEXTS]
    arrays: dict[str, Any] = {"texts": np.array(TEXTS), "parsed": np.array(json.dumps(parsed))}
    for flavour in ("sd1", "sd2"):
        tokenizer = CLIPTokenizer.from_pretrained(HERE / f"tokenizer_{flavour}")
        wrapped = torch.nn.Module()
        wrapped.tokenizer, wrapped.transformer = tokenizer, build_text(getattr(tiny, flavour.upper())["text"])
        reader = web_ui.FrozenCLIPEmbedderWithCustomWords(wrapped, hijack)
        reader.id_pad = tokenizer.pad_token_id  # as the class for Stable Diffusion 2 has it
        for number, text in enumerate(TEXTS if flavour == "sd1" else TEXTS[:4]):
            arrays[f"{flavour}_{number}"] = reader([text])[0].numpy()
    save("prompts", arrays)


if __name__ == "__main__":
    main()
