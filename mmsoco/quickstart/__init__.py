"""The whole chain on a small data set; see ``make quickstart``."""
