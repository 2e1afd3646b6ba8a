"""Tests; a package, so that tests can share the helpers beside this file."""
