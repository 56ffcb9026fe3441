"""What pyproject.toml cannot say: the folder configs/ is installed as jstyle/configs."""

from __future__ import annotations

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["jstyle*", "styleid*", "style_align*"]), "jstyle.configs"],
    package_dir={"jstyle.configs": "configs"},
)
