"""The command `jstyle`: words become settings, a run's events become a bar and lines, its end an exit code.

Nothing here starts Jittor: help, completion and every mistake in words or configs are answered at once.
"""
