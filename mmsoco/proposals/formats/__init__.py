"""Other tools' files of boxes, one format a file; :mod:`~mmsoco.proposals.formats.base` says what a new one takes."""
