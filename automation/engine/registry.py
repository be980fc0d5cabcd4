"""A registry of plugins: one file each, found by scanning a package, refused at import when incomplete."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class PluginError(TypeError):
    """A plugin that cannot be registered; raised at import, so that a faulty file never starts."""


class Registry(Generic[T]):
    """Plugins of one kind by key, in the order of their keys.

    `key` reads the plugin's key from its class (or instance); `required` are the names that must be
    present and not empty. Registering twice under one key is refused.
    """

    def __init__(self, noun: str, *, key: Callable[[T], str], required: tuple[str, ...] = ()) -> None:
        self.noun = noun
        self._key = key
        self._required = required
        self._plugins: dict[str, T] = {}

    def register(self, plugin: T) -> T:
        """Decorator: check the plugin and add it."""
        name = getattr(plugin, "__qualname__", repr(plugin))
        missing = [wanted for wanted in self._required if not getattr(plugin, wanted, None)]
        if missing:
            raise PluginError(f"{self.noun} {name} lacks {', '.join(missing)}")
        key = self._key(plugin)
        if not key:
            raise PluginError(f"{self.noun} {name} has no key")
        if key in self._plugins:
            other = getattr(self._plugins[key], "__qualname__", repr(self._plugins[key]))
            raise PluginError(f"{self.noun} {key!r} is registered twice: by {other} and by {name}")
        self._plugins[key] = plugin
        return plugin

    def scan(self, package: str) -> None:
        """Import every module of the package, so that each registers its plugins."""
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
            importlib.import_module(f"{package}.{module.name}")

    def get(self, key: str) -> T | None:
        """The plugin of this key, or None."""
        return self._plugins.get(key)

    def __getitem__(self, key: str) -> T:
        return self._plugins[key]

    def __contains__(self, key: object) -> bool:
        return key in self._plugins

    def __len__(self) -> int:
        return len(self._plugins)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._plugins))

    def items(self) -> list[tuple[str, T]]:
        """(key, plugin), sorted by key: the same on every machine, whatever the order of import."""
        return [(key, self._plugins[key]) for key in self]

    def values(self) -> list[T]:
        """The plugins, sorted by key."""
        return [self._plugins[key] for key in self]
