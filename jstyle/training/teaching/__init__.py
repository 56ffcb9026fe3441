"""Teaching a loaded model a style or an object from a few pictures, on the loop of ``jstyle.training``.

``textual_inversion`` learns a word, ``lora`` low-rank changes of layers, ``dreambooth`` and ``fine_tuning`` the whole
UNet; what they share is in ``tuning`` (examples to a loss), ``examples`` (pictures and captions) and ``recompute``
(memory for time).
"""
