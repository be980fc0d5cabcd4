"""The parts of a run, in their order: each measures the figures it declares."""

from analytics.bench.parts import latency, rules, scale, throughput, triggers

PARTS = (rules.PART, throughput.PART, triggers.PART, scale.PART, latency.PART)
