"""What makes a picture of a task: the one place that puts methods of several packages together.

It stands above the engine and above the methods (`styleid`, `style_align`), which know nothing of one another, and
below the scripts. `jstyle.competition` plans and packs without it: a job names its worker by an import path.
"""
