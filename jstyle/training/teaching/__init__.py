"""Teaching a model a style or an object from a few pictures, on the loop of ``jstyle.training``.

A package for each way, named in ``table``: its settings and its training. What they share is in ``settings``,
``tuning`` (examples to a loss), ``examples`` and ``captioned`` (pictures and captions), ``whole_networks``, ``dropout``
and ``recompute`` (memory for time).
"""
