"""The demo: a small shop made up from a seed, its recipes, and the replay of its events over HTTP."""
