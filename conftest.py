"""Tests find the real broker and store by the plugin; a file of its own because pytest reads plugins only here."""

pytest_plugins = ["shared.testing.plugin"]
