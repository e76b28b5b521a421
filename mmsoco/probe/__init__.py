"""Measuring what weights know, without training anything on them; see docs/probe.md."""
