"""Relève: what one doctor leaves for the next, kept, encrypted and provable.

The five folders at the root of the repository are the sub-packages of ``releve``: the wheel maps
them there (``pyproject.toml``), and the links beside this file let editors and type checkers see
``releve.domain`` and the others without any import hook. Always import ``releve.domain``, never
the bare folder name: that would load every class twice.
"""

from importlib.metadata import version

__version__ = version("releve")
