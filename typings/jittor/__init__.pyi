# Jittor's own stub calls `shape` a method, and most of its interface is made at run time.
from typing import Any

Var = Any
Module = Any
nn: Any
flags: Any

def __getattr__(name: str) -> Any: ...
