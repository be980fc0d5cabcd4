"""What Beckon is measured against: a floor, the Django app that one writes first, and the source article's engine.

Nothing here imports the product. `manage.py bench` starts and feeds them; docs/benchmarks.md says what they are.
"""
