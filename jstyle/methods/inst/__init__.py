"""InST: inversion-based style transfer (arXiv 2211.13203). A style is learnt from one picture, then transferred."""

from __future__ import annotations

from jstyle.methods.inst.inputs import InstInputs
from jstyle.methods.inst.settings import InstSettings, InstTrainSettings
from jstyle.methods.table import Method
from jstyle.training.teaching.table import Teaching

METHOD = Method(
    name="inst",
    title="InST",
    summary="learns a style from one picture as a word, then puts contents into it by inversion",
    paper="arXiv 2211.13203",
    settings=InstSettings,
    inputs=InstInputs,
    run="jstyle.methods.inst.run:run_inst",
    recall="jstyle.methods.inst.recalling:recall_stylised",
    foremost=("strength", "steps", "training.loop.steps", "seed"),
)

TEACHING = Teaching(
    name="inst",
    title="InST",
    summary="learns a word from one picture, through CLIP and an attention over what it sees",
    paper="arXiv 2211.13203",
    settings=InstTrainSettings,
    run="jstyle.methods.inst.training:train_inst",
    result="inst.safetensors",
    hash_networks="jstyle.methods.inst.encoder:hash_image_encoder",
    attach="jstyle.adapters.attaching:attach_inst_word",
)
