"""Ways to propose boxes, one a file; :mod:`~mmsoco.proposals.generators.base` says what a new one takes."""
