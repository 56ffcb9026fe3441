"""A list of tasks, run in this process, in worker processes pinned to cores or GPUs, or on Ray.

Whatever runs them, the tasks are the same and each depends on its own data alone, so the results are the same.
"""
